"""Why a difference from OPA is expected. Each entry is one that is not ours, or that docs/differences.md lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from comparison import Difference, canonical, compare, without_rows
from reference import Answer, Fault, Outcome, Reference
from source import Program

_SCALAR_NAME = re.compile(r"^r\d\S*\[(true|false|null|-?\d[\d.e]*)\]", re.MULTILINE)


def reason(difference: Difference, source: Program, references: Sequence[Reference]) -> str:
    """The reason, empty when the difference is not expected. `source`: the program that it is of."""
    ours, theirs = difference.ours, difference.theirs
    assert isinstance(ours, tuple) and isinstance(theirs, tuple)
    newest = references[-1]
    if difference.version != newest.opa.version:
        if not _differs(difference, source, newest):
            return "the newest OPA says what we say"
        if _says_otherwise(newest.run(source), difference.path, theirs):
            return "the newest OPA says something else, which is compared"
    others = [r for r in references if r.opa.version != difference.version]
    if theirs[0] == "refused" and (why := _said_elsewhere(difference, source, references)):
        return why
    if difference.kind() == ("refused", "rego_type_error", "accepted") and any(
        not _differs(difference, source, other) for other in others
    ):
        return "an older OPA refuses it, too: the newest forgets types beside empty sets"
    if ours[0] == "accepted" and "rego_unsafe_var_error" in difference.kind():
        return "OPA looks for variables of one closure in another"
    if ours[0] == "error" and _elsewhere(ours, source, references):
        return (
            "OPA makes only the part of a document that is asked for; we fail where the whole does"
        )
    if theirs[0] == "accepted" and difference.kind()[:2] == ("refused", "rego_unsafe_var_error"):
        return "OPA orders a call under `not` or `with` before what it is in; we call it unsafe"
    if source.strict and theirs[0] == "error" and _only_strict(difference, source, references):
        return "of several errors of builtins OPA meets, or reports, another one"
    text = "".join(source.texts().values())
    if ours[0] == "error" and source.strict and re.search(r"v\d+ := [\"\w-]+$", text, re.MULTILINE):
        return "the rule index of OPA looks through variables that are constants"
    if ours[0] == "error" and source.strict and " | " in _line(source, ours[3]):
        return "of operands OPA makes calls before closures"
    if ours[0] == "error" and re.search(r"^\t\[.*\(.*\] = \[.*\(", text, re.MULTILINE):
        return "of two arrays that are matched OPA makes the calls first"
    if ours[0] == "error" and re.search(r"strings\.any_(pre|suf)fix_match|glob\.match", text):
        return "the rule index of OPA 1.22 reads calls that ours does not"
    if "replace" in text and "\ufffd" in str(theirs[1]):
        return "OPA cuts letters where an empty text is replaced"
    if "yaml.marshal" in text and ours[0] == theirs[0] == "value":
        return "another style of quotes in YAML"
    if difference.version > (1, 7) and re.search(r"\bnot (true|false)\b|\btrue with ", text):
        return "OPA 1.22 leaves out `not true` and `true with ...`, which do not hold"
    if difference.version > (1, 7) and "%!(EXTRA int64" in str(theirs):
        return "OPA 1.22 names another type of Go in what `sprintf` is given too much of"
    if ours[0] == theirs[0] == "value" and _unescaped(ours[1]) == _unescaped(theirs[1]):
        return "OPA writes < and > as escapes where an array is the key of an object"
    if "product(" in text and ours[0] == theirs[0] == "value":
        return "OPA 1.22 multiplies in 64-bit floating point"
    return ""


def _line(source: Program, place: str) -> str:
    """The line at "file:row:col"."""
    file, row, _ = place.split(":")
    return source.texts()[file].split("\n")[int(row) - 1]


def _says_otherwise(answer: Answer, path: str, theirs: Outcome) -> bool:
    if not path:
        return isinstance(answer, list) and theirs[0] == "accepted"
    return isinstance(answer, dict) and path in answer and answer[path][:2] != theirs[:2]


def _unescaped(value: object) -> str:
    return canonical(value).replace("\\\\u003c", "<").replace("\\\\u003e", ">")


def _said_elsewhere(
    difference: Difference, source: Program, references: Sequence[Reference]
) -> str:
    """Why what OPA says of a program that it refuses is not what we say. What we say beyond that needs no reason: without
    what OPA refuses the program is compared once more."""
    assert isinstance(difference.ours, tuple) and isinstance(difference.theirs, tuple)
    ours, theirs = difference.ours[2], difference.theirs[2]
    if not any(fault.file for fault in theirs):
        if ours:
            return "OPA gives errors in template strings no place, and stops there"
        text = "".join(source.texts().values())
        if source.has_templates and re.search(r" with [\w.]*\br\d+ as is_", text):
            return "OPA 1.22 loses a variable of a template string under a function for another one"
    missing = [fault for fault in theirs if not _is_said(fault, ours)]
    if not missing:
        return "OPA stops before the next error, or gives all uses of a ref the row of the last one"
    said = [fault for fault in theirs if fault not in missing]
    missing = [fault for fault in missing if not _of_wrong_rule(fault, said, source)]
    if said and missing:
        (own,) = [r for r in references if r.opa.version == difference.version]
        rest = own.run(without_rows(source, said))
        missing = [fault for fault in missing if _says(fault, rest)]
    if not missing:
        return "it follows from what both refuse"
    others = [r for r in references if r.opa.version != difference.version]
    if all(_of_types(fault, difference, source, others) for fault in missing):
        return "what only one OPA refuses for its types, or only for types of an argument"
    return ""


def _is_said(fault: Fault, ours: frozenset[Fault]) -> bool:
    """Whether we say the same: at the same row, or in the same words where OPA's row is not its own."""
    return any(
        our.code == fault.code
        and (
            (our.file, our.row) == (fault.file, fault.row)
            or (
                our.message == fault.message
                and (not fault.row or fault.message.startswith("undefined ref: "))
            )
        )
        for our in ours
    )


