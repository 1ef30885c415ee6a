"""From the files of a project to what is compiled: module texts, routing, configuration and findings. Pure.

A file that cannot be read as a policy is an error of the whole build. Files that the original leaves out for want
of routing are left out here too, each with a warning, because compiling them would make their rules fire.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cupcake.engine.errors import Diagnostic
from cupcake.engine.library import library_text
from cupcake.engine.policy.discovery import (
    CONFIG_DIR,
    GLOBAL_PREFIX,
    HARNESSES,
    Layer,
    ProjectSources,
    SourceFile,
)
from cupcake.engine.policy.metadata import KNOWN_EVENTS, BadMetadata, Head, read_head
from cupcake.engine.policy.origins import Origins, read_origins
from cupcake.engine.policy.routing import RoutedPolicy, Routing
from cupcake.engine.policy.rulebook import Findings, Rulebook, read_rulebook
from cupcake.engine.policy.signal import Signal

ENTRYPOINTS: Mapping[Layer, str] = {
    "project": "cupcake/system/evaluate",
    "global": "cupcake/global/system/evaluate",
}

_DECLARATION = re.compile(
    r"^(package[ \t]+)cupcake\.(policies\b|system[ \t]*(?=[\r\n#]|\Z))", re.MULTILINE
)
# A rule of a verb whose value is true, a text or a number: the aggregation iterates over it and finds nothing.
_NO_SET = re.compile(
    r"^(halt|deny|block|ask|modify|allow_override|add_context)[ \t]+"
    r"(?:if\b|:?=[ \t]*(?:true\b|\"|`|-?[0-9]|sprintf\())",
    re.MULTILINE,
)
_TOOL = re.compile(r"\*|[^\s|*,()\[\]^$]+")
_EVALUATE = re.compile(r"^(?:default[ \t]+)?evaluate\b", re.MULTILINE)
_COMMANDS = "cupcake.system.commands"


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One module to compile: a layer for one harness. `modules` is empty when there is nothing that could decide."""

    layer: Layer
    harness: str
    modules: Mapping[str, str]
    policies: tuple[RoutedPolicy, ...]
    rulebook: Rulebook
    origins: Origins

    @property
    def entrypoint(self) -> str:
        return ENTRYPOINTS[self.layer]


@dataclass(slots=True)
class _Collected:
    modules: dict[str, str] = field(default_factory=dict)
    policies: list[RoutedPolicy] = field(default_factory=list)
    decisive: dict[str, tuple[str, str]] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    has_evaluate: bool = False


def assemble(sources: ProjectSources) -> tuple[tuple[LayerPlan, ...], Findings]:
    """Plans for every harness that the project (or the global layer) has policies for, and what was found amiss."""
    findings = Findings()
    plans: list[LayerPlan] = []
    layers: tuple[tuple[Layer, str], ...] = (
        ("project", f"{CONFIG_DIR}/"),
        ("global", GLOBAL_PREFIX),
    )
    for layer, prefix in layers:
        files = [file for file in sources.files if file.layer == layer]
        if layer == "global" and sources.global_root is None:
            continue
        keep = sources.trusted and layer == "project"
        rulebook = _rulebook(files, prefix, layer, findings, keep_scripts=keep)
        for harness, own in _by_harness(files, prefix, sources.policy_folders, findings):
            plans.append(
                _plan(
                    layer,
                    harness,
                    own,
                    files=files,
                    prefix=prefix,
                    rulebook=rulebook,
                    findings=findings,
                )
            )
    if not any(plan.layer == "project" for plan in plans):
        findings.errors.append(
            Diagnostic(
                "project_error",
                "there is no folder with policies",
                f"{CONFIG_DIR}/policies",
                hint="run `cupcake init --harness claude`, or create .cupcake/policies/claude/",
            )
        )
    # A system file or the rulebook is read once for each harness: tell its faults once.
    findings.errors[:] = sorted(
        dict.fromkeys(findings.errors), key=lambda d: (d.file, d.row, d.col)
    )
    findings.warnings[:] = dict.fromkeys(findings.warnings)
    return tuple(plans), findings


def _by_harness(
    files: Iterable[SourceFile], prefix: str, folders: tuple[str, ...], findings: Findings
) -> list[tuple[str, list[SourceFile]]]:
    policies = f"{prefix}policies"
    present = [harness for harness in HARNESSES if f"{policies}/{harness}" in folders]
    helpers = f"{policies}/helpers/"
    ours = [
        file
        for file in files
        if file.path.startswith(policies + "/") and not file.path.startswith(helpers)
    ]
    if not present:
        if not ours or prefix == GLOBAL_PREFIX:
            return []
        # The layout before there were harness folders: one tree, and Claude Code the only agent.
        return [("claude", ours)]
    stray = [
        file for file in ours if not any(file.path.startswith(f"{policies}/{h}/") for h in present)
    ]
    findings.warnings.extend(
        Diagnostic(
            "policy_warning",
            "not compiled: it stands outside of the harness folders",
            file.path,
            hint=f"move it into {policies}/<harness>/",
        )
        for file in stray
    )
    return [
        (h, [file for file in ours if file.path.startswith(f"{policies}/{h}/")]) for h in present
    ]


