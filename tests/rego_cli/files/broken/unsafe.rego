package broken

import data.foo

p if x == 1

q := count(1)
