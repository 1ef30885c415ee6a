"""Our plans have the form of OPA's: its statements, with its fields, and nothing else once expanded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opa_build import Sources, build, plan_of
from programs import DATA, ENTRYPOINTS, TEXTS
from reference import executables

from cupcake.engine.plan.expand import expand
from cupcake.engine.plan.json_form import to_json
from cupcake.engine.plan.planner import plan
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module

# All statements of https://www.openpolicyagent.org/docs/ir
STATEMENTS = {
    f"{name}Stmt"
    for name in [
        "ArrayAppend",
        "AssignInt",
        "AssignVar",
        "AssignVarOnce",
        "Block",
        "Break",
        "Call",
        "CallDynamic",
        "Dot",
        "Equal",
        "IsArray",
        "IsDefined",
        "IsObject",
        "IsSet",
        "IsUndefined",
        "Len",
        "MakeArray",
        "MakeNull",
        "MakeNumberInt",
        "MakeNumberRef",
        "MakeObject",
        "MakeSet",
        "Nop",
        "Not",
        "NotEqual",
        "ObjectInsert",
        "ObjectInsertOnce",
        "ObjectMerge",
        "ResetLocal",
        "ResultSetAdd",
        "ReturnLocal",
        "Scan",
        "SetAdd",
        "With",
    ]
}


def statements(node: Any) -> Iterator[tuple[str, frozenset[str]]]:
    """Each statement's name with the names of its fields."""
    match node:
        case {"type": str() as name, "stmt": dict() as stmt}:
            # Newer OPAs say where a statement ends, and write one field with a small letter as well.
            newer = {"end_row", "end_col"} | ({"index"} if "Index" in stmt else set())
            yield name, frozenset(stmt) - newer
            yield from statements(list(stmt.values()))
        case dict():
            yield from statements(list(node.values()))
        case list():
            for item in node:
                yield from statements(item)


def forms(plan_json: Any) -> dict[str, set[frozenset[str]]]:
    found: dict[str, set[frozenset[str]]] = {}
    for name, names in statements(plan_json):
        found.setdefault(name, set()).add(names)
    return found


@pytest.fixture(scope="module")
def ours() -> Any:
    checked = check([parse_module(text, name) for name, text in TEXTS.items()], data_paths=DATA)
    return to_json(expand(plan(checked, ENTRYPOINTS)))


def test_expanded_plans_hold_only_statements_of_opa(ours: Any) -> None:
    assert set(forms(ours)) <= STATEMENTS


def test_their_parts_have_the_names_that_opa_gives_them(ours: Any, tmp_path: Any) -> None:
    opas = executables()
    if not opas:
        pytest.skip("no opa executable: PATH or CUPCAKE_OPAS")
    theirs = json.loads(
        plan_of(build(opas[-1], "plan", tmp_path, Sources(TEXTS, DATA, ENTRYPOINTS)))
    )
    assert set(ours) <= set(theirs)
    assert set(ours["static"]) <= set(theirs["static"])
    own, wanted = forms(ours), forms(theirs)
    shared = own.keys() & wanted.keys()
    assert len(shared) > 20
    assert {n: own[n] for n in shared} == {n: wanted[n] for n in shared}
