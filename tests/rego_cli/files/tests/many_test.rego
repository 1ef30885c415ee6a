package many_test
f(x) := x + 1
users := [{"name": "bob", "roles": ["x"]}, {"name": "al", "roles": []}]
test_multi if {
	some u in users
	n := count(u.roles)
	f(n) == 3 + 4
}
test_undef if {
	users[0].roles[f(1)] == "x"
}
test_with if { input.x == f(input.y) with input as {"x": 1, "y": 7} }
test_not if { x := 4; not x == 4 }
test_else if { false } else := true if { users[1].name == "zz" }
test_every2 if { every u in users { count(u.roles) > 0; u.name != input.z } with input as {"z": 1}}
test_in if { "c" in {"a", "b"} }
test_body := input.nothing if true
test_conflict if { y := {"a": x | x := [1, 2][_]}; y }
test_var_binding if { users[i].name == "nobody" }
test_reordered if { x == 3
 x = 2 + 2 }
test_comp if count([u | some u in users; u.name == "q"]) == 1
