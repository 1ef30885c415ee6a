# Roles of a user, inherited roles, and grants on resources: who may do what.
package authz.rbac

import rego.v1

default allow := false

allow if {
	some grant in user_grants
	input.action in grant.actions
	resource_matches(grant.resource, input.resource)
}

user_roles contains role if {
	some role in data.bindings[input.user]
}

user_roles contains inherited if {
	some role in data.bindings[input.user]
	some inherited in data.inherits[role]
}

user_grants contains grant if {
	some role in user_roles
	some grant in data.grants[role]
}

resource_matches(pattern, _) if pattern == "*"

resource_matches(pattern, resource) if pattern == resource

resource_matches(pattern, resource) if {
	endswith(pattern, "/*")
	startswith(resource, trim_suffix(pattern, "*"))
}

decision := {
	"allow": allow,
	"user": input.user,
	"roles": user_roles,
}
