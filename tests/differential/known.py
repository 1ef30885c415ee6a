"""Why a difference from OPA is expected. Each entry is one that is not ours, or that docs/differences.md lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from comparison import Difference, canonical, compare
from reference import Answer, Fault, Outcome, Reference
from source import Program


def reason(difference: Difference, source: Program, references: Sequence[Reference]) -> str:
    """The reason, empty when the difference is not expected. `source`: the program that it is of."""
    ours, theirs = difference.ours, difference.theirs
    assert isinstance(ours, tuple) and isinstance(theirs, tuple)
    newest = references[-1]
    if difference.version != newest.opa.version and not _differs(difference, source, newest):
        return "the newest OPA says what we say"
    others = [r for r in references if r.opa.version != difference.version]
    if theirs[0] == "refused" and (why := _said_elsewhere(difference, source, others)):
        return why
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
    if "yaml.marshal" in text and ours[0] == theirs[0] == "value":
        return "another style of quotes in YAML"
    if difference.version > (1, 7) and re.search(
        r"not (true|false)$|\btrue with ", text, re.MULTILINE
    ):
        return "OPA 1.22 leaves out `not true` and `true with ...`, which do not hold"
    if difference.version > (1, 7) and "%!(EXTRA int64" in str(theirs):
        return "OPA 1.22 names another type of Go in what `sprintf` is given too much of"
    if ours[0] == theirs[0] == "value" and _unescaped(ours[1]) == _unescaped(theirs[1]):
        return "OPA writes < and > as escapes where an array is the key of an object"
    if "product(" in text and ours[0] == theirs[0] == "value":
        return "OPA 1.22 multiplies in 64-bit floating point"
    return ""


def _unescaped(value: object) -> str:
    return canonical(value).replace("\\\\u003c", "<").replace("\\\\u003e", ">")


def _said_elsewhere(
    difference: Difference, source: Program, others: Sequence[Reference]
) -> str:
    """Why what OPA says of a program that it refuses is not what we say. What we say beyond that needs no reason: without
    what OPA refuses the program is compared once more."""
    assert isinstance(difference.ours, tuple) and isinstance(difference.theirs, tuple)
    ours, theirs = difference.ours[2], difference.theirs[2]
    missing = [fault for fault in theirs if not _is_said(fault, ours)]
    if not missing:
        return "OPA stops before the next error, or gives all uses of a ref the row of the last one"
    if all(_of_types(fault, difference, source, others) for fault in missing):
        return "what only one OPA refuses for its types, or only for types of a wrong function or argument"
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


def _of_types(
    fault: Fault, difference: Difference, source: Program, others: Sequence[Reference]
) -> bool:
    """Whether we mean to accept what OPA refuses for its type (docs/differences.md)."""
    if fault.code != "rego_type_error":
        return False
    ours = difference.ours[2] if isinstance(difference.ours, tuple) else frozenset()
    if fault.message.startswith("undefined function data.") and any(
        our.code == fault.code for our in ours
    ):
        return True  # a wrong function: OPA blames those who call it, too
    text = source.texts().get(fault.file, "")
    if _in_function(text, fault.row):
        return True  # of an argument in a set or a closure OPA forgets that it may be anything
    able = [r for r in others if r.opa.has_templates or not source.has_templates]
    if not able:
        line = text.split("\n")[fault.row - 1] if fault.row else text
        return difference.version > (1, 7) and bool(re.search(r"\bin\b|\[\]|{}|set\(\)", line))
    return not all(_says(fault, reference.run(source)) for reference in able)


def _says(fault: Fault, answer: Answer) -> bool:
    """Whether another OPA refuses the same place for its type."""
    return isinstance(answer, list) and any(
        (other.code, other.file, other.row) == (fault.code, fault.file, fault.row)
        for other in answer
    )


def _in_function(text: str, row: int) -> bool:
    """Whether the last rule that begins before the row, or there, has arguments."""
    heads = re.findall(r"^(?:default )?r\d+.*", "\n".join(text.split("\n")[:row]), re.MULTILINE)
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
    found = compare(replace(source, strict=False), references)
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
                if theirs[0] == "error" and (theirs[1], theirs[3]) == (ours[1], ours[3]):
                    return True
    return False
