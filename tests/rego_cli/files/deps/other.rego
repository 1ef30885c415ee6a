package other

x1 := input.l2a

x2.y := input.l2b
