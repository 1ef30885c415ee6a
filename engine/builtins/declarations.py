"""Every builtin that is served, one line each, and the names of those that are not.

A line is `name  home  signature  [flags]`, columns apart by two or more blanks; `signature.py`
explains the types, `registry.py` the flags; a line that starts with a blank continues
the one before. The C symbol of a runtime builtin is `bi_` and its name with `_` for `.`.
Names and types are those of OPA 1.7 and later. Pure data; nothing is computed here.
"""

from __future__ import annotations

OPERATORS = """
plus  runtime  number, number -> number  infix=+
minus  runtime  number | set[any], number | set[any] -> number | set[any]  infix=-
mul  runtime  number, number -> number  infix=*
div  runtime  number, number -> number  infix=/
rem  runtime  number, number -> number  infix=%
and  runtime  set[any], set[any] -> set[any]  infix=&
or  runtime  set[any], set[any] -> set[any]  infix=|
equal  runtime  any, any -> boolean  infix===
neq  runtime  any, any -> boolean  infix=!=
lt  runtime  any, any -> boolean  infix=<
lte  runtime  any, any -> boolean  infix=<=
gt  runtime  any, any -> boolean  infix=>
gte  runtime  any, any -> boolean  infix=>=
eq  compiler  any, any -> boolean  infix==
assign  compiler  any, any -> boolean  infix=:=
internal.member_2  runtime  any, any -> boolean  infix=in
internal.member_3  runtime  any, any, any -> boolean  infix=in
"""

NUMBERS = """
abs  runtime  number -> number
ceil  runtime  number -> number
floor  runtime  number -> number
round  runtime  number -> number
numbers.range  runtime  number, number -> array[number]
numbers.range_step  runtime  number, number, number -> array[number]
rand.intn  host  string, number -> number  nondeterministic
"""

BITS = """
bits.and  runtime  number, number -> number
bits.or  runtime  number, number -> number
bits.xor  runtime  number, number -> number
bits.negate  runtime  number -> number
bits.lsh  runtime  number, number -> number
bits.rsh  runtime  number, number -> number
"""

AGGREGATES = """
count  runtime  string | array[any] | object[any: any] | set[any] -> number
sum  runtime  array[number] | set[number] -> number
product  runtime  array[number] | set[number] -> number
max  runtime  array[any] | set[any] -> any
min  runtime  array[any] | set[any] -> any
sort  runtime  array[any] | set[any] -> array[any]
all  runtime  array[any] | set[any] -> boolean  deprecated
any  runtime  array[any] | set[any] -> boolean  deprecated
"""

ARRAYS = """
array.concat  runtime  array[any], array[any] -> array[any]
array.reverse  runtime  array[any] -> array[any]
array.slice  runtime  array[any], number, number -> array[any]
array.flatten  runtime  array[any] -> array[any]
"""

SETS = """
intersection  runtime  set[set[any]] -> set[any]
union  runtime  set[set[any]] -> set[any]
set_diff  runtime  set[any], set[any] -> set[any]  deprecated
"""

OBJECTS = """
object.get  runtime  object[any: any], any, any -> any
object.keys  runtime  object[any: any] -> set[any]
object.union  runtime  object[any: any], object[any: any] -> object[any: any]
object.union_n  runtime  array[object[any: any]] -> object[any: any]
object.remove  runtime  object[any: any], array[any] | object[any: any] | set[any] -> object[any: any]
object.filter  runtime  object[any: any], array[any] | object[any: any] | set[any] -> object[any: any]
object.subset  runtime  array[any] | object[any: any] | set[any], array[any] | object[any: any]
      | set[any] -> boolean
json.filter  runtime  object[any: any], array[string | array[any]] | set[string | array[any]] ->
      object[any: any]
json.remove  runtime  object[any: any], array[string | array[any]] | set[string | array[any]] ->
      object[any: any]
json.patch  runtime  any, array[record[op: string, path: any; any: any]] -> any
"""

STRINGS = """
concat  runtime  string, array[string] | set[string] -> string
contains  runtime  string, string -> boolean
endswith  runtime  string, string -> boolean
format_int  runtime  number, number -> string
indexof  runtime  string, string -> number
indexof_n  runtime  string, string -> array[number]
lower  runtime  string -> string
upper  runtime  string -> string
replace  runtime  string, string, string -> string
strings.replace_n  runtime  object[string: string], string -> string
split  runtime  string, string -> array[string]
sprintf  runtime  string, array[any] -> string
startswith  runtime  string, string -> boolean
substring  runtime  string, number, number -> string
trim  runtime  string, string -> string
trim_left  runtime  string, string -> string
trim_prefix  runtime  string, string -> string
trim_right  runtime  string, string -> string
trim_space  runtime  string -> string
trim_suffix  runtime  string, string -> string
strings.any_prefix_match  runtime  string | array[string] | set[string], string | array[string]
      | set[string] -> boolean
strings.any_suffix_match  runtime  string | array[string] | set[string], string | array[string]
      | set[string] -> boolean
strings.reverse  runtime  string -> string
strings.split_n  runtime  string, string, number -> array[string]
strings.count  runtime  string, string -> number
strings.render_template  host  string, object[string: any] -> string
internal.template_string  runtime  array[any] -> string
"""

