# Entitlements of a large organisation: one employee's groups and their grants, found by key in a large document.
package entitlements

import rego.v1

default allow := false

employee := data.org.employees[input.employee]

resource := data.org.resources[input.resource]

allow if {
	some group in employee.groups
	some right in data.org.groups[group].grants[resource.class]
	right == input.action
	employee.region in resource.regions
}

approvers contains name if {
	resource.sensitivity >= 3
	some name in managers(input.employee)
}

managers(id) := [data.org.employees[m].name | some m in data.org.employees[id].chain]

decision := {"allow": allow, "approvers": approvers, "class": resource.class}
