package old

p[x] { x := [1, 2][_] }

allow { input.x == 3 }
