"""GraphQL documents, JSON schemas and Rego modules: values, OPA as second opinion, and hostile input."""

from __future__ import annotations

import json
import shutil
import subprocess
from decimal import Decimal
from typing import Any

import pytest
from calling import call
from test_calls import needs_opa

from cupcake.engine.builtins.values import BuiltinError

OPA = shutil.which("opa")


def opa(calls: list[tuple[str, tuple[object, ...]]]) -> list[Any]:
    """What OPA answers to each call; None where it is undefined."""
    rules = [
        f"r{i} := {name}({','.join(f'input[{i}][{at}]' for at in range(len(operands)))})"
        for i, (name, operands) in enumerate(calls)
    ]
    policy = "package t\n" + "\n".join(rules)
    query = f"data.t with input as {json.dumps([list(operands) for _, operands in calls])}"
    done = subprocess.run(
        [str(OPA), "eval", "--format", "json", "--data", "/dev/stdin", query],
        input=policy,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    answer = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    return [answer.get(f"r{i}") for i in range(len(calls))]


def ours(name: str, operands: tuple[object, ...]) -> Any:
    exact = [json.loads(json.dumps(operand), parse_float=Decimal) for operand in operands]
    try:
        return json.loads(json.dumps(call(name, *exact), default=float))
    except BuiltinError:
        return None


def without_defaults(value: Any) -> Any:
    """A GraphQL tree without members that only newer OPAs write."""
    if isinstance(value, list):
        return [without_defaults(item) for item in value]
    if isinstance(value, dict):
        newer = (("Description", ""), ("ExpectedTypeHasDefault", False))
        return {k: without_defaults(v) for k, v in value.items() if (k, v) not in newer}
    return value


# ---- GraphQL ----

SCHEMA = """
"Everything"
type Query { ship(id: ID!, where: Where = {near: [1, 2.5], tag: "a\\"b"}): Ship, all: [Ship!]! }
type Mutation { sink(id: ID!): Boolean @deprecated(reason: "rude") }
interface Named { name: String! }
type Ship implements Named & Sized { name: String!, size(unit: Unit = METRE): Float }
interface Sized { size(unit: Unit = METRE): Float }
union Any = Ship | Port
type Port { name: String }
enum Unit { METRE FOOT @deprecated }
input Where { near: [Float], tag: String }
scalar Date @specifiedBy(url: "https://example.org")
directive @log(level: Int! = 3) repeatable on FIELD | QUERY
extend type Port { any: Any }
extend schema { subscription: Port }
"""
QUERIES = [
    "{ all { name } }",
    'query Q($id: ID! = "x") @log(level: 2) { s: ship(id: $id) { ...F ... on Ship { size } } } '
    "fragment F on Ship { name @include(if: true) }",
    '{ ship(id: 3, where: {near: [1, -2e3], tag: """\n  block\n"""}) { name } }',
    "mutation { sink(id: 1) }",
    "# nothing",
    "{ __schema { types { name } } }",
]
INVALID = [
    "{ nothing }",
    "{ all }",
    "{ all { name { x } } }",
    "{ ship { name } }",
    '{ ship(id: 1, where: "x") { name } }',
    "{ ship(id: 1, id: 2) { name } }",
    "{ all { ...F } }",
    "{ all { ...F } } fragment F on Port { name }",
    "{ all { ...F } } fragment F on Ship { ...F }",
    "query Q($x: Int) { all { name } }",
    "{ all { name } } { all { name } }",
    "{ all { name: size name } }",
    "{ all { name @nothing } }",
    "subscription { missing }",
    "{ ",
    "type Query { a: Int }",
]
SCHEMAS = {
    SCHEMA: True,
    "": True,
    "type A { b: Int }": True,
    "extend type A { b: Int }": True,
    "type A { b: Missing }": False,
    "type A { b(c: A): Int }": False,
    "type A { b: Int } type A { c: Int }": False,
    "type A implements B { c: Int } interface B { d: Int }": False,
    "input A { b: B } type B { c: Int }": False,
    "scalar String": False,
    "type __A { b: Int }": False,
    "type A @nothing { b: Int }": False,
    "enum A { B B }": False,
    "union A = Int": False,
    "extend enum A { B } type A { b: Int }": False,
    "schema { query: Missing }": False,
    "{ a }": False,
}


@pytest.mark.parametrize("query", QUERIES)
def test_valid_queries(query: str) -> None:
    tree, schema = call("graphql.parse_query", query), call("graphql.parse_schema", SCHEMA)
    for given in (query, tree):
        for wanted in (SCHEMA, schema):
            assert call("graphql.is_valid", given, wanted) is True
            assert call("graphql.parse", given, wanted) == [tree, schema]
            assert call("graphql.parse_and_verify", given, wanted) == [True, tree, schema]


@pytest.mark.parametrize("query", INVALID)
def test_invalid_queries(query: str) -> None:
    assert call("graphql.is_valid", query, SCHEMA) is False
    assert call("graphql.parse_and_verify", query, SCHEMA) == [False, {}, {}]
    with pytest.raises(BuiltinError, match=r"graphql\.parse: "):
        call("graphql.parse", query, SCHEMA)


@pytest.mark.parametrize(("schema", "valid"), SCHEMAS.items())
def test_schemas(schema: str, valid: bool) -> None:
    assert call("graphql.schema_is_valid", schema) is valid


@needs_opa
def test_opa_agrees_on_graphql() -> None:
    calls: list[tuple[str, tuple[object, ...]]] = [("graphql.parse_schema", (SCHEMA,))]
    calls += [("graphql.parse_query", (query,)) for query in [*QUERIES, *INVALID]]
    calls += [("graphql.is_valid", (query, SCHEMA)) for query in [*QUERIES, *INVALID]]
    calls += [("graphql.schema_is_valid", (schema,)) for schema in SCHEMAS if "B B" not in schema]
    theirs = opa(calls)
    for given, answer in zip(calls, theirs, strict=True):
        assert without_defaults(ours(*given)) == without_defaults(answer), given


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expected Name, found <EOF> in GraphQL string at location 1:2"),
        ("{}", "expected at least one definition, found } in GraphQL string at location 1:2"),
        ('{a "x"}', "Expected Name, found String in GraphQL string at location 1:5"),
        ("{a(b: $)}", "Expected Name, found ) in GraphQL string at location 1:8"),
        ("{?}", "Unexpected <Invalid>"),
        ("{a" * 5_000, "nested too deeply"),
        ("{a(b: " + "[" * 5_000, "nested too deeply"),
        ("{" + "a " * 30_000 + "}", "more than 20000 tokens"),
    ],
)
def test_graphql_syntax_errors(text: str, message: str) -> None:
    with pytest.raises(BuiltinError) as raised:
        call("graphql.parse_query", text)
    assert message in raised.value.message


