"""All targets of the Python side by name."""

from __future__ import annotations

from driver import Target

from targets import archives, modules, patterns, rego, values

TARGETS: dict[str, Target] = {
    target.name: target
    for file in (rego, modules, archives, values, patterns)
    for target in file.TARGETS
}
