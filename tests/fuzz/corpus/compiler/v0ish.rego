package a

import future.keywords
import input.x as xs

test_x { xs[0] == 1 }
p[x] { x := xs[_] }
q = y { y := 1 } { y := 1 }
default d = 3
f(x) = y { y = x }
