"""Run one program with our engine and with OPA, and say where the two differ. Shrink a program that does."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from reference import TOO_SLOW, Answer, Fault, Outcome, Reference
from source import MISSING, Program

from cupcake.engine import compile_policy
from cupcake.engine.artifact import Artifact
from cupcake.engine.errors import CompileErrors, EvaluationError, UnknownEntrypoints
from cupcake.engine.rego.parser import RegoVersion
from cupcake.engine.vm import UNDEFINED, Limits
from cupcake.engine.vm import load as load_policy

LIMITS = Limits(memory_bytes=256 << 20, seconds=10.0)
Found: TypeAlias = Answer
# Where OPA gives up for reasons of its own, or calls the path itself ill-typed: no comparison makes sense.
_NOT_COMPARED = ("eval_cancel_error", "internal_error", "eval_internal_error")
_RECENT: deque[tuple[Program, Found]] = deque(maxlen=4)
_THREADS = ThreadPoolExecutor(4)


@dataclass(frozen=True, slots=True)
class Difference:
    """`version` is that of the OPA."""

    path: str
    ours: object
    theirs: object
    version: tuple[int, int] = (0, 0)

    def kind(self) -> tuple[str, ...]:
        """What shrinking must keep."""
        if self.same_error:
            return ("place", *_kind(self.ours))
        return (*_kind(self.ours), *_kind(self.theirs))

    @property
    def same_error(self) -> bool:
        """Whether only the place of an error differs."""
        return _kind(self.ours) == _kind(self.theirs) and _kind(self.ours)[0] == "error"


def _kind(outcome: object) -> tuple[str, ...]:
    match outcome:
        case ("error", code, *_):
            return ("error", str(code))
        case ("refused", places, _):
            return ("refused", *sorted({p.split(":")[2] for p in str(places).split()}))
        case (word, *_):
            return (str(word),)
        case _:
            return ("?",)


def canonical(value: object) -> str:
    """Equal texts for equal JSON values: numbers by value."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float() | Decimal():
            number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            return str(number.normalize()) if number else "0"
        case str():
            return json.dumps("".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value))
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case dict():
            # OPA writes the zero of a negative division as -0.
            keys = {k: "0" if k == "-0" else k for k in value}
            pairs = sorted((canonical(keys[k]), canonical(v)) for k, v in value.items())
            return "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"
    raise TypeError(type(value).__name__)


def ours(program: Program) -> Found:
    """What our engine says. The last few programs are not run again."""
    for known, found in _RECENT:
        if known is program:
            return found
    found = _run(program)
    _RECENT.append((program, found))
    return found


def _run(program: Program) -> Found:
    unknown: tuple[str, ...] = ()
    try:
        artifact = _compiled(program, program.paths)
    except UnknownEntrypoints as e:  # of what lost rules on the way
        unknown = e.names
        artifact = _compiled(program, [path for path in program.paths if path not in unknown])
    except CompileErrors as e:
        return [Fault(d.code, d.row, d.message, d.file) for d in e.diagnostics]
    policy = load_policy(artifact, limits=LIMITS, quick=True)
    given = UNDEFINED if program.input is MISSING else program.input
    found: dict[str, Outcome] = {}
    for path in program.paths:
        if path in unknown:
            found[path] = ("undefined", None)
            continue
        try:
            value = policy.evaluate(path, given, strict_builtin_errors=program.strict)
            found[path] = ("undefined", None) if value is UNDEFINED else ("value", value)
        except EvaluationError as e:
            found[path] = ("error", e.code, e.message, f"{e.place}:{e.col}")
    return found


def _compiled(program: Program, paths: Sequence[str]) -> Artifact:
    version: RegoVersion = "v0" if program.v0 else "v1"
    return compile_policy(program.texts(), program.data, [*paths] or [""], version)


def without_faults(program: Program, reference: Reference, tries: int = 12) -> Program:
    """The program without the rules that OPA refuses."""
    for _ in range(tries):
        found = reference.run(program)
        if not isinstance(found, list):
            return program
        program = without_rows(program, found)
    return program


def without_rows(program: Program, faults: Iterable[Fault]) -> Program:
    """The program without the rules at the places of `faults`; rows of the other rules stay where they are."""
    for fault in faults:
        if fault.file:
            program = _without_row(program, int(fault.file[1:]), fault.row)
    return program


def _without_row(program: Program, number: int, row: int) -> Program:
    module = program.modules[number]
    at = 2 + len(module.imports)
    rules = list(module.rules)
    for i, rule in enumerate(rules):
        height = rule.count("\n") + 1
        if at <= row < at + height:
            rules[i] = "\n" * (height - 1)
        at += height
    return program.with_module(number, replace(module, rules=tuple(rules)))


