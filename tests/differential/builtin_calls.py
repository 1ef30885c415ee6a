"""What the random programs call: builtins by the kind of their result, with the kinds of their operands. Pure data."""

from __future__ import annotations

Call = tuple[str, tuple[str, ...]]

PATTERNS = (
    *(
        "a",
        "^a.*c$",
        "[a-c]+",
        "(a)(b)?",
        "x*",
        "\\d+",
        "(?i)ABC",
        "[^,]*",
        "a|b",
        "",
        "(",
        "\\bfoo\\b",
        "é+",
    ),
    *(
        "(?P<n>\\w+)",
        "\\s",
        ".",
        "^$",
        "[[:alpha:]]+",
        "a{2,3}",
        "(a+)(b+)",
        "\\p{L}",
        "(?s).*",
        "o{1}?",
        "\\pN",
    ),
)
GLOBS = (
    *(
        "*",
        "**",
        "a*",
        "?",
        "[a-c]",
        "[!a]",
        "{a,b}",
        "a/*",
        "a/**",
        "*.y.*",
        "\\*",
        "",
        "{foo,bar}*",
        "*b*",
        "[a-",
        "x.*.z",
    ),
)
FORMATS = (
    *(
        "%d",
        "%s",
        "%v",
        "%5d|",
        "%-5d|",
        "%05d",
        "%x",
        "%X",
        "%.2f",
        "%q",
        "%t",
        "%e",
        "%g",
        "%o",
        "%b",
        "%c",
        "%%",
    ),
    *(
        "%d %s",
        "%v-%v",
        "%s",
        "%8.3f|",
        "%+d",
        "%6s|",
        "%-6s|",
        "%.1s",
        "%T",
        "%U",
        "é%dé",
        "none",
        "%[2]d",
        "%*d",
        "%",
    ),
    *(
        "%!",
        "%z",
        "%#v",
        "%#x",
        "% d",
        "%x",
        "%08.3f",
        "%v %v %v",
        "%10q|",
        "%5t|",
        "%.3v",
        "%G",
        "%E",
        "%5v|",
        "%-5v|",
    ),
)