REGEX = """
regex.match  runtime  string, string -> boolean
regex.is_valid  runtime  string -> boolean
regex.find_n  runtime  string, string, number -> array[string]
regex.find_all_string_submatch_n  runtime  string, string, number -> array[array[string]]
regex.replace  runtime  string, string, string -> string
regex.split  runtime  string, string -> array[string]
regex.template_match  runtime  string, string, string, string -> boolean
regex.globs_match  host  string, string -> boolean
re_match  runtime  string, string -> boolean  deprecated
glob.match  runtime  string, null | array[string], string -> boolean
glob.quote_meta  runtime  string -> string
internal.regex_compile  host  string -> string
"""

TYPES = """
is_array  runtime  any -> boolean
is_boolean  runtime  any -> boolean
is_null  runtime  any -> boolean
is_number  runtime  any -> boolean
is_object  runtime  any -> boolean
is_set  runtime  any -> boolean
is_string  runtime  any -> boolean
type_name  runtime  any -> string
to_number  runtime  null | boolean | number | string -> number
cast_array  runtime  any -> array[any]  deprecated
cast_boolean  runtime  any -> boolean  deprecated
cast_null  runtime  any -> null  deprecated
cast_object  runtime  any -> object[any: any]  deprecated
cast_set  runtime  any -> set[any]  deprecated
cast_string  runtime  any -> string  deprecated
"""

ENCODING = """
json.marshal  runtime  any -> string
json.marshal_with_options  runtime  any, record[indent: string, prefix: string, pretty: boolean;
      string: any] -> string
json.unmarshal  runtime  string -> any
json.is_valid  runtime  string -> boolean
yaml.marshal  host  any -> string
yaml.unmarshal  host  string -> any
yaml.is_valid  host  string -> boolean
base64.encode  runtime  string -> string
base64.decode  runtime  string -> string
base64.is_valid  runtime  string -> boolean
base64url.encode  runtime  string -> string
base64url.encode_no_pad  runtime  string -> string
base64url.decode  runtime  string -> string
hex.encode  runtime  string -> string
hex.decode  runtime  string -> string
urlquery.encode  runtime  string -> string
urlquery.decode  runtime  string -> string
urlquery.encode_object  runtime  object[string: string | array[string] | set[string]] -> string
urlquery.decode_object  runtime  string -> object[string: array[string]]
uri.parse  host  string -> object[string: string]
uri.is_valid  host  string -> boolean
"""

GRAPHS = """
walk  runtime  any -> tuple[array[any], any]  relation
graph.reachable  runtime  object[any: array[any] | set[any]], array[any] | set[any] -> set[any]
graph.reachable_paths  runtime  object[any: array[any] | set[any]], array[any] | set[any] ->
      set[array[any]]
"""

TIME = """
time.now_ns  host  -> number  nondeterministic
time.parse_ns  host  string, string -> number
time.parse_rfc3339_ns  runtime  string -> number
time.parse_duration_ns  runtime  string -> number
time.format  host  number | tuple[number, string] | tuple[number, string, string] -> string
time.date  runtime  number | tuple[number, string] -> tuple[number, number, number]  zoned
time.clock  runtime  number | tuple[number, string] -> tuple[number, number, number]  zoned
time.weekday  runtime  number | tuple[number, string] -> string  zoned
time.add_date  runtime  number, number, number, number -> number  zoned
time.diff  runtime  number | tuple[number, string], number | tuple[number, string] -> tuple[number,
      number, number, number, number, number]  zoned
"""

CRYPTO = """
crypto.md5  runtime  string -> string
crypto.sha1  runtime  string -> string
crypto.sha256  runtime  string -> string
crypto.hmac.md5  runtime  string, string -> string
crypto.hmac.sha1  runtime  string, string -> string
crypto.hmac.sha256  runtime  string, string -> string
crypto.hmac.sha512  runtime  string, string -> string
crypto.hmac.equal  runtime  string, string -> boolean
"""

CERTIFICATES = """
crypto.parse_private_keys  host  string -> array[object[string: any]]  needs=cryptography
crypto.x509.parse_and_verify_certificates  host  string -> tuple[boolean,
      array[object[string: any]]]  needs=cryptography
crypto.x509.parse_and_verify_certificates_with_options  host  string, object[string: any] ->
      tuple[boolean, array[object[string: any]]]  needs=cryptography
crypto.x509.parse_certificate_request  host  string -> object[string: any]  needs=cryptography
crypto.x509.parse_certificates  host  string -> array[object[string: any]]  needs=cryptography
crypto.x509.parse_keypair  host  string, string -> object[string: any]  needs=cryptography
crypto.x509.parse_rsa_private_key  host  string -> object[string: any]  needs=cryptography
"""