def test_fields_that_would_take_quadratic_time_are_refused() -> None:
    with pytest.raises(BuiltinError, match="too many fields of the same name"):
        call("graphql.parse", "{" + "a " * 5_000 + "}", "type Query { a: Int }")


@pytest.mark.parametrize(
    "tree",
    [
        {"Operations": 1},
        {"Operations": [1]},
        {"Operations": [{"Operation": "drop"}]},
        {"Operations": [{"Operation": "query", "SelectionSet": [{"Alias": 1, "Name": "a"}]}]},
        {"Operations": [{"Operation": "query", "SelectionSet": [{"Alias": "a", "Name": "a} {b"}]}]},
    ],
)
def test_trees_that_are_no_documents(tree: dict[str, Any]) -> None:
    assert call("graphql.is_valid", tree, SCHEMA) is False


# ---- JSON schemas ----

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
MATCHES: list[tuple[object, object]] = [
    ({"type": "object", "required": ["a", "b"]}, {}),
    ({"type": ["string", "null"]}, {"a": 1}),
    ({"properties": {"a": {"anyOf": [{"type": "string"}, {"minimum": 5}]}}}, {"a": 3}),
    ({"properties": {"a": {"oneOf": [{"type": "integer"}, {"minimum": 1}]}}}, {"a": 3}),
    ({"properties": {"a": {"allOf": [{"type": "string"}, {"minimum": 5}]}}}, {"a": 3}),
    ({"properties": {"a": {"not": {"type": "integer"}}}}, {"a": 3}),
    ({"properties": {"a": {"enum": [1, "x", {"b": 2}]}}}, {"a": 3}),
    ({"properties": {"a": {"const": {"k": [1, None]}}}}, {"a": 3}),
    ({"properties": {"a": {"const": {"k": [1, None]}}}}, {"a": {"k": [1.0, None]}}),
    ({"additionalProperties": False, "properties": {"a": {}}}, {"a": 3, "b": 1}),
    ({"additionalProperties": {"type": "string"}}, {"b": 1}),
    ({"properties": {"a": {"items": {"type": "string"}}}}, {"a": ["x", 1, None, True, 1.5]}),
    ({"properties": {"a": {"items": [{}], "additionalItems": False}}}, {"a": ["x", 1]}),
    ({"properties": {"a": {"minItems": 3}}}, {"a": [1]}),
    ({"properties": {"a": {"maxItems": 1, "uniqueItems": True}}}, {"a": [1, 1.0]}),
    ({"properties": {"a": {"contains": {"type": "string"}}}}, {"a": [1]}),
    ({"minProperties": 3}, {"a": 1}),
    ({"maxProperties": 0}, {"a": 1}),
    ({"patternProperties": {"^x": {"type": "string"}}}, {"xa": 1, "b": 1}),
    ({"propertyNames": {"maxLength": 1}}, {"xa": 1}),
    ({"properties": {"a": {"minLength": 2}}}, {"a": "\u00e9"}),
    ({"properties": {"a": {"maxLength": 1}}}, {"a": "bb"}),
    ({"properties": {"a": {"multipleOf": 0.1}}}, {"a": 0.3}),
    ({"properties": {"a": {"multipleOf": 3}}}, {"a": 4}),
    ({"properties": {"a": {"minimum": 1.5}}}, {"a": 1}),
    ({"properties": {"a": {"exclusiveMaximum": 3}}}, {"a": 3}),
    ({"dependencies": {"a": ["b"]}}, {"a": 1}),
    ({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False}, {"a": 1}),
    ({"if": {"required": ["a"]}, "else": {"required": ["c"]}}, {}),
    ({"properties": {"a": False}}, {"a": 1}),
    ({"properties": {"a": {"format": "ipv4"}}}, {"a": "1.2.3.256"}),
    ({"properties": {"a": {"format": "date"}}}, {"a": "2024-02-30"}),
    ({"properties": {"a": {"format": "unheard-of"}}}, {"a": "x"}),
    ({"definitions": {"n": {"properties": {"n": {"$ref": "#/definitions/n"}}, "type": "object"}},
      "$ref": "#/definitions/n"}, {"n": {"n": 1}}),
    ({"type": "integer"}, "1.0"),
    # A part that names its draft again, and one with an address of its own, which `#` then stands for.
    ({"properties": {"a": {"$schema": DRAFT_7, "minItems": 1, "pattern": "^(a+)+$"}}}, {"a": []}),
    ({"$schema": DRAFT_7, "$id": "http://a.invalid/s", "properties": {"a": {"$ref": "t#/definitions/k"}},
      "definitions": {"t": {"$id": "http://a.invalid/t", "definitions": {
          "k": {"$ref": "#/definitions/l"}, "l": {"type": "string"}}}}}, {"a": 1}),
]  # fmt: skip
VERIFIED: list[str] = [
    "{}", "true", "5", "[]", "nonsense", '{"type": "strange"}', '{"type": 5}', '{"properties": 5}',
    '{"properties": {"a": 5}}', '{"required": "a"}', '{"required": ["a", "a"]}', '{"minimum": "1"}',
    '{"pattern": 5}', '{"minLength": -1}', '{"items": 5}', '{"enum": 5}', '{"multipleOf": 0}',
    '{"additionalProperties": 5}', '{"not": 5}', '{"uniqueItems": 5}', '{"title": 5}', '{"$ref": 5}',
    '{"$ref": "#/definitions/x"}', '{"minimum": 1, "exclusiveMinimum": true}',
    '{"patternProperties": {"(": {}}}', '{"definitions": {"a": {"type": "bogus"}}}',
]  # fmt: skip


