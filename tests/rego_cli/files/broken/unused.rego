package broken

import data.foo

p if input.y
