"""The files of a fresh `.cupcake/`, as `cupcake init` writes them. Reads only this package's own data."""

from __future__ import annotations

from importlib.resources import files

_EXAMPLES = ("shell", "files", "context")


def project_files(harness: str) -> dict[str, str]:
    """Path below `.cupcake` -> text, for one harness."""
    library = files("cupcake.engine.library")

    def read(name: str) -> str:
        return library.joinpath(name).read_text(encoding="utf-8")

    return {
        "rulebook.yml": RULEBOOK,
        "system/evaluate.rego": read("evaluate.rego"),
        "system/commands.rego": read("commands.rego"),
        **{f"policies/{harness}/{name}.rego": read(f"example_{name}.rego") for name in _EXAMPLES},
    }


RULEBOOK = """\
# Cupcake's configuration for this project. Everything here is optional.

# Facts from outside that policies can ask for: a policy names a signal in its `required_signals` and reads
# `input.signals.<name>`. The command runs in the project root with the event as JSON on stdin.
signals: {}
#  git_branch:
#    command: git branch --show-current
#    timeout_seconds: 2

# Builtin policies (files in policies/<harness>/builtins/) count only when enabled here.
builtins: {}
#  protected_paths:
#    enabled: true
#    paths: ["/etc/", "production.env"]
"""
