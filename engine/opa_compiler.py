"""OPA as the compiler: policies to an Artifact by `opa build`, for those who want OPA's own code to decide.

Needs an OPA executable (`opa.find`). The module runs in our VM as any module of OPA's ABI does.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from cupcake.engine.artifact import Artifact
from cupcake.engine.errors import CompileErrors, Diagnostic, OpaError
from cupcake.engine.vm.bundle import read_bundle

_SECONDS = 120


def compile_with_opa(
    opa: Path,
    modules: Mapping[str, str],
    data: str,
    entrypoints: Sequence[str],
    rego_version: Literal["v0", "v1"] = "v1",
) -> Artifact:
    """Compile with the executable `opa`. `data` is the base document's JSON text; `entrypoints` are like "a/b/c".

    Raises CompileErrors with OPA's errors in the files of `modules`, or OpaError when OPA cannot be run."""
    with tempfile.TemporaryDirectory(prefix="cupcake-opa-") as name:
        folder = Path(name)
        names: dict[str, str] = {}
        for number, (file, text) in enumerate(modules.items()):
            # Names of files may be anything; OPA gets names of ours.
            names[f"policies/m{number}.rego"] = file
            path = folder / f"policies/m{number}.rego"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (folder / "data.json").write_text(data, encoding="utf-8")
        old = ["--v0-compatible"] if rego_version == "v0" else []
        chosen = [part for entry in entrypoints for part in ("-e", entry)]
        built = _run(
            opa,
            ["build", "-t", "wasm", *old, *chosen, "-o", "b.tar.gz", *names, "data.json"],
            folder,
        )
        if built.returncode:
            checked = _run(opa, ["check", "--format", "json", *old, *names], folder)
            found = _diagnostics(checked.stdout + checked.stderr, names, modules)
            if checked.returncode and found:
                raise CompileErrors(found)
            message = (built.stderr + built.stdout).strip().removeprefix("error: ")
            raise CompileErrors((Diagnostic("rego_compile_error", message or "opa build failed"),))
        bundle = read_bundle(folder / "b.tar.gz")
    return Artifact(
        wasm=bundle.modules[0][0],
        wasm_owned=b"",
        entrypoints=tuple(entrypoints),
        builtins={},
        data=bundle.data,
    )


def _run(opa: Path, arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(opa), *arguments],
            cwd=folder,
            env={"PATH": os.defpath, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OpaError(f"{opa} did not end within {_SECONDS} seconds; is it OPA?") from None
    except OSError as error:
        raise OpaError(f"cannot run {opa}: {error.strerror}; see `cupcake opa verify`") from None


def _diagnostics(
    text: str, names: Mapping[str, str], modules: Mapping[str, str]
) -> tuple[Diagnostic, ...]:
    try:
        errors: list[dict[str, Any]] = json.loads(text)["errors"]
        return tuple(_diagnostic(error, names, modules) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _diagnostic(
    error: Mapping[str, Any], names: Mapping[str, str], modules: Mapping[str, str]
) -> Diagnostic:
    place = error.get("location") or {}
    file = names.get(place.get("file", ""), "")
    row = int(place.get("row", 0))
    rows = modules.get(file, "").split("\n")
    line = rows[row - 1].rstrip("\r") if 0 < row <= len(rows) else ""
    code = error.get("code") or "rego_compile_error"
    return Diagnostic(code, error["message"], file, row, max(int(place.get("col", 0)), 1), line)
