"""The layers that the design states, checked by machine."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("client", "daemon", "engine", "trust")

# Third-party library -> the only places that may import it.
IMPORTERS = {
    "msgpack": ("client/codec.py",),
    "zmq": ("client/transport.py", "daemon/"),
    "wasmtime": ("engine/vm",),
    "watchfiles": ("daemon/watch.py", "engine/cli/test.py"),
    "structlog": ("daemon/logs.py",),
    "yaml": (
        "engine/yaml_text.py",
        "engine/policy/yaml_text.py",
        "engine/rego/annotations.py",
        "engine/builtins/host",
    ),
    "cryptography": (
        "engine/builtins/host/keys.py",
        "engine/builtins/host/signatures.py",
        "engine/builtins/host/bundle_keys.py",
        "engine/builtins/host/certificate_json.py",
        "engine/builtins/host/certificates.py",
    ),
    "graphql": (
        "engine/builtins/host/graphql_json.py",
        "engine/builtins/host/graphql_rules.py",
    ),
    "jsonschema": (
        "engine/builtins/host/schema_keywords.py",
        "engine/builtins/host/schemas.py",
    ),
    "jsonschema_specifications": ("engine/builtins/host/schemas.py",),
    "referencing": ("engine/builtins/host/schemas.py",),
    "rich": ("daemon/demo_screen.py", "engine/cli/paint.py"),
}

# No clock, environment, randomness, disk, processes or sockets in here.
PURE = (
    "engine/rego/", "engine/plan/", "engine/wasm/", "engine/policy/", "engine/harness/",
    "client/session.py", "client/messages.py", "client/codec.py", "trust/manifest.py", "trust/trusted_state.py",
)  # fmt: skip
IMPURE = {
    "os",
    "io",
    "time",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "pathlib",
    "shutil",
    "tempfile",
    "threading",
    "datetime",
}
# discovery reads the disk by design; the linker reads the committed runtime.
EXCEPTIONS = {"engine/policy/discovery.py", "engine/wasm/runtime_index.py"}


def python_files() -> list[Path]:
    return [p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Top-level names of every module that the file imports, at run time or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


def test_import_linter_keeps_the_layers(tmp_path: Path) -> None:
    site = Path(sysconfig.get_path("purelib"))
    if not (site / "cupcake" / "__init__.py").exists():
        pytest.skip(
            "the project is installed in editable mode, which import-linter cannot see through"
        )
    program = Path(sysconfig.get_path("scripts")) / "lint-imports"
    if not program.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run(
        [program, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("library", sorted(IMPORTERS))
def test_each_library_has_its_importers_and_no_others(library: str) -> None:
    users = [str(p.relative_to(ROOT)) for p in python_files() if library in imports(p)]
    strangers = [u for u in users if not u.startswith(IMPORTERS[library])]
    assert not strangers
    assert users, (
        f"nobody imports {library} any more: drop it from the table and from pyproject.toml"
    )


def test_pure_code_imports_nothing_impure() -> None:
    guilty = {
        str(p.relative_to(ROOT)): sorted(imports(p) & IMPURE)
        for p in python_files()
        if str(p.relative_to(ROOT)).startswith(PURE) and str(p.relative_to(ROOT)) not in EXCEPTIONS
    }
    assert {path: names for path, names in guilty.items() if names} == {}


def test_every_python_file_says_what_it_is_for() -> None:
    silent = [
        str(p.relative_to(ROOT))
        for p in python_files()
        if p.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(p.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_the_tests_run_on_the_installed_package() -> None:
    """`import engine` must fail: the root is not on the path."""
    result = subprocess.run(
        [sys.executable, "-c", "import engine"],
        cwd="/",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
