"""`rulebook.yml`: signals and builtin policies of a project. Text in, a checked Rulebook or diagnostics out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.errors import Diagnostic
from cupcake.engine.policy.builtin_config import BuiltinConfig, read_builtins
from cupcake.engine.policy.signal import DEFAULT_SIGNAL_TIMEOUT, Signal
from cupcake.engine.policy.yaml_text import YamlProblem, YamlText, parse_yaml

MAX_SIGNAL_TIMEOUT = 600
_KNOWN_KEYS = frozenset(
    {
        "signals",
        "builtins",
        "effects",
        "compiler",
        "watchdog",
        "telemetry",
        "version",
        "description",
        "actions",
        "metadata",
    }
)


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The configuration of one layer; the empty one is the default. `compiler` is who compiles the layer's policies,
    `effects` what they may do beyond computing."""

    signals: Mapping[str, Signal] = field(default_factory=dict)
    builtins: BuiltinConfig = field(default_factory=BuiltinConfig)
    compiler: Literal["builtin", "opa"] = "builtin"
    effects: Effects = field(default_factory=Effects)


@dataclass(slots=True)
class Findings:
    """Errors stop the build; warnings are told and do not."""

    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)


def read_rulebook(file: str, data: bytes, findings: Findings) -> Rulebook:
    """Parse one rulebook; every fault goes to `findings` with its row."""
    try:
        document = parse_yaml(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        findings.errors.append(
            _fault(file, data.count(b"\n", 0, error.start) + 1, "not UTF-8 text")
        )
        return Rulebook()
    except YamlProblem as error:
        findings.errors.append(_fault(file, error.row, str(error)))
        return Rulebook()
    if document.value is None:
        return Rulebook()
    if not isinstance(document.value, dict):
        findings.errors.append(
            _fault(file, document.row_of(), "the rulebook must be a YAML mapping")
        )
        return Rulebook()
    for key in document.value:
        if key not in _KNOWN_KEYS:
            findings.warnings.append(
                _fault(
                    file,
                    document.row_of(key),
                    f"unknown key `{key}` is ignored",
                    code="rulebook_warning",
                )
            )
    watchdog = document.value.get("watchdog")
    if watchdog is True or (isinstance(watchdog, dict) and watchdog.get("enabled") is True):
        findings.warnings.append(
            _fault(
                file,
                document.row_of("watchdog"),
                "the watchdog is not part of this version: input.signals.watchdog stays undefined",
                code="rulebook_warning",
            )
        )
    signals = _signals(file, document, findings)
    section = document.value.get("builtins")
    if section is not None and not isinstance(section, dict):
        findings.errors.append(
            _fault(file, document.row_of("builtins"), "`builtins` must be a mapping")
        )
        section = None
    builtins, errors, warnings = read_builtins(section or {})
    findings.errors.extend(
        _fault(file, document.row_of("builtins", *path), text) for path, text in errors
    )
    findings.warnings.extend(
        _fault(file, document.row_of("builtins", *path), text, code="rulebook_warning")
        for path, text in warnings
    )
    compiler = document.value.get("compiler", "builtin")
    if compiler not in ("builtin", "opa"):
        findings.errors.append(
            _fault(
                file,
                document.row_of("compiler"),
                "`compiler` must be `builtin` (the default) or `opa`",
            )
        )
        compiler = "builtin"
    return Rulebook(signals, builtins, compiler, _effects(file, document, findings))


def _effects(file: str, document: YamlText, findings: Findings) -> Effects:
    """`effects: {allow_net: [host, host:port], env: [NAME]}`: both lists of names, without patterns."""
    section = document.value.get("effects")
    if section is None:
        return Effects()

    def wrong(text: str, *path: str) -> None:
        findings.errors.append(_fault(file, document.row_of("effects", *path), text))

    if not isinstance(section, dict):
        wrong("`effects` must be a mapping with `allow_net` and `env`")
        return Effects()
    found: dict[str, tuple[str, ...]] = {"allow_net": (), "env": ()}
    for key, names in section.items():
        if key not in found:
            wrong(f"unknown key `{key}` in `effects`: there are `allow_net` and `env`", str(key))
        elif not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            wrong(f"`effects.{key}` must be a list of names", key)
        elif any(c in name for name in names for c in "*/ "):
            wrong(f"`effects.{key}` takes names as they are: no patterns, no URLs", key)
        else:
            found[key] = tuple(names)
    return Effects(found["allow_net"], found["env"])


def _signals(file: str, document: YamlText, findings: Findings) -> dict[str, Signal]:
    section = document.value.get("signals")
    if section is None:
        return {}
    if not isinstance(section, dict):
        findings.errors.append(
            _fault(file, document.row_of("signals"), "`signals` must be a mapping")
        )
        return {}
    signals: dict[str, Signal] = {}
    for name, body in section.items():
        fault = _signal_fault(name, body)
        if fault:
            findings.errors.append(_fault(file, document.row_of("signals", name), fault))
        else:
            signals[name] = Signal(
                body["command"], body.get("timeout_seconds", DEFAULT_SIGNAL_TIMEOUT)
            )
    return signals


def _signal_fault(name: Any, body: Any) -> str:
    if not isinstance(name, str):
        return f"the signal name {name!r} must be a string"
    if not isinstance(body, dict):
        return f"signal `{name}` must be a mapping with `command`"
    command = body.get("command")
    if not isinstance(command, str) or not command.strip():
        return f"signal `{name}` needs a `command` string"
    timeout = body.get("timeout_seconds", DEFAULT_SIGNAL_TIMEOUT)
    if (
        not isinstance(timeout, int)
        or isinstance(timeout, bool)
        or not 0 < timeout <= MAX_SIGNAL_TIMEOUT
    ):
        return f"`timeout_seconds` of signal `{name}` must be an integer from 1 to {MAX_SIGNAL_TIMEOUT}"
    return ""


def _fault(file: str, row: int, message: str, *, code: str = "rulebook_error") -> Diagnostic:
    return Diagnostic(code, message, file, row, 1)