@needs_opa
def test_opa_agrees_on_schemas() -> None:
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("json.match_schema", (document, schema)) for schema, document in MATCHES
    ]
    calls += [("json.verify_schema", (schema,)) for schema in VERIFIED]
    for given, answer in zip(calls, opa(calls), strict=True):
        assert ours(*given) == answer, given


@pytest.mark.parametrize(
    ("schema", "document", "wrong"),
    [
        ({"properties": {"a": {"pattern": "^x+$"}}}, {"a": "xxy"}, ["pattern"]),
        ({"properties": {"a": {"pattern": "\\bcat\\b"}}}, {"a": "a cat!"}, []),
        ({"properties": {"a": {"pattern": "(?m)^b.$"}}}, {"a": "a\nbc\n"}, []),
        ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 3000 + "b"}, ["pattern"]),
        ({"$ref": "#/definitions/a", "definitions": {"a": {"type": "array"}}}, {}, ["invalid_type"]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3,
          "exclusiveMinimum": True}, "3", ["number_gt"]),
        ({"properties": {"a": {"$schema": DRAFT_7, "minItems": 1}}}, {"a": []}, ["array_min_items"]),
        ({"$id": "http://a.invalid/s", "properties": {"a": {"$ref": "t#/definitions/k"}},
          "definitions": {"t": {"$id": "http://a.invalid/t", "definitions": {
              "k": {"$ref": "#/definitions/l"}, "l": {"type": "string"}}}}}, {"a": 1}, ["invalid_type"]),
    ],
)  # fmt: skip
def test_matches(schema: Any, document: Any, wrong: list[str]) -> None:
    valid, errors = call("json.match_schema", document, schema)
    assert (valid, [error["type"] for error in errors]) == (not wrong, wrong)


