package a.b

default allow := false

allow if input.x > 1

s contains x if some x in [3, 1, 2]

m[k] := v if some k, v in {"a": 1, 2: "z"}

twice(x) := x * 2