def _of_wrong_rule(fault: Fault, said: Sequence[Fault], source: Program) -> bool:
    """Whether it is of a rule that both refuse: OPA forgets its type."""
    for other in said:
        lines = source.texts().get(other.file, "").split("\n")
        heads = [line for line in lines[: other.row] if re.match(r"r\d", line)]
        name = re.match(r"r\d+", heads[-1]) if heads else None
        if name and re.search(rf"\.{name[0]}\b", fault.message):
            return True
    return False


def _of_types(
    fault: Fault, difference: Difference, source: Program, others: Sequence[Reference]
) -> bool:
    """Whether we mean to accept what OPA refuses for its type (docs/differences.md)."""
    if fault.code != "rego_type_error":
        return False
    lines = source.texts().get(fault.file, "").split("\n")
    rows = [fault.row]
    if fault.message.startswith("undefined ref: "):  # all uses have the row of the last one
        name = fault.message.rpartition(".")[2]
        rows += [row for row, line in enumerate(lines, 1) if name in line]
    if any(_in_function(lines, row) for row in rows) or _gives_arguments(source):
        return True  # of an argument in a set or a closure OPA forgets that it may be anything
    if any(_SCALAR_NAME.search(text) for text in source.texts().values()):
        return True  # a name that is no string: OPA takes a variable in its place for a string
    able = [r for r in others if r.opa.has_templates or not source.has_templates]
    if not able:
        # Newer OPAs compare what `in` looks for, know that `[]`, `{}` and `set()` are empty, and types of `with`.
        text = "".join(source.texts().values())
        return difference.version > (1, 7) and bool(re.search(r"\bin\b|\[\]|{}|set\(\)|with", text))
    return not all(_says(fault, reference.run(source)) for reference in able)


def _says(fault: Fault, answer: Answer) -> bool:
    """Whether an OPA refuses the same place for the same reason."""
    return isinstance(answer, list) and any(
        (other.code, other.file, other.row) == (fault.code, fault.file, fault.row)
        and other.message[:12] == fault.message[:12]
        for other in answer
    )


def _gives_arguments(source: Program) -> bool:
    """Whether a function gives what it is given, so that others have what OPA knows nothing of."""
    return any(
        re.search(r"^r\d+\(.*\bv\d.*\) :?= .*\bv\d", text, re.MULTILINE)
        for text in source.texts().values()
    )


def _in_function(lines: Sequence[str], row: int) -> bool:
    """Whether the last rule that begins before the row, or there, has arguments."""
    heads = [line for line in lines[:row] if re.match(r"(default )?r\d", line)]
    return bool(heads) and re.match(r"(default )?r\d+\(", heads[-1]) is not None


def _differs(difference: Difference, source: Program, reference: Reference) -> bool:
    """Whether another OPA differs from us there, too. That both refuse a program is no difference."""
    return any(
        found.path == difference.path and not _both_refuse(found)
        for found in compare(source, [reference])
    )


def _both_refuse(difference: Difference) -> bool:
    return difference.kind().count("refused") == 2


def _only_strict(difference: Difference, source: Program, references: Sequence[Reference]) -> bool:
    """Whether all is the same where errors of builtins do not count."""
    found = compare(replace(source, strict=False), references[-1:])
    return all(d.path != difference.path for d in found)


def _elsewhere(ours: Outcome, source: Program, references: Sequence[Reference]) -> bool:
    """Whether an OPA gives our error when it is asked for whole documents."""
    whole = tuple(
        f"{module.package.replace('.', '/')}/{name}"
        for module in source.modules
        for name in dict.fromkeys(re.findall(r"^(r\d+)(?!\w|\()", module.text(), re.MULTILINE))
    )
    for reference in references:
        found = reference.run(replace(source, paths=whole))
        if isinstance(found, dict):
            for theirs in found.values():
                if theirs[0] == "error" and theirs[1] == ours[1] and theirs[3] in ("", ours[3]):
                    return True
    return False