DOUBLING = {
    "definitions": {
        **{f"d{i}": {"allOf": [{"$ref": f"#/definitions/d{i + 1}"}] * 2} for i in range(40)},
        "d40": {},
    },
    "$ref": "#/definitions/d0",
}


@pytest.mark.parametrize(
    ("schema", "document", "message"),
    [
        ({"$ref": "#"}, "1", "nested too deeply"),
        (DOUBLING, "1", "too much work"),
        ({"items": {"$ref": "#"}}, "[" * 400 + "]" * 400, "nested too deeply"),
        ({"pattern": "(a|aa){1,500}b"}, json.dumps("a" * 100_000), "too much work"),
        ({"pattern": "(a)\\1"}, '"aa"', "pattern must be a valid regex"),
        ({"multipleOf": 3}, "1e999999", "too large"),
        ({"$ref": "http://127.0.0.1:9/x"}, "1", "nothing is fetched"),
        ({"$ref": "file:///etc/hostname"}, "1", "leads nowhere"),
        ({"$id": "http://127.0.0.1:9/", "$ref": "x"}, "1", "leads nowhere"),
        ({}, "not json", "invalid JSON string"),
        ({}, "NaN", "invalid JSON string"),
        ([], "1", "schema is invalid"),
    ],
)
def test_schemas_that_cannot_be_used(schema: Any, document: str, message: str) -> None:
    with pytest.raises(BuiltinError, match=message):
        call("json.match_schema", document, schema)


# ---- Rego ----

MODULE = """
# a comment
package foo.bar["x y"]

import rego.v1
import data.a.b as c

default allow := false

allow if { input.x == 1; not data.y; some i; z[i] with input.q as 3 with count as c }

p contains x if some x in [1, 2.5, "s", null, true]

q[x] := y if { x := "k"; y := {"a": {1, 2}, "b": [z | z := 1], "c": {k: v | k := 1; v := 2}} }

f(x, [y, _]) := x + y if every k, v in x { v > 1 } else := 3 if true

r.s.t := `raw`
r.u := 1
m[x] if x := 3
n contains {"a": 1}.a
u if count({s | s = 1}) > -1
o := {1, 2} | set()
{ 1 }
"""


@needs_opa
@pytest.mark.parametrize("text", [MODULE.replace("{ 1 }\n", ""), "package a", "package a\nx := 1"])
def test_opa_agrees_on_modules(text: str) -> None:
    call = ("rego.parse_module", ("x.rego", text))
    assert ours(*call) == opa([call])[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("package foo.", "rego_parse_error: unexpected eof token: expected ident"),
        ("", "rego_parse_error: empty module"),
        ("package a\nx := " + "[" * 100_000, "rego_parse_error"),
    ],
)
def test_modules_that_do_not_parse(text: str, message: str) -> None:
    with pytest.raises(BuiltinError, match=message):
        call("rego.parse_module", "x.rego", text)
