"""The policies that Rego engines are compared on: text, data, input, and the result that each must give.

Small ones lie in `policies/<name>/` as files; the large document and the many Cupcake policies are generated, from
nothing but arithmetic, so that every run sees the same bytes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cupcake.engine import library

POLICIES = Path(__file__).parent / "policies"
TOOLS = (
    "Bash",
    "Edit",
    "Write",
    "Read",
    "WebFetch",
    "Grep",
    "Glob",
    "Task",
    "mcp__db__query",
    "mcp__git__push",
)
EMPLOYEES, GROUPS, RESOURCES, DEPARTMENTS = 20_000, 1_200, 6_000, 150


@dataclass(frozen=True, slots=True)
class Case:
    """`entrypoint` as "a/b/c"; `expected`: its value as JSON. `kind`: which bar its whole evaluation has to meet."""

    name: str
    what: str
    modules: Mapping[str, str]
    data: Any
    input: Any
    entrypoint: str
    expected: Any
    kind: str

    @property
    def query(self) -> str:
        return "data." + self.entrypoint.replace("/", ".")


def cases() -> list[Case]:
    """All of them, small ones first."""
    return [
        _stored("rbac", "roles, inherited roles, grants by pattern", "authz/rbac/decision"),
        _stored("abac", "attributes, seven kinds of refusal", "authz/abac/decision"),
        _stored("kubernetes", "14 admission rules on a Deployment", "kubernetes/admission/review"),
        _stored("regex", "22 patterns over 3 KB of text and a command", "scan/report"),
        *(_cupcake(number) for number in (10, 100, 1000)),
        _stored(
            "large_lookup",
            "keys into 10 MB of data",
            "entitlements/decision",
            _organisation(),
            "large",
        ),
        _stored(
            "large_scan",
            "a department's members in 10 MB of data",
            "review/report",
            _organisation(),
            "large",
        ),
    ]


def _stored(name: str, what: str, entrypoint: str, data: Any = None, kind: str = "small") -> Case:
    folder = POLICIES / name
    if data is None and (folder / "data.json").exists():
        data = json.loads((folder / "data.json").read_text())
    return Case(
        name=name,
        what=what,
        modules={"policy.rego": (folder / "policy.rego").read_text()},
        data={} if data is None else data,
        input=json.loads((folder / "input.json").read_text()),
        entrypoint=entrypoint,
        expected=json.loads((folder / "expected.json").read_text()),
        kind=kind,
    )


# -- Cupcake's aggregation: the stock system/evaluate.rego over many policies, a tenth of them about the event's tool

_COMMAND = """package cupcake.policies.team{number}

import rego.v1

deny contains {{"rule_id": "CMD-{number}", "reason": sprintf("team {number} forbids %s", [word]), "severity": "HIGH"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	some word in forbidden
	contains(input.tool_input.command, word)
}}

ask contains {{"rule_id": "CMD-ASK-{number}", "reason": "is this meant?", "severity": "MEDIUM"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	startswith(trim_space(input.tool_input.command), "deploy-{number}")
}}

forbidden := {{"drop-table-{number}", "wipe-disk-{number}", "{word}"}}
"""

_PATHS = """package cupcake.policies.paths{number}

import rego.v1

deny contains {{"rule_id": "PATH-{number}", "reason": concat(" ", ["protected:", target]), "severity": "HIGH"}} if {{
	is_write
	target := lower(object.get(input.tool_input, "file_path", ""))
	some pattern in protected
	glob.match(pattern, ["/"], target)
}}

add_context contains "generated files of part {number} are not edited by hand" if {{
	is_write
	endswith(input.tool_input.file_path, ".gen{number}.go")
}}

is_write if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name in {{"{tool}", "MultiEdit{number}"}}
}}

protected := ["/srv/app{number}/**", "/etc/part{number}/*.conf", "**/secrets{number}.y?ml"]
"""

_REGEX = """package cupcake.policies.review{number}

import rego.v1

halt contains {{"rule_id": "HALT-{number}", "reason": "production of team {number}", "severity": "CRITICAL"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	regex.match(`(^|\\s)prod-{number}(\\s|$)`, input.tool_input.command)
}}

