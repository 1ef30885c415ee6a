package failing

import rego.v1

f(x) := to_number(x)

p := {x: y | some x in ["a", "1", "b"]; y := f(x)}

q if {
	not f("a")
	1 / input.zero > 3
}

r := [object.subset(input.zero, {1}), yaml.unmarshal("a: 1")]

s contains time.clock([0, zone]) if some zone in ["Nowhere/X", "UTC"]

t if {
	count(p) == 1
	every x in [1, 2] { to_number(sprintf("%d", [x])) > 0 }
	trim(input.zero, "x")
}

u := to_number("one") if input.zero == 0

else := 4

v := input.zero