_NUM: tuple[Call, ...] = (
    *(("+", ("num", "num")), ("-", ("num", "num")), ("*", ("num", "num")), ("/", ("num", "num"))),
    *(
        ("%", ("num", "num")),
        ("abs", ("num",)),
        ("ceil", ("num",)),
        ("floor", ("num",)),
        ("round", ("num",)),
    ),
    *(("count", ("coll",)), ("count", ("str",)), ("sum", ("numbers",)), ("product", ("numbers",))),
    *(
        ("to_number", ("str",)),
        ("to_number", ("any",)),
        ("indexof", ("str", "str")),
        ("bits.and", ("small", "small")),
    ),
    *(("bits.or", ("small", "num")), ("bits.xor", ("num", "small")), ("bits.negate", ("small",))),
    *(
        ("bits.lsh", ("small", "small")),
        ("bits.rsh", ("num", "small")),
        ("strings.count", ("str", "str")),
    ),
    *(
        ("max", ("numbers",)),
        ("min", ("numbers",)),
        ("semver.compare", ("str", "str")),
        ("units.parse", ("str",)),
    ),
    *(
        ("units.parse_bytes", ("str",)),
        ("+", ("any", "num")),
        ("-", ("any", "any")),
        ("/", ("num", "small")),
    ),
)
_STR: tuple[Call, ...] = (
    *(
        ("concat", ("str", "words")),
        ("format_int", ("num", "base")),
        ("lower", ("str",)),
        ("upper", ("str",)),
    ),
    *(
        ("replace", ("str", "str", "str")),
        ("strings.replace_n", ("strmap", "str")),
        ("sprintf", ("format", "arr")),
    ),
    *(
        ("sprintf", ("format", "arr")),
        ("sprintf", ("format", "numbers")),
        ("sprintf", ("format", "words")),
    ),
    *(
        ("substring", ("str", "small", "small")),
        ("trim", ("str", "str")),
        ("trim_left", ("str", "str")),
    ),
    *(
        ("trim_right", ("str", "str")),
        ("trim_prefix", ("str", "str")),
        ("trim_suffix", ("str", "str")),
    ),
    *(
        ("trim_space", ("str",)),
        ("strings.reverse", ("str",)),
        ("json.marshal", ("any",)),
        ("type_name", ("any",)),
    ),
    *(
        ("json.marshal", ("coll",)),
        ("base64.encode", ("str",)),
        ("base64.decode", ("str",)),
        ("hex.encode", ("str",)),
    ),
    *(("hex.decode", ("str",)), ("urlquery.encode", ("str",)), ("urlquery.decode", ("str",))),
    *(
        ("base64url.encode", ("str",)),
        ("base64url.encode_no_pad", ("str",)),
        ("base64url.decode", ("str",)),
    ),
    *(
        ("regex.replace", ("str", "pattern", "str")),
        ("glob.quote_meta", ("str",)),
        ("crypto.sha256", ("str",)),
    ),
    *(
        ("yaml.marshal", ("any",)),
        ("urlquery.encode_object", ("strmap",)),
        ("crypto.md5", ("str",)),
    ),
)
_BOOL: tuple[Call, ...] = (
    *(("contains", ("str", "str")), ("startswith", ("str", "str")), ("endswith", ("str", "str"))),
    *(
        ("regex.match", ("pattern", "str")),
        ("glob.match", ("glob", "delimiters", "str")),
        ("is_array", ("any",)),
    ),
    *(
        ("is_string", ("any",)),
        ("is_number", ("any",)),
        ("is_boolean", ("any",)),
        ("is_null", ("any",)),
    ),
    *(
        ("is_set", ("any",)),
        ("is_object", ("any",)),
        ("object.subset", ("coll", "coll")),
        ("json.is_valid", ("str",)),
    ),
    *(
        ("strings.any_prefix_match", ("words", "words")),
        ("strings.any_suffix_match", ("str", "words")),
    ),
    *(
        ("regex.is_valid", ("pattern",)),
        ("base64.is_valid", ("str",)),
        ("==", ("any", "any")),
        ("!=", ("any", "any")),
    ),
    *(
        ("<", ("any", "any")),
        (">=", ("any", "any")),
        ("in", ("any", "coll")),
        ("yaml.is_valid", ("str",)),
    ),
    *(("semver.is_valid", ("str",)), ("net.cidr_is_valid", ("str",)), (">", ("coll", "coll"))),
)
_ARR: tuple[Call, ...] = (
    *(
        ("array.concat", ("arr", "arr")),
        ("array.reverse", ("arr",)),
        ("array.slice", ("arr", "small", "small")),
    ),
    *(("sort", ("list",)), ("split", ("str", "str")), ("indexof_n", ("str", "str"))),
    *(("numbers.range", ("small", "small")), ("numbers.range_step", ("small", "small", "small"))),
    *(("regex.find_n", ("pattern", "str", "small")), ("regex.split", ("pattern", "str"))),
    *(("regex.find_all_string_submatch_n", ("pattern", "str", "small")), ("sort", ("any",))),
)
_SET: tuple[Call, ...] = (
    *(
        ("&", ("set", "set")),
        ("|", ("set", "set")),
        ("-", ("set", "set")),
        ("intersection", ("sets",)),
    ),
    *(("union", ("sets",)), ("object.keys", ("obj",)), ("graph.reachable", ("graph", "keys"))),
    *(
        ("graph.reachable_paths", ("graph", "words")),
        ("|", ("any", "set")),
        ("net.cidr_expand", ("str",)),
    ),
)
_OBJ: tuple[Call, ...] = (
    *(
        ("object.union", ("obj", "obj")),
        ("object.union_n", ("objects",)),
        ("object.remove", ("obj", "keys")),
    ),
    *(
        ("object.filter", ("obj", "keys")),
        ("json.filter", ("obj", "paths")),
        ("json.remove", ("obj", "paths")),
    ),
    *(
        ("json.unmarshal", ("str",)),
        ("object.union", ("any", "obj")),
        ("urlquery.decode_object", ("str",)),
    ),
    *(("yaml.unmarshal", ("str",)),),
)
_ANY: tuple[Call, ...] = (
    *(
        ("object.get", ("obj", "str", "any")),
        ("object.get", ("obj", "words", "any")),
        ("max", ("list",)),
    ),
    *(("min", ("list",)), ("json.unmarshal", ("str",))),
)
CALLS: dict[str, tuple[Call, ...]] = {
    "num": _NUM,
    "str": _STR,
    "bool": _BOOL,
    "arr": _ARR,
    "set": _SET,
    "obj": _OBJ,
    "any": _ANY,
}
