package lib

import rego.v1

f(x) if x == data.libdata.v
