package traced

import rego.v1

p contains x if {
	some x in [1, 2, 3]
	f(x)
	g(x + 1)
}

f(x) if {
	trace(sprintf("f %d", [x]))
	x < 3
}

g(x) if trace(sprintf("g %d", [x]))

q := v if {
	v := h(1) + h(2)
}

h(x) := 5 if {
	x > 1
	trace("big")
}

else := 6 if trace("small")

r[x] := y if {
	some x, y in {"a": 1, "b": 2}
	trace(x)
}

t if {
	f(1)
	helper
	not quiet
	trace("t")
}

helper if {
	trace("first")
	count([]) > 0
}

helper if {
	trace("second")
}

quiet if count([]) > 0

silent := count([x | some x in [1, 2]])

chosen := "a" if {
	trace("a?")
	count([]) > 0
} else := "b" if {
	trace("b?")
}

head := [sprintf("%d", [h(2)]), h(1)]

counted contains i if {
	some i in numbers.range(1, 10)
	i > 4
	even(i)
	not i == 8
}

even(i) if i % 2 == 0
