# METADATA
# title: terms
# scope: package
# custom:
#   k: [1, {"a": null}]
package a.c

n := [1, -2.5e3, 0, 12345678901234567890, "s\u00e9\n", `raw\`, null, true]
o := {"a": {1, 2}, "b": set(), "c": {}, {"d"}: [[]]}
c1 := [x | x := input.x[i]; i % 2 == 0]
c2 := {x | some x in input.x; x != null}
c3 := {k: v | v := input.a[k]}
w := n[0] with input as {"x": [1]} with data.b.c as 5
m := (1 + 2) * 3 - 4 / 2 % 3
u if [a, {"k": b, "l": _}] = input.x[_]; a == b
t := $"x {input.x} y {{n}}"
s := {1, 2} & {2} | {3} - {4}
v := input.x[_][_].y["z"].w[data.b.c[0]]
e := object.get(input, ["a", "b"], "none")
