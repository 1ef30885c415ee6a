package kinds_test

test_passes if true

test_false := false

test_number := 7

test_two := 1 if true

test_two := true if true

todo_test_later if false

test_set contains "x" if true

test_function(x) if x == 1

nested.test_inside if true

test_constant.case if true

test_conflict if {
	y := {"a": x | x := [1, 2][_]}
	y
}

test_cases[note] if {
	some note, tc in {"one": {"n": 1}, "two": {"n": 5}}
	tc.n > 2
}

test_all_cases[note] if {
	some note, tc in {"three": {"n": 3}, "two": {"n": 5}}
	tc.n > 2
}

test_undefined if data.nothing.here