REQUESTS = """
http.send  host  object[string: any] -> object[any: any]  nondeterministic needs=network
net.lookup_ip_addr  host  string -> set[string]  nondeterministic needs=network
providers.aws.sign_req  host  object[string: any], object[string: any], number -> object[any: any]
"""

TOKENS = """
io.jwt.decode  host  string -> tuple[object[any: any], object[any: any], string]
io.jwt.decode_verify  host  string, object[string: any] -> tuple[boolean, object[any: any],
      object[any: any]]  nondeterministic needs=cryptography
io.jwt.encode_sign  host  object[string: any], object[string: any], object[string: any] ->
      string  nondeterministic needs=cryptography
io.jwt.encode_sign_raw  host  string, string, string -> string  nondeterministic needs=cryptography
io.jwt.verify_rs256  host  string, string -> boolean  needs=cryptography
io.jwt.verify_rs384  host  string, string -> boolean  needs=cryptography
io.jwt.verify_rs512  host  string, string -> boolean  needs=cryptography
io.jwt.verify_ps256  host  string, string -> boolean  needs=cryptography
io.jwt.verify_ps384  host  string, string -> boolean  needs=cryptography
io.jwt.verify_ps512  host  string, string -> boolean  needs=cryptography
io.jwt.verify_es256  host  string, string -> boolean  needs=cryptography
io.jwt.verify_es384  host  string, string -> boolean  needs=cryptography
io.jwt.verify_es512  host  string, string -> boolean  needs=cryptography
io.jwt.verify_eddsa  host  string, string -> boolean  needs=cryptography
io.jwt.verify_hs256  host  string, string -> boolean
io.jwt.verify_hs384  host  string, string -> boolean
io.jwt.verify_hs512  host  string, string -> boolean
"""

GRAPHQL = """
graphql.is_valid  host  string | object[any: any], string | object[any: any] -> boolean  needs=graphql
graphql.parse  host  string | object[any: any], string | object[any: any] -> tuple[object[any: any],
      object[any: any]]  needs=graphql
graphql.parse_and_verify  host  string | object[any: any], string | object[any: any] ->
      tuple[boolean, object[any: any], object[any: any]]  needs=graphql
graphql.parse_query  host  string -> object[any: any]  needs=graphql
graphql.parse_schema  host  string -> object[any: any]  needs=graphql
graphql.schema_is_valid  host  string | object[any: any] -> boolean  needs=graphql
"""

SCHEMAS = """
json.match_schema  host  string | object[any: any], string | object[any: any] -> tuple[boolean,
      array[record[desc: string, error: string, field: string, type: string]]]  nondeterministic needs=jsonschema
json.verify_schema  host  string | object[any: any] -> tuple[boolean, null | string]  nondeterministic needs=jsonschema
"""

NET = """
net.cidr_contains  runtime  string, string -> boolean
net.cidr_contains_matches  runtime  string | array[string | array[any]] | object[string: string |
      array[any]] | set[string | array[any]], string | array[string |
      array[any]] | object[string: string | array[any]] | set[string
      | array[any]] -> set[tuple[any, any]]
net.cidr_expand  runtime  string -> set[string]
net.cidr_intersects  runtime  string, string -> boolean
net.cidr_is_valid  runtime  string -> boolean
net.cidr_merge  runtime  array[string] | set[string] -> set[string]
net.cidr_overlap  runtime  string, string -> boolean  deprecated
"""

IDENTIFIERS = """
uuid.rfc4122  host  string -> string  nondeterministic
uuid.parse  runtime  string -> object[string: any]
semver.compare  runtime  string, string -> number
semver.is_valid  runtime  any -> boolean
units.parse  runtime  string -> number
units.parse_bytes  runtime  string -> number
"""

REFLECTION = """
opa.runtime  host  -> object[string: any]  nondeterministic
trace  runtime  string -> boolean
print  compiler  any -> boolean  variadic
internal.print  runtime  array[set[any]] -> boolean
rego.parse_module  host  string, string -> object[string: any]
rego.metadata.chain  compiler  -> array[any]
rego.metadata.rule  compiler  -> any
"""

FAMILIES: tuple[tuple[str, str], ...] = (
    ("operators", OPERATORS),
    ("numbers", NUMBERS),
    ("bits", BITS),
    ("aggregates", AGGREGATES),
    ("arrays", ARRAYS),
    ("sets", SETS),
    ("objects", OBJECTS),
    ("strings", STRINGS),
    ("regex", REGEX),
    ("types", TYPES),
    ("encoding", ENCODING),
    ("graphs", GRAPHS),
    ("time", TIME),
    ("crypto", CRYPTO),
    ("certificates", CERTIFICATES),
    ("requests", REQUESTS),
    ("tokens", TOKENS),
    ("graphql", GRAPHQL),
    ("schemas", SCHEMAS),
    ("net", NET),
    ("identifiers", IDENTIFIERS),
    ("reflection", REFLECTION),
)

# Known to OPA and not to us: refused when a policy is compiled.
UNSERVED: tuple[str, ...] = ()
