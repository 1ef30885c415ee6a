package broken

p if {
	x := 1
	input.y
}
