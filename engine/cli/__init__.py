"""`cupcake rego COMMAND`: Rego on its own, with `opa`'s flags and output shapes where they exist.

Exit codes, as `opa` has them: 0 done; 1 the answer is no (`eval --fail`, `check`), or files that cannot be loaded or
compiled by `test` and `build`; 2 an error of `eval`, a failed test, or wrong usage. This file only sorts out the words.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from signal import default_int_handler
from types import MappingProxyType
from typing import Final

from cupcake.engine.cli.files import LoadProblem
from cupcake.engine.cli.options import FAILED, NO, Parser, UsageError
from cupcake.engine.cli.output import diagnostic_json, errors_json, evaluation_error_json
from cupcake.engine.errors import CompileErrors, Diagnostic, EngineError, EvaluationError

#: Command -> its module here, and what it does. Only the module of the command that is given is imported.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "eval": ("evaluate", "evaluate a query"),
        "test": ("test", "run the test_* rules of policies"),
        "check": ("check", "show every error of policies"),
        "fmt": ("fmt", "lay out policies as `opa fmt` does"),
        "build": ("build", "compile to an OPA bundle or a .wasm module"),
        "plan": ("plan", "print the intermediate representation"),
        "parse": ("parse", "print the syntax tree of a policy"),
        "deps": ("deps", "print what a query depends on"),
        "inspect": ("inspect", "print what a bundle or a folder of policies holds"),
        "capabilities": ("capabilities", "print the builtins that policies may call"),
    }
)
_JSON = ("json", "discard")


def main(argv: list[str]) -> int:
    """`argv` starts with the word `rego`. Returns the exit code."""
    parser = Parser(
        prog="cupcake rego",
        description="Rego on its own: no daemon, no OPA. The flags are those of `opa`.",
        epilog="`cupcake rego COMMAND --help` explains one, and its exit codes.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    run: Callable[[argparse.Namespace], int] | None = None
    chosen: Parser | None = None
    for word, (name, help) in COMMANDS.items():
        if word in argv[1:2]:
            module = importlib.import_module(f"{__name__}.{name}")
            chosen = module.add(commands, help)
            run = module.run
        else:
            commands.add_parser(word, help=help, add_help=False)
    options, rest = parser.parse_known_args(argv[1:])
    if run is None or chosen is None:
        parser.error("the command comes first: cupcake rego COMMAND ...")
    chosen.refuse_unknown(rest)
    # What `opa` answers when the command could not be done at all.
    failed = FAILED if options.command == "eval" else NO
    try:
        with _interruptible(options.command):
            return run(options)
    except BrokenPipeError:
        raise  # the reader went away: nobody is left to be told
    except UsageError as error:
        print(f"cupcake rego {options.command}: {error}", file=sys.stderr)
        return FAILED
    except (EngineError, OSError, RecursionError) as error:
        report(error, options)
        return failed


@contextmanager
def _interruptible(command: str) -> Iterator[None]:
    """Lets Ctrl-C end `eval` at once. Python's own handler waits for the module to return, and `eval` has no time limit."""
    own = threading.current_thread() is threading.main_thread()
    if command != "eval" or not own or signal.getsignal(signal.SIGINT) is not default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, default_int_handler)


def report(error: Exception, options: argparse.Namespace) -> None:
    """An error on stderr, or as JSON on stdout where JSON was asked for."""
    if getattr(options, "format", "") in _JSON:
        print(errors_json(error_shapes(error)))
    elif isinstance(error, CompileErrors):
        most = getattr(options, "max_errors", 0)
        print_diagnostics(written_only(error.diagnostics), most)
    elif isinstance(error, (EvaluationError, LoadProblem)):
        print(error, file=sys.stderr)
    else:
        print(f"cupcake rego {options.command}: {_plain(error)}", file=sys.stderr)


def error_shapes(error: Exception) -> list[dict[str, object]]:
    """The errors in JSON's shape."""
    match error:
        case CompileErrors():
            return [diagnostic_json(d) for d in written_only(error.diagnostics)]
        case EvaluationError():
            return [evaluation_error_json(error)]
        case _:
            return [{"message": _plain(error)}]


def _plain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the policies or documents nest too deeply"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error)


def written_only(found: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Without errors that are about variables which `eval` itself has added."""
    return tuple(d for d in found if "__value" not in d.message) or found


def print_diagnostics(diagnostics: tuple[Diagnostic, ...], most: int = 0) -> None:
    """On stderr, at most `most` (0: all), with a count; in colour on a terminal that wants it."""
    from cupcake.engine.cli.paint import paint

    shown = diagnostics[:most] if most else diagnostics
    for diagnostic in shown:
        paint(diagnostic, sys.stderr)
    count = len(diagnostics)
    left = f", {count - len(shown)} not shown (see --max-errors)" if len(shown) < count else ""
    print(f"{count} error{'s' if count != 1 else ''}{left}", file=sys.stderr)
