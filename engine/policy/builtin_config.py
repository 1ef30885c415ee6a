"""The `builtins:` section of a rulebook: which builtin policies are on, what they read from `input.builtin_config`,
and which signals they bring along. Pure.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
Fault: TypeAlias = tuple[Path, str]

_ALIASES = {
    "always_inject_on_prompt": "claude_code_always_inject_on_prompt",
    "enforce_full_file_read": "claude_code_enforce_full_file_read",
}

_BUILTIN_PACKAGES = ("cupcake.policies.builtins.", "cupcake.global.policies.builtins.")

#: Fields that reach policies, with their defaults. An empty mapping: the builtin is never injected.
_INJECTED: Mapping[str, Mapping[str, Any]] = {
    "protected_paths": {"message": "This path is read-only and cannot be modified", "paths": []},
    "rulebook_security_guardrails": {
        "message": "Cupcake configuration files are protected from modification",
        "protected_paths": [".cupcake/"],
    },
    "claude_code_enforce_full_file_read": {
        "message": "Please read the entire file first (files under 2000 lines must be read completely)",
        "max_lines": 2000,
    },
    "git_block_no_verify": {
        "message": "Git operations with --no-verify are not permitted. Commit hooks must run.",
        "exceptions": [],
    },
    "system_protection": {
        "message": "Access to critical system path blocked",
        "additional_paths": [],
    },
    "sensitive_data_protection": {
        "message": "Access to potentially sensitive data blocked",
        "additional_patterns": [],
    },
    "cupcake_exec_protection": {
        "message": "Direct execution of Cupcake binary is not permitted",
        "allowed_commands": [],
    },
    "claude_code_always_inject_on_prompt": {},
    "git_pre_check": {},
    "post_edit_check": {},
}
KNOWN_BUILTINS = frozenset(_INJECTED)


@dataclass(frozen=True, slots=True)
class BuiltinConfig:
    """`enabled`: names whose policy files are compiled. `injected`: `input.builtin_config`.
    `signals`: name -> (command, timeout in seconds). `configured_off`: present without `enabled: true`."""

    enabled: tuple[str, ...] = ()
    injected: Mapping[str, Any] = field(default_factory=dict)
    signals: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    configured_off: tuple[str, ...] = ()


def read_builtins(section: Mapping[Any, Any]) -> tuple[BuiltinConfig, list[Fault], list[Fault]]:
    """The section as written, with errors and warnings as (path within the section, sentence)."""
    errors: list[Fault] = []
    warnings: list[Fault] = []
    enabled: list[str] = []
    off: list[str] = []
    injected: dict[str, Any] = {}
    signals: dict[str, tuple[str, int]] = {}
    for key, body in section.items():
        name = _ALIASES.get(key, key)
        if name not in KNOWN_BUILTINS:
            warnings.append(
                ((key,), f"unknown builtin `{key}` protects nothing{_did_you_mean(key)}")
            )
            continue
        if body is None:
            continue
        if not isinstance(body, dict):
            errors.append(((key,), f"builtins.{key} must be a mapping"))
            continue
        on = body.get("enabled", False)
        if not isinstance(on, bool):
            errors.append(((key, "enabled"), f"builtins.{key}.enabled must be true or false"))
            continue
        before = len(errors)
        fields = _checked_fields(key, name, body, errors)
        _check_shape(key, name, body, on, errors)
        if not on:
            off.append(name)
            warnings.append(
                (
                    (key,),
                    f"builtin `{key}` is configured but off; write `enabled: true` to switch it on",
                )
            )
            continue
        enabled.append(name)
        if len(errors) > before:
            continue
        if fields:
            injected[name] = fields
        _collect(name, body, injected, signals)
    return BuiltinConfig(tuple(enabled), injected, signals, tuple(off)), errors, warnings


def builtin_signals(package: str, names: Iterable[str], tool_input: Mapping[str, Any]) -> list[str]:
    """Those of the signals `names` that a routed builtin policy reads without asking for them in its metadata.

    Checks of git operations run for commands that mention git, not before every command."""
    for lead in _BUILTIN_PACKAGES:
        if not package.startswith(lead):
            continue
        match package[len(lead) :]:
            case "git_pre_check":
                command = tool_input.get("command")
                if isinstance(command, str) and "git" in command.lower():
                    return [name for name in names if name.startswith("__builtin_git_check_")]
            case "post_edit_check":
                path = tool_input.get("file_path", tool_input.get("path"))
                extension = path.rpartition(".")[2] if isinstance(path, str) and "." in path else ""
                return [name for name in names if name == f"__builtin_post_edit_{extension}"]
            case "claude_code_always_inject_on_prompt":
                return [name for name in names if name.startswith("__builtin_prompt_context_")]
    return []


def reads_params(package: str) -> bool:
    """Does the shipped policy of this package read the tool's input as `input.params`?"""
    return any(
        package == lead + name
        for lead in _BUILTIN_PACKAGES
        for name in ("git_pre_check", "post_edit_check")
    )