def _rulebook(
    files: list[SourceFile], prefix: str, layer: Layer, findings: Findings, *, keep_scripts: bool
) -> Rulebook:
    """`keep_scripts`: the scripts that were read are the ones that run (trust), whatever lies there later."""
    by_path = {file.path: file.data for file in files}
    main = by_path.get(f"{prefix}rulebook.yml")
    older = by_path.get(f"{prefix}guidebook.yml")
    if main is not None:
        rulebook = read_rulebook(f"{prefix}rulebook.yml", main, findings)
    elif older is not None:
        rulebook = read_rulebook(f"{prefix}guidebook.yml", older, findings)
    else:
        rulebook = Rulebook()
    if layer == "global" and main is None:
        return rulebook  # global signals are loaded only beside a rulebook
    signals = dict(rulebook.signals)
    folder = f"{prefix}signals/"
    for file in files:
        rest = file.path.removeprefix(folder)
        if rest != file.path and "/" not in rest:
            content = file.data if keep_scripts else None
            signals.setdefault(_stem(rest), Signal(script=f"signals/{rest}", content=content))
    for name, (command, timeout) in rulebook.builtins.signals.items():
        signals.setdefault(name, Signal(command, timeout))
    return replace(rulebook, signals=signals)


def _plan(
    layer: Layer,
    harness: str,
    own: list[SourceFile],
    *,
    files: list[SourceFile],
    prefix: str,
    rulebook: Rulebook,
    findings: Findings,
) -> LayerPlan:
    collected = _Collected()
    enabled = set(rulebook.builtins.enabled)
    present: set[str] = set()
    for file in own:
        folder, _, name = file.path.rpartition("/")
        if folder.endswith("/builtins"):
            if _stem(name) not in enabled:
                continue
            present.add(_stem(name))
        _take(file, layer, collected, findings, set(rulebook.signals))
    system = [file for file in files if file.path.startswith(f"{prefix}system/")]
    for file in system:
        _take(file, layer, collected, findings, set(rulebook.signals))
    for file in _helpers(files, prefix):
        if file.path not in collected.modules:
            _take_helper(file, layer, collected, findings)
    for name in sorted(enabled - present):
        # Only where the harness could have it: the claude_code_ builtins exist for no other harness.
        if harness == "claude" or not name.startswith("claude_code_"):
            findings.warnings.append(
                Diagnostic(
                    "policy_warning",
                    f"builtin `{name}` is enabled, but its policy file is absent: it decides nothing",
                    f"{prefix}policies/{harness}/builtins/{name}.rego",
                )
            )
    if not collected.decisive:
        findings.warnings.append(
            Diagnostic(
                "policy_warning",
                f"no policy for {harness} takes part: this layer allows everything",
                f"{prefix}policies/{harness}",
            )
        )
        return LayerPlan(layer, harness, {}, (), rulebook, Origins())
    _add_library(layer, collected)
    return LayerPlan(
        layer,
        harness,
        collected.modules,
        tuple(collected.policies),
        rulebook,
        read_origins(collected.decisive),
    )


def _helpers(files: list[SourceFile], prefix: str) -> list[SourceFile]:
    for folder in (f"{prefix}helpers/", f"{prefix}policies/helpers/"):
        found = [
            file
            for file in files
            if file.path.startswith(folder) and "/" not in file.path[len(folder) :]
        ]
        if found:
            return found
    return []


def _take(
    file: SourceFile, layer: Layer, collected: _Collected, findings: Findings, signals: set[str]
) -> None:
    text = _text(file, findings)
    head = None if text is None else _head(file, text, findings)
    if text is None or head is None:
        return
    if head.package == "cupcake.system" or head.package.startswith(
        ("cupcake.system.", "cupcake.global.system")
    ):
        if head.routing is not None and not head.routing.is_empty:
            findings.errors.append(
                _at(
                    file,
                    head.metadata_row,
                    "a system policy must not have routing",
                    "empty its routing lists",
                )
            )
            return
        if "/system/" not in file.path and _EVALUATE.search(text):
            findings.warnings.append(
                _at(
                    file,
                    head.package_row,
                    "a policy file defines `evaluate` of the system: it alone says what counts as a decision",
                    "if that is meant, move it into .cupcake/system/",
                    code="policy_warning",
                )
            )
        _keep(file.path, text, head, layer, collected)
        return
    if head.routing is None:
        what = (
            "no METADATA block"
            if not head.has_metadata
            else "no custom.routing in its METADATA block"
        )
        findings.warnings.append(
            _at(
                file,
                head.package_row,
                f"not compiled: the policy has {what}",
                "say which events it judges: custom.routing.required_events",
                code="policy_warning",
            )
        )
        return
    if not _routing_is_usable(file, head, head.routing, signals, findings):
        return
    for found in _NO_SET.finditer(text):
        verb = found.group(1)
        findings.errors.append(
            _at(
                file,
                text.count("\n", 0, found.start()) + 1,
                f"`{verb}` must be a set of decisions; with this value it decides nothing",
                f"write `{verb} contains decision if {{ ... }}`",
            )
        )
    package = _keep(file.path, text, head, layer, collected)
    collected.policies.append(RoutedPolicy(package, file.path, head.routing))
    collected.decisive[file.path] = (package, text)