def _same(a: Outcome, b: Outcome) -> bool:
    if a[0] != b[0]:
        return False
    if a[0] == "error":
        return bool(a[1] == b[1] and (not b[3] or a[3] == b[3]))
    return canonical(a[1]) == canonical(b[1])


def differences(program: Program, reference: Reference) -> list[Difference]:
    """Each path whose outcome differs; one with path "" when one of the two refuses the program or fails otherwise."""
    return compare(program, [reference])


def compare(program: Program, references: Sequence[Reference]) -> list[Difference]:
    """What differs from any of the references; we run once, while they run."""
    references = [r for r in references if r.opa.has_templates or not program.has_templates]
    asked = [_THREADS.submit(reference.run, program) for reference in references]
    try:
        mine = ours(program)
    except Exception as e:
        return [Difference("", ("crash", f"{type(e).__name__}: {e}"), ("fine", None))]
    finally:
        wait(asked)
    return [d for reference in references for d in _compare(program, mine, reference)]


def compare_twice(
    program: Program, references: Sequence[Reference]
) -> list[tuple[Difference, Program]]:
    """What differs, in the program or in what the newest OPA leaves of it; each with the one of the two that it is of."""
    rest = _THREADS.submit(without_faults, program, references[-1])
    found = [(d, program) for d in compare(program, references)]
    accepted = rest.result()
    if accepted is not program:
        found += [(d, accepted) for d in compare(accepted, references)]
    return found


def _compare(program: Program, mine: Found, reference: Reference) -> list[Difference]:
    theirs = reference.run(program)
    if isinstance(theirs, dict) and TOO_SLOW in theirs.values():
        return []
    version = reference.opa.version
    if isinstance(theirs, list) and (last := _last_module(theirs)) + 1 < len(program.modules):
        mine = ours(replace(program, modules=program.modules[: last + 1], paths=()))
    if isinstance(theirs, list) or isinstance(mine, list):
        first = _first(mine)
        second = _first(theirs)
        return [] if first[:2] == second[:2] else [Difference("", first, second, version)]
    return [
        Difference(path, mine[path], theirs[path], version)
        for path in program.paths
        if not _same(mine[path], theirs[path]) and theirs[path][1] not in _NOT_COMPARED
    ]


def _last_module(found: list[Fault]) -> int:
    """OPA gets the modules one by one: those after the refused one were not read."""
    return max((int(f.file[1:]) for f in found if f.file), default=99)


def _first(found: Found) -> tuple[str, str, frozenset[Fault]]:
    """What a compile says: all its errors, of messages the first line (OPA's servers tell the rest apart)."""
    if isinstance(found, list):
        faults = frozenset(replace(f, message=f.message.partition("\n")[0]) for f in found)
        return ("refused", " ".join(sorted({f"{f.file}:{f.row}:{f.code}" for f in faults})), faults)
    return ("accepted", "", frozenset())


def shrink(program: Program, reference: Reference, kind: tuple[str, ...], path: str) -> Program:
    """The program without the rules, modules, lines and documents that the difference does not need."""

    def still(candidate: Program) -> bool:
        return any(d.path == path and d.kind() == kind for d in differences(candidate, reference))

    progress = True
    while progress:
        progress = False
        for candidate in _smaller(program):
            if still(candidate):
                program, progress = candidate, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    for i, module in enumerate(program.modules):
        if len(program.modules) > 1:
            yield replace(program, modules=program.modules[:i] + program.modules[i + 1 :])
        for j, rule in enumerate(module.rules):
            less = module.rules[:j] + module.rules[j + 1 :]
            yield program.with_module(i, replace(module, rules=less))
            lines = rule.split("\n")
            for k in range(len(lines)):
                if len(lines) > 1:
                    fewer = "\n".join(lines[:k] + lines[k + 1 :])
                    rules = (*module.rules[:j], fewer, *module.rules[j + 1 :])
                    yield program.with_module(i, replace(module, rules=rules))
        for j in range(len(module.imports)):
            rest = module.imports[:j] + module.imports[j + 1 :]
            yield program.with_module(i, replace(module, imports=rest))
    if isinstance(program.input, dict):
        for key in program.input:
            yield replace(program, input={k: v for k, v in program.input.items() if k != key})
    for key, document in program.data.items():
        for inner in document:
            rest_of = {k: v for k, v in document.items() if k != inner}
            yield replace(program, data={**program.data, key: rest_of})
