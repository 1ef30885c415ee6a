package a

import data.b as other

default allow := false

allow if {
	input.method == "GET"
	some role in input.roles
	role.name in {"admin", "auditor"}
	not denied
}

denied if input.x[_].a > 3

denied if {
	every y in input.x { y != 7 }
	count(input.x) >= 2
}

p contains x if some x in input.x
q[k] := v if some k, v in input.a
r.s[x].t := x * 2 if { x := input.x[_]; is_number(x) }
f(x) := y if { y := x + 1 } else := 0 if { x == null } else := -1
g([a, {"b": c}]) := a - c
