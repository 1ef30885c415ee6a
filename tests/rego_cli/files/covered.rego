package covered

import rego.v1

allow if {
	some r in [1, 2]
	r == 2; count([r]) > 0
	h(r)
}

h(x) if {
	x > 1
} else := 2 if {
	x == "q"
}

s contains x if x := 1

m := {
	"a": 1,
	"b": [y |
		y := 2
		y > 1
	],
}

v if {
	every k in [1] {
		k > 0
	}
}

n if not allow
