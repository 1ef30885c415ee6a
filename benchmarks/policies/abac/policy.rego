# Attributes of the subject, the document and the circumstances decide; every refusal says why.
package authz.abac

import rego.v1

levels := {"public": 0, "internal": 1, "confidential": 2, "secret": 3}

default allow := false

allow if {
	count(violations) == 0
	permitted
}

permitted if {
	input.action == "read"
	same_department
}

permitted if {
	input.action == "read"
	input.subject.id in input.document.shared_with
}

permitted if {
	input.action in {"read", "update", "delete"}
	input.document.owner == input.subject.id
}

permitted if {
	input.action in {"read", "update"}
	input.subject.title == "manager"
	same_department
}

same_department if input.subject.department == input.document.department

violations contains "clearance is too low" if {
	levels[input.subject.clearance] < levels[input.document.classification]
}

violations contains "the account is suspended" if input.subject.status != "active"

violations contains msg if {
	input.document.classification in {"confidential", "secret"}
	not input.context.device.managed
	msg := sprintf("%s documents need a managed device", [input.document.classification])
}

violations contains msg if {
	input.document.classification == "secret"
	not net.cidr_contains("10.0.0.0/8", input.context.ip)
	msg := sprintf("address %s is outside of the company's network", [input.context.ip])
}

violations contains "outside of working hours" if {
	input.action in {"update", "delete"}
	not working_hours
}

violations contains "training has expired" if {
	some training in data.required_training[input.document.classification]
	not valid_training(training)
}

working_hours if {
	input.context.hour >= 7
	input.context.hour < 20
	not input.context.weekday in {"saturday", "sunday"}
}

valid_training(name) if {
	some record in input.subject.training
	record.name == name
	record.expires > input.context.date
}

decision := {"allow": allow, "reasons": violations}