def _checked_fields(
    key: str, name: str, body: Mapping[str, Any], errors: list[Fault]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field_name, default in _INJECTED[name].items():
        value = body.get(field_name, default)
        match default:
            case int():
                fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
                what = "a whole number"
            case str():
                fits, what = isinstance(value, str), "a string"
            case _:
                fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
                what = "a list of strings"
        if fits:
            fields[field_name] = value
        else:
            errors.append(((key, field_name), f"builtins.{key}.{field_name} must be {what}"))
    return fields


def _check_shape(
    key: str, name: str, body: Mapping[str, Any], on: bool, errors: list[Fault]
) -> None:
    def fault(text: str, *path: str | int) -> None:
        errors.append(((key, *path), f"builtins.{key}: {text}"))

    match name:
        case "claude_code_always_inject_on_prompt":
            context = body.get("context", [])
            if not isinstance(context, list):
                fault("`context` must be a list", "context")
                return
            if on and not context:
                fault("`context` must not be empty")
            for place, item in enumerate(context):
                if isinstance(item, str):
                    continue
                if not isinstance(item, dict) or not (
                    _text(item.get("file")) or _text(item.get("command"))
                ):
                    fault(
                        "a context item is a string, or has `file` or `command`", "context", place
                    )
        case "git_pre_check":
            checks = body.get("checks", [])
            if not isinstance(checks, list):
                fault("`checks` must be a list", "checks")
                return
            if on and not checks:
                fault("at least one check is needed")
            for place, item in enumerate(checks):
                if not isinstance(item, dict) or not _text(item.get("command")):
                    fault("each check needs a `command` that is not blank", "checks", place)
                elif not isinstance(item.get("message"), str):
                    fault("each check needs a `message`", "checks", place)
        case "post_edit_check":
            by_extension = body.get("by_extension", {})
            if not isinstance(by_extension, dict):
                fault("`by_extension` must be a mapping", "by_extension")
                return
            if on and not by_extension:
                fault("at least one extension is needed")
            for extension, item in by_extension.items():
                if not isinstance(extension, str) or "." in extension:
                    fault(
                        f"write the extension `{extension}` without a dot",
                        "by_extension",
                        extension,
                    )
                elif not isinstance(item, dict) or not _text(item.get("command")):
                    fault(
                        f"`{extension}` needs a `command` that is not blank",
                        "by_extension",
                        extension,
                    )
        case "protected_paths" | "rulebook_security_guardrails":
            field_name = "paths" if name == "protected_paths" else "protected_paths"
            paths = body.get(field_name, _INJECTED[name][field_name])
            if on and isinstance(paths, list):
                if not paths:
                    fault(f"`{field_name}` must name at least one path")
                if any(path == "" for path in paths):
                    fault(f"`{field_name}` must not hold an empty string", field_name)
        case "claude_code_enforce_full_file_read":
            if body.get("max_lines", 2000) == 0:
                fault("`max_lines` must be greater than 0", "max_lines")


def _collect(
    name: str,
    body: Mapping[str, Any],
    injected: dict[str, Any],
    signals: dict[str, tuple[str, int]],
) -> None:
    match name:
        case "claude_code_always_inject_on_prompt":
            static = [item for item in body.get("context", []) if isinstance(item, str)]
            if static:
                injected[name] = {"static_contexts": static}
            dynamic = [item for item in body.get("context", []) if isinstance(item, dict)]
            for place, item in enumerate(dynamic):
                if _text(item.get("command")):
                    signals[f"__builtin_prompt_context_{place}"] = (item["command"], 5)
                else:
                    signals[f"__builtin_prompt_context_{place}"] = (
                        f"cat -- {shlex.quote(item['file'])}",
                        2,
                    )
        case "git_pre_check":
            for place, item in enumerate(body.get("checks", [])):
                signals[f"__builtin_git_check_{place}"] = (item["command"], 30)
        case "post_edit_check":
            for extension, item in body.get("by_extension", {}).items():
                signals[f"__builtin_post_edit_{extension}"] = (item["command"], 10)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _did_you_mean(key: Any) -> str:
    close = difflib.get_close_matches(str(key), sorted(KNOWN_BUILTINS | set(_ALIASES)), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
