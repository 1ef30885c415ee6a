"""`cupcake rego parse`, `inspect` and `capabilities` print what `opa` prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]

POLICIES = {
    "small": "package a.b\n\nimport data.x.y as z\nimport input.q\n\np := 1\n\nq contains x if some x in z\n",
    "terms": """package a
# a comment
p := {"b": [1, {3, 2}, `raw`], "a": null, 1: true}
f(x) := y if { y := x + 1; not x == 2 } else := 3 if { every k, v in input.m { k != v } }
q[a].b := c if { a := "x"; c := -1.5 }
r if count([x | some x; input.q[x] = "<&>"]) > 1 with input as {} with data.z as null
s := {k: v | v := data.t[k]; input} if data.u[_] == input
default g(_) := 1
""",
    "notes": """# METADATA
# title: The package
# description: What it does
# authors:
# - Jane Doe <jane@example.com>
# organizations: [ACME]
# related_resources:
# - ref: https://example.com
#   description: more
# custom:
#   x: {a: 1}
package p.q

# METADATA
# title: allow it
# entrypoint: true
allow if {
	input.x == 1
	startswith(input.y, "a")
}
""",
}


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "p.rego"
    path.write_text(POLICIES[request.param], encoding="utf-8")
    return path


def without(value: Any, *names: str) -> Any:
    match value:
        case dict():
            return {k: without(v, *names) for k, v in value.items() if k not in names}
        case list():
            return [without(v, *names) for v in value]
    return value


def test_a_tree_for_people(rego: Run, opa: Run, policy: Path) -> None:
    assert rego(f"parse {policy}") == opa(f"parse {policy}")


def test_a_tree_as_json(rego: Run, opa: Run, policy: Path) -> None:
    ours, theirs = (json.loads(run(f"parse -f json {policy}")[1]) for run in (rego, opa))
    # Newer versions say which bodies were not written; names of heads are of no use beside `ref`.
    assert without(ours, "generated", "name", "key") == without(theirs, "generated", "name", "key")


def test_a_tree_without_comments(rego: Run, policy: Path) -> None:
    out = rego(f"parse -f json --json-include=-comments {policy}")[1]
    assert "comments" not in json.loads(out)


@pytest.mark.parametrize("what", ["notes", "notes/p.rego", "data", "policy.rego", "tests"])
@pytest.mark.parametrize("how", ["", "-a", "-f json", "-a -f json"])
def test_inspect_shows_what_opa_shows(rego: Run, opa: Run, how: str, what: str) -> None:
    line = f"inspect {how} {what}"
    ours, theirs = rego(line), opa(line)
    if "json" in line:
        assert json.loads(ours[1]) == json.loads(theirs[1])
    else:
        assert plain(ours[1]) == plain(theirs[1])
    assert ours[0] == theirs[0]


def plain(text: str) -> str:
    return text.translate(str.maketrans("│─┌┬┐├┼┤└┴┘", "|-+++++++++"))


def test_inspect_reads_manifests_and_archives(rego: Run, opa: Run, tmp_path: Path) -> None:
    assert rego(f"build -b notes -r r1 -o {tmp_path}/b.tar.gz")[0] == 0
    ours, theirs = (run(f"inspect {tmp_path}/b.tar.gz")[1] for run in (rego, opa))
    assert plain(ours) == plain(theirs)


def test_inspect_of_nothing_says_so(rego: Run, tmp_path: Path) -> None:
    code, _, err = rego(f"inspect {tmp_path}")
    assert (code, "neither a policy nor a data.json" in err) == (1, True)


def names(out: str) -> set[str]:
    return {b["name"] for b in json.loads(out)["builtins"]}


def test_capabilities_are_those_of_opa_of_that_version(rego: Run, opa: Run) -> None:
    for version in ("v0.34.2", "v0.68.0", "v1.2.0", "v1.7.0"):
        line = f"capabilities --version {version}"
        # Written by OPA's compiler, or refused by OPA itself; never called by a policy.
        apart = {"internal.print", "internal.test_case", "print", "internal.template_string"}
        assert names(rego(line)[1]) - apart == names(opa(line)[1]) - apart


def test_capabilities_can_be_given_back(rego: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(rego("capabilities --version v1.7.0")[1], encoding="utf-8")
    assert rego(f"eval -f raw --capabilities {path} 'count([1])'") == (0, "1\n", "")
    path.write_text(json.dumps({"builtins": [{"name": "plus"}], "features": ["rego_v1"]}))
    code, out, _ = rego(f"eval --capabilities {path} 'count([1 + 1])'")
    assert (code, "undefined function count" in out) == (2, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", '"builtins" must be a list'),
        ("{", "not JSON"),
        ('{"builtins": []}', "lack rego_v1"),
    ],
)
def test_a_file_that_is_no_capabilities_is_named(
    rego: Run, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    code, out, _ = rego(f"eval --capabilities {path} 1")
    assert (code, says in json.loads(out)["errors"][0]["message"]) == (2, True), out
