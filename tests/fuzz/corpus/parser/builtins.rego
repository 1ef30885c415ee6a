package a

a1 := sprintf("%d %s %v %5.2f %x %q", [1, "s", {"a": [1]}, 1.5, 255, "q"])
a2 := regex.replace(input.a.b, `(t)(.*)`, "$2-$1")
a3 := json.patch(input, [{"op": "add", "path": "/z", "value": 1}, {"op": "remove", "path": "/x/0"}])
a4 := [p | walk(input, [p, v]); is_null(v)]
a5 := graph.reachable({"a": ["b"], "b": ["a"]}, {"a"})
a6 := numbers.range_step(10, 1, 3)
a7 := strings.replace_patterns({"e": "E"}, input.a.b)
a8 := time.format([1700000000000000000, "UTC", "2006-01-02"])
a9 := base64.encode(json.marshal({"k": [input.y]}))
b1 := glob.match("*.{a,b}", ["."], input.a.b)
b2 := net.cidr_contains("10.0.0.0/8", "10.1.2.3")
b3 := object.union_n([{"a": {"b": 1}}, {"a": {"c": 2}}])
b4 := sum([x | some x in input.x; is_number(x)])
b5 := semver.compare("1.2.3", "1.10.0")
b6 := units.parse_bytes("10Ki")
b7 := bits.lsh(1, 70)
b8 := concat(",", sort([to_number("1"), 3])) with concat as f9
f9(x, y) := [x, y]
b9 := crypto.sha256(trim_space(" x "))
