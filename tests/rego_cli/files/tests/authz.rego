package authz

allow if {
	input.user == "bob"
	input.level > 3
}

deny contains msg if {
	not allow
	msg := sprintf("%v may not", [input.user])
}

deny contains "nobody" if input.user == ""

double(x) := y if {
	y := x * 2
}

unused := 7
