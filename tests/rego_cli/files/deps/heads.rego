package heads

a[x].b[y] := input.v[x][y] if { some x, y in input.w }

c[1] := input.c1

c[input.dynhead] := 2

default d := false

d if input.dd[0].k
else := input.el if input.el2


g := {"k": input.obj[data.t.u]} 
