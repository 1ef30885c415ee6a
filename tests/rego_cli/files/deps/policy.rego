package policy

import rego.v1
import data.lib
import input.req as r

p if {
	input.a.b[i].c == data.base[input.k].z
	r.method == "GET"
	lib.f(input.deep)
	x := data.users[r.user]
	x.roles[_] == "admin"
	some y in input.list
	y.z
}

q[k] := v if some k, v in data.table

w contains input.arr[_].name

t if { p with input.a as 1 with data.base as {"x": input.rep} }

u := data.policy.q.foo.bar


dyn if data.other[input.name]

n := [z | z := data.comp[_]; not input.neg.x]

e if every k in data.ev { input.evv[k] }


fn(a) := a.x.y if input.fnin

callfn := fn(input.obj)
