"""`--schema`, and `schemas:` in METADATA: the type errors that OPA finds, at its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cupcake.engine.builtins.types import (
    ANY,
    BOOLEAN,
    NUMBER,
    STRING,
    Any,
    ArrayOf,
    ObjectOf,
    Type,
)
from cupcake.engine.rego.schemas import SchemaProblem, schema_type

Run = Callable[..., tuple[int, str, str]]

INPUT = {
    "type": "object",
    "properties": {
        "user": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "pos": {"type": "array", "items": [{"type": "number"}, {"type": "string"}]},
        "any": {"type": "object"},
        "node": {"$ref": "#/definitions/node"},
        "alt": {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"k": {"type": "boolean"}}},
            ]
        },
        "all": {
            "allOf": [
                {"properties": {"a": {"type": "string"}}},
                {"properties": {"b": {"type": "number"}}},
            ]
        },
    },
    "definitions": {
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/definitions/node"}, "v": {"type": "string"}},
        }
    },
}
ACL = {
    "type": "object",
    "properties": {
        "roles": {
            "type": "object",
            "properties": {"admin": {"type": "array", "items": {"type": "string"}}},
        }
    },
}

#: Bodies, and what is wrong with them ("": nothing).
BODIES = [
    ('input.user == "x"', ""),
    ('input.usr == "x"', "undefined ref: input.usr"),
    ("input.user == 1", "match error"),
    ('input.age == "x"', "match error"),
    ('input.tags[_] == "a"', ""),
    ("input.tags[0].x", "undefined ref: input.tags[0].x"),
    ("input.tags.foo", "undefined ref: input.tags.foo"),
    ("some t in input.tags; t == 1", "match error"),
    ("input.pos[0] == 1", ""),
    ("input.pos[1] == 1", "match error"),
    ("input.pos[2]", "undefined ref: input.pos[2]"),
    ("input.any.thing.at.all", ""),
    ('input.node.next.next.v == "s"', ""),
    ("input.node.w", "undefined ref: input.node.w"),
    ("input.alt.k", ""),
    ("input.alt.z", "undefined ref: input.alt.z"),
    ("input.all.b == 1", ""),
    ("input.all.c", "undefined ref: input.all.c"),
    ('startswith(input.age, "a")', "startswith: invalid argument(s)"),
    ("x := input; x.usr", "undefined ref"),
    ('count(input.tags) == "1"', "match error"),
    ('input.usr with input as {"usr": 1}', ""),
    ("not input.usr", "undefined ref: input.usr"),
    ("every t in input.tags { t == 1 }", ""),
    ("count([x | x := input.usr]) == 0", "undefined ref: input.usr"),
    ("f(input.usr)", "undefined ref: input.usr"),
    ("data.foo.bar", ""),
]
#: What OPA 1.7 answers otherwise.
SINCE_1_7 = {"x := input; x.usr", 'input.usr with input as {"usr": 1}'}
#: METADATA, the body that it is for, and the error.
NOTES = [
    ("- input: schema.input", "input.usr", "undefined ref"),
    ('- input: schema["input"]', "input.usr", "undefined ref"),
    ("- input: schema.nope", "input.usr", "undefined schema: schema.nope"),
    ("- input: {type: object, properties: {a: {type: string}}}", "input.usr", "undefined ref"),
    ("- input: {type: nope}", "input.usr", "unable to compile the schema"),
    ("- data.acl: schema.sub.acl", "data.acl.roles.admin[_] == 1", "match error"),
    ("- data.acl: schema.sub.acl", "data.acl.nope", "undefined ref"),
    ("- data.acl: schema.sub.acl", "data.other", ""),
    ("- input.a.b: schema.input", "input.a.b.usr", "undefined ref"),
    ("- input.a.b: schema.input", "input.a.c", ""),
    ("- input: input", "input.usr", "invalid schema reference"),
    ("- input: 7", "input.usr", "invalid schema declaration"),
    ("- schema: schema.input", "input.usr", "invalid document reference"),
]


@pytest.fixture(params=[False, True], ids=["alone", "beside opa"])
def beside(request: pytest.FixtureRequest) -> Run | None:
    """The real `opa`, or None: what is expected holds without it too."""
    opa: Run | None = request.getfixturevalue("opa") if request.param else None
    return opa


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    schemas = tmp_path / "schemas"
    (schemas / "sub").mkdir(parents=True)
    (schemas / "input.json").write_text(json.dumps(INPUT), encoding="utf-8")
    (schemas / "sub" / "acl.json").write_text(json.dumps(ACL), encoding="utf-8")
    return schemas


def errors(run: Run, line: str) -> list[tuple[str, int, str]]:
    """(code, row, message) of each error of `check`."""
    _, out, err = run(f"check -f json {line}")
    text = out.strip() or err.strip()
    found = json.loads(text)["errors"] if text else []
    return [(e["code"], e.get("location", {}).get("row", 0), e["message"]) for e in found]


def judged(rego: Run, opa: Run | None, line: str, message: str) -> None:
    ours = errors(rego, line)
    assert [e for e in ours if message not in e[2]] == []
    assert bool(ours) == bool(message)
    if opa is not None:
        assert [e[:2] for e in ours] == [e[:2] for e in errors(opa, line)]


@pytest.mark.parametrize(("body", "message"), BODIES, ids=[b for b, _ in BODIES])
def test_a_schema_of_the_input(
    rego: Run, beside: Run | None, folder: Path, body: str, message: str
) -> None:
    if body in SINCE_1_7 and beside is not None and "Version: 1.7." in beside("version")[1]:
        pytest.skip("OPA 1.7 answers otherwise")
    policy = folder.parent / "p.rego"
    policy.write_text(f"package p\n\nf(x) := x\n\np if {{ {body} }}\n", encoding="utf-8")
    judged(rego, beside, f"{policy} -s {folder}/input.json", message)


@pytest.mark.parametrize("case", NOTES, ids=[f"{n} {b}" for n, b, _ in NOTES])
def test_schemas_of_a_rule(
    rego: Run, beside: Run | None, folder: Path, case: tuple[str, str, str]
) -> None:
    note, body, message = case
    policy = folder.parent / "p.rego"
    text = (
        f"package p\n\n# METADATA\n# schemas:\n# {note}\np if {{ {body} }}\n\nq if {{ {body} }}\n"
    )
    policy.write_text(text, encoding="utf-8")
    judged(rego, beside, f"{policy} -s {folder}", message)


@pytest.mark.parametrize("scope", ["package", "subpackages", "document", "rule"])
def test_the_scope_says_which_rules_see_a_schema(
    rego: Run, opa: Run, folder: Path, scope: str
) -> None:
    note = f"# METADATA\n# scope: {scope}\n# schemas:\n# - input: schema.input\n"
    of_package = note if scope in ("package", "subpackages") else ""
    of_rule = "" if of_package else note
    rules = "p if { input.usr }\n\np if { input.usr == 2 }\n\nq if { input.usr }\n"
    policies = folder.parent / "policies"
    policies.mkdir()
    (policies / "a.rego").write_text(f"{of_package}package a\n\n{of_rule}{rules}", "utf-8")
    (policies / "b.rego").write_text(f"package a.b\n\n{rules}", encoding="utf-8")
    line = f"{policies} -s {folder}"
    assert {e[:2] for e in errors(rego, line)} == {e[:2] for e in errors(opa, line)}
    assert (
        len(errors(rego, line)) == {"package": 3, "subpackages": 6, "document": 2, "rule": 1}[scope]
    )


def test_a_nearer_schema_lies_over_a_farther_one(rego: Run, folder: Path) -> None:
    policy = folder.parent / "p.rego"
    policy.write_text(
        "# METADATA\n# schemas:\n# - input: schema.input\npackage p\n\n# METADATA\n# schemas:\n"
        "# - input.user: {type: object, properties: {name: {type: string}}}\n"
        'p if input.user.name == "x"\n\nq if input.user.name == "x"\n',
        encoding="utf-8",
    )
    assert [e[1] for e in errors(rego, f"{policy} -s {folder}")] == [11]


def test_eval_and_test_check_types_too(rego: Run, opa: Run, folder: Path) -> None:
    line = f"eval -s {folder}/input.json input.usr"
    for run in (rego, opa):
        code, out, _ = run(line)
        assert (code, "undefined ref: input.usr" in out) == (2, True)
    test = folder.parent / "p_test.rego"
    test.write_text("package p\n\ntest_x if input.usr\n", encoding="utf-8")
    assert rego(f"test {test} -s {folder}/input.json")[0] == 1


def test_a_schema_that_is_not_there_is_named(rego: Run) -> None:
    code, _, err = rego("check policy.rego -s nowhere.json")
    assert (code, "--schema nowhere.json: no such file" in err) == (1, True)


TYPES: list[tuple[object, Type]] = [
    (True, ANY),
    ({}, ANY),
    ({"type": ["null", "string"]}, STRING),
    ({"properties": {"a": {}}}, ObjectOf((("a", ANY),))),
    ({"items": {"type": "number"}}, ArrayOf(rest=NUMBER)),
    ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, Any((STRING, BOOLEAN))),
    ({"$ref": "#/d", "d": {"$ref": "#/d"}}, ANY),
    ({"allOf": [{"$ref": "#/a~1b"}], "a/b": {"type": "boolean"}}, BOOLEAN),
]


@pytest.mark.parametrize(("schema", "kind"), TYPES)
def test_the_type_of_a_schema(schema: object, kind: Type) -> None:
    assert schema_type(schema) == kind


DEEP: dict[str, object] = {}
for _ in range(30):
    DEEP = {"anyOf": [DEEP, DEEP]}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (7, "must be an object"),
        ({"$ref": "http://example.com/s"}, "only references inside"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        ({"allOf": [{"type": "string"}, {"type": "object"}]}, "unable to merge"),
        ({"properties": 7, "type": "object"}, "properties must be an object"),
        ({"allOf": [{"$ref": "#/a"}], "a": {"$ref": "#/a"}}, "too large"),
        (DEEP, "too large"),
    ],
    ids=["number", "remote", "dangling", "merge", "properties", "circle", "deep"],
)
def test_a_schema_without_a_type_is_refused(schema: object, says: str) -> None:
    with pytest.raises(SchemaProblem, match=says):
        schema_type(schema)