modify contains {{"rule_id": "MOD-{number}", "reason": "dry run first", "priority": 50, "updated_input": {{"command": changed}}}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	input.tool_input.command == "apply {number}"
	changed := sprintf("%s --dry-run", [input.tool_input.command])
}}
"""


def _cupcake(count: int) -> Case:
    modules = {"system/evaluate.rego": library.library_text("evaluate.rego")}
    for number in range(count):
        template = (_COMMAND, _PATHS, _REGEX)[number % 3]
        tool = TOOLS[number * 7 % 10]
        modules[f"policies/p{number}.rego"] = template.format(
            number=number, tool=tool, word="git push --force" if number % 60 == 0 else f"x{number}"
        )
    event = {
        "session_id": "b6f1c1c2-6f0e-4ac5-9d7a-0f2a7a1f6a10",
        "transcript_path": "/home/dev/.claude/projects/app/b6f1c1c2.jsonl",
        "cwd": "/home/dev/app",
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {
            "command": "git push --force origin main && make prod-20",
            "description": "push the branch",
        },
        "permission_mode": "default",
    }
    denials = [
        {
            "reason": f"team {number} forbids git push --force",
            "rule_id": f"CMD-{number}",
            "severity": "HIGH",
        }
        for number in sorted(range(0, count, 60), key=lambda n: f"team{n}")
    ]
    halts = [{"reason": "production of team 20", "rule_id": "HALT-20", "severity": "CRITICAL"}]
    return Case(
        name=f"cupcake_{count}",
        what=f"the stock aggregation over {count} policies, {count // 10} about the event's tool",
        modules=modules,
        data={},
        input=event,
        entrypoint="cupcake/system/evaluate",
        expected={
            "halts": halts if count > 20 else [],
            "denials": denials,
            "blocks": [],
            "asks": [],
            "modifications": [],
            "allow_overrides": [],
            "add_context": [],
        },
        kind="aggregation",
    )


# -- a large document


@functools.cache
def _organisation() -> Any:
    """10 MB of JSON: employees, their groups, grants of groups on classes of resources, departments."""
    classes = ("database", "queue", "bucket", "dashboard", "service")
    regions = ("eu-west", "eu-north", "us-east", "us-west", "ap-south")
    actions = ("read", "write", "admin", "restore", "rotate")
    employees = {
        f"e{n:05}": {
            "name": f"Person {n * 7919 % EMPLOYEES:05}",
            "mail": f"person{n:05}@example.com",
            "title": f"engineer of level {n % 9}",
            "department": f"dept{n % DEPARTMENTS:03}",
            "region": regions[n * 3 % 5],
            "groups": [f"g{(n // 7 * k * 31 + k) % GROUPS:04}" for k in range(1, 3 + n % 6)],
            "chain": [f"e{(n // 12**k) % EMPLOYEES:05}" for k in range(1, 4)]
            + (["e99999"] if n % 500 == 7 else []),
            "last_login": f"2026-{1 + n // DEPARTMENTS * 5 % 12:02}-{1 + n * 11 % 28:02}",
            "phones": [
                {"kind": "desk", "number": f"+49 30 {n:07}"},
                {"kind": "mobile", "number": f"+49 151 {n:08}"},
            ],
            "address": {
                "street": f"{n % 300} Example Street",
                "city": f"City {n % 97}",
                "code": f"{10000 + n % 8999}",
            },
        }
        for n in range(EMPLOYEES)
    }
    groups = {
        f"g{n:04}": {
            "title": f"group {n}",
            "grants": {
                c: [a for j, a in enumerate(actions) if (n + i) % (3 * j + 2) == 0]
                for i, c in enumerate(classes)
            },
        }
        for n in range(GROUPS)
    }
    resources = {
        f"r{n:05}": {
            "class": classes[n % 5],
            "owner": f"dept{n % DEPARTMENTS:03}",
            "regions": [regions[n % 5], regions[(n + 2) % 5]],
            "sensitivity": n % 5,
        }
        for n in range(RESOURCES)
    }
    departments = {
        f"dept{d:03}": {
            "title": f"Department {d}",
            "members": [f"e{n:05}" for n in range(d, EMPLOYEES, DEPARTMENTS)],
        }
        for d in range(DEPARTMENTS)
    }
    return {
        "org": {
            "employees": employees,
            "groups": groups,
            "resources": resources,
            "departments": departments,
        }
    }
