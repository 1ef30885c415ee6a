# A review of access over the same large document: which grants of a department are over-broad, stale or orphaned.
package review

import rego.v1

members contains id if some id in data.org.departments[input.department].members

stale contains id if {
	some id in members
	employee := data.org.employees[id]
	employee.last_login < input.cutoff
	count(employee.groups) > 0
}

admins contains id if {
	some id in members
	some group in data.org.employees[id].groups
	"admin" in data.org.groups[group].grants.database
}

orphaned contains id if {
	some id in members
	some manager in data.org.employees[id].chain
	not data.org.employees[manager]
}

report := {
	"members": count(members),
	"stale": count(stale),
	"admins": admins,
	"orphaned": count(orphaned),
}
