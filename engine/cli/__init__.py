"""`cupcake rego eval|test|check|build|plan`: Rego on its own, with `opa`'s flags and output shapes where they exist.

Exit codes, as `opa` has them: 0 done; 1 the answer is no (`eval --fail`, `check`), or files that cannot be loaded or
compiled by `test` and `build`; 2 an error of `eval`, a failed test, or wrong usage. This file only sorts out the words.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from cupcake.engine.cli.files import LoadProblem
from cupcake.engine.cli.options import FAILED, NO, UsageError, common
from cupcake.engine.cli.output import diagnostic_json, errors_json, evaluation_error_json
from cupcake.engine.errors import CompileErrors, Diagnostic, EngineError, EvaluationError


def main(argv: list[str]) -> int:
    """`argv` starts with the word `rego`. Returns the exit code."""
    # Not above: `cupcake opa` lives in this package too, and needs no compiler.
    from cupcake.engine.cli import build, check, evaluate, plan, test

    modules: dict[str, Any] = {
        "eval": evaluate,
        "test": test,
        "check": check,
        "build": build,
        "plan": plan,
    }
    parser = argparse.ArgumentParser(
        prog="cupcake rego",
        description="Rego on its own: no daemon, no OPA. The flags are those of `opa`.",
        epilog="`cupcake rego COMMAND --help` explains one, and its exit codes.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="|".join(modules), title="commands"
    )
    shared = common()
    for module in modules.values():
        module.add(commands, shared)
    options = parser.parse_args(argv[1:])
    # What `opa` answers when the command could not be done at all.
    failed = FAILED if options.command == "eval" else NO
    try:
        run: Callable[[argparse.Namespace], int] = modules[options.command].run
        return run(options)
    except UsageError as error:
        print(f"cupcake rego {options.command}: {error}", file=sys.stderr)
        return FAILED
    except (EngineError, OSError, RecursionError) as error:
        report(error, options)
        return failed


def report(error: Exception, options: argparse.Namespace) -> None:
    """An error on stderr, or as JSON on stdout where JSON was asked for."""
    if getattr(options, "format", "") == "json":
        match error:
            case CompileErrors():
                shapes = [diagnostic_json(d) for d in written_only(error.diagnostics)]
            case EvaluationError():
                shapes = [evaluation_error_json(error)]
            case _:
                shapes = [{"message": _plain(error)}]
        print(errors_json(shapes))
    elif isinstance(error, CompileErrors):
        print_diagnostics(written_only(error.diagnostics))
    elif isinstance(error, (EvaluationError, LoadProblem)):
        print(error, file=sys.stderr)
    else:
        print(f"cupcake rego {options.command}: {_plain(error)}", file=sys.stderr)


def _plain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the policies or documents nest too deeply"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)


def written_only(found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Without errors that are about variables which `eval` itself has added."""
    return tuple(d for d in found if "__value" not in d.message) or found


def print_diagnostics(diagnostics: tuple[Diagnostic, ...]) -> None:
    """On stderr, with a count; the place and code in colour on a terminal."""
    colour = sys.stderr.isatty()
    for diagnostic in diagnostics:
        first, *rest = diagnostic.render().split("\n")
        if colour:
            first = f"\x1b[1;31m{first}\x1b[0m"
        print("\n".join([first, *rest]), file=sys.stderr)
    count = len(diagnostics)
    print(f"{count} error{'s' if count != 1 else ''}", file=sys.stderr)