def _routing_is_usable(
    file: SourceFile, head: Head, routing: Routing, signals: set[str], findings: Findings
) -> bool:
    if routing.tools and not routing.events:
        findings.errors.append(
            _at(
                file,
                head.metadata_row,
                "required_tools without required_events",
                "add required_events",
            )
        )
        return False

    def warn(text: str) -> None:
        findings.warnings.append(_at(file, head.metadata_row, text, "", code="policy_warning"))

    for event in routing.events:
        if event not in KNOWN_EVENTS:
            warn(f"no known agent sends the event `{event}`")
    for name in routing.signals:
        if name not in signals:
            warn(f"the required signal `{name}` does not exist")
    if not routing.events:
        warn("the policy is routed for no event; its rules only run when another policy is routed")
    for tool in routing.tools:
        if _TOOL.fullmatch(tool) is None:
            warn(
                f"`{tool}` is no tool's name: required_tools are compared as they are, or `*` for all"
            )
    if not re.match(r"cupcake(\.global)?\.policies(\.|\Z)|cupcake\Z", head.package):
        warn(f"package {head.package} is outside of cupcake.policies: its rules decide nothing")
    return True


def _take_helper(file: SourceFile, layer: Layer, collected: _Collected, findings: Findings) -> None:
    text = _text(file, findings)
    head = None if text is None else _head(file, text, findings)
    if text is not None and head is not None:
        _keep(file.path, text, head, layer, collected)


def _keep(path: str, text: str, head: Head, layer: Layer, collected: _Collected) -> str:
    package = head.package
    if layer == "global":
        text, package = _into_global(text, package)
    collected.modules[path] = text
    collected.packages.add(package)
    if package == ENTRYPOINTS[layer].rpartition("/")[0].replace("/", ".") and _EVALUATE.search(
        text
    ):
        collected.has_evaluate = True
    return package


def _into_global(text: str, package: str) -> tuple[str, str]:
    """Move a policy of the global layer into its namespace, rows kept. Files that name it already are left alone.

    An aggregation entrypoint that is moved must also walk the moved policies, or it would collect nothing."""
    if package.startswith("cupcake.global.") or "package cupcake.global" in text:
        return text, package
    moved = _DECLARATION.sub(r"\1cupcake.global.\2", text, count=1)
    if package == "cupcake.system":
        moved = moved.replace("data.cupcake.policies", "data.cupcake.global.policies")
        return moved, "cupcake.global.system"
    if package.startswith("cupcake.policies"):
        return moved, package.replace("cupcake.policies", "cupcake.global.policies", 1)
    return text, package


def _add_library(layer: Layer, collected: _Collected) -> None:
    if not collected.has_evaluate:
        text = library_text("evaluate.rego")
        if layer == "global":
            text, _ = _into_global(text, "cupcake.system")
        collected.modules["cupcake:library/evaluate.rego"] = text
    if _COMMANDS not in collected.packages and any(
        _COMMANDS in text for text in collected.modules.values()
    ):
        collected.modules["cupcake:library/commands.rego"] = library_text("commands.rego")


def _stem(name: str) -> str:
    lead, dot, _ = name.rpartition(".")
    return lead if dot and lead else name


def _text(file: SourceFile, findings: Findings) -> str | None:
    try:
        return file.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = file.data.count(b"\n", 0, error.start) + 1
        findings.errors.append(_at(file, row, "not UTF-8 text", "save the file as UTF-8"))
        return None


def _head(file: SourceFile, text: str, findings: Findings) -> Head | None:
    try:
        return read_head(text)
    except BadMetadata as error:
        findings.errors.append(_at(file, error.row, str(error), error.hint))
        return None


def _at(
    file: SourceFile, row: int, message: str, hint: str, *, code: str = "policy_error"
) -> Diagnostic:
    return Diagnostic(code, message, file.path, row, 1, hint=hint)
