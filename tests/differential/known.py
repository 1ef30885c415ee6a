"""Why a difference from OPA is expected. Each entry is one that is not ours, or that docs/differences.md lists."""

from __future__ import annotations

import re

from comparison import Difference
from source import Program


def reason(difference: Difference, source: Program) -> str:
    """The reason, empty when the difference is not expected."""
    ours, theirs = difference.ours, difference.theirs
    assert isinstance(ours, tuple) and isinstance(theirs, tuple)
    if ours[0] == theirs[0] == "refused":
        return "both refuse it; OPA stops at another error"
    if ours[0] == "accepted" and set(difference.kind()[1:]) == {"refused", "rego_type_error"}:
        return "the type of an operand of a user's function is not inferred"
    if ours[0] == "accepted" and "rego_unsafe_var_error" in difference.kind():
        return "OPA looks for variables of one closure in another"
    if ours[0] == "error":
        return "OPA skips a rule, or stops, before the statement that fails"
    if theirs[0] == "accepted" and difference.kind()[:2] == ("refused", "rego_unsafe_var_error"):
        return "OPA orders a call under `not` or `with` before what it is in; we call it unsafe"
    text = "".join(source.texts().values())
    if ours[0] == "value" and re.search(r"\} else :?= ", text) and ".g" in text:
        return "OPA drops the else value of a rule with a ref head beside one with a variable key"
    if "yaml.marshal" in text and ours[0] == theirs[0] == "value":
        return "another style of quotes in YAML"
    if "product(" in text and ours[0] == theirs[0] == "value":
        return "OPA 1.22 multiplies in 64-bit floating point"
    return ""
