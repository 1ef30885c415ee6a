package printing

p if {
	print("a", 1, {"b"}, input.zz, [1, "q"], null)
	y := shown(3)
	y
}

shown(z) := z if print("in f", z)

q contains x if {
	some x in [1, 2, 2]
	print(x)
	print("same")
}

r if print("x", input.x) with input as {"x": {"y": 1.50}}

test_shown if {
	print("hello", 3)
	p
}
