"""`cupcake rego fmt`: policies in the layout of `opa fmt`, printed, compared or written back."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from cupcake.engine.cli.files import policy_files, read_stdin
from cupcake.engine.cli.options import DONE, FAILED, Parser, common, switch
from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.format.errors import FormatError

_STDIN = "stdin"


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "fmt",
        parents=[common()],
        help=help,
        description="Lay policies out as `opa fmt` does. Without a PATH stdin is read; of folders all .rego files are.",
        epilog="Exit codes: 0 done; 1 a file cannot be read or written; 2 a policy cannot be formatted, "
        "a change with --fail, or wrong usage.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="policy file or folder")
    switch(parser, "-w", "--write", help="put the result in the place of each file that changes")
    switch(parser, "-l", "--list", help="only print the names of files that would change")
    switch(parser, "-d", "--diff", help="only print what would change")
    switch(parser, "--fail", help="exit code 2, and nothing written, if a file would change")
    switch(
        parser,
        "--check-result",
        help="parse the result and compare it with the policy; on unless =false is given",
    )
    parser.set_defaults(check_result=True)
    switch(parser, "--v0-v1", help="write what both Rego v0 and v1 read; the policies are v0")
    switch(parser, "--rego-v1", dest="v0_v1", help=argparse.SUPPRESS)
    switch(
        parser,
        "--drop-v0-imports",
        help="leave out imports that v1 does not need: rego.v1 and future.keywords",
    )
    parser.add_argument(
        "--capabilities",
        metavar="FILE|VERSION",
        help="for `opa fmt`'s scripts: it must exist, the layout does not depend on it",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Formats everything; the errors of all files come last."""
    if options.capabilities is not None:
        from cupcake.engine.cli.capabilities import read_builtins

        read_builtins(options.capabilities)
    wrong: list[Diagnostic] = []
    failed = False
    texts = policy_files(options.paths) if options.paths else {_STDIN: read_stdin()}
    for name, text in texts.items():
        try:
            result = _formatted(text, name, options)
        except CompileErrors as errors:
            wrong += errors.diagnostics
        except FormatError as error:
            print(error, file=sys.stderr)
            failed = True
        else:
            if name == _STDIN and not options.paths:
                sys.stdout.write(result)
            elif not _deal_with(name, text, result, options):
                failed = True
    if wrong:
        from cupcake.engine.cli import print_diagnostics

        print_diagnostics(tuple(wrong))
    return FAILED if wrong or failed else DONE


def _formatted(text: str, name: str, options: argparse.Namespace) -> str:
    from cupcake.engine.format.printer import format_text

    both = options.v0_v1
    old = options.v0_compatible or (both and not options.v1_compatible)
    return format_text(
        text,
        name,
        rego_version="v0" if old else "v1",
        target="both" if both else "v0" if old else "v1",
        drop_imports=options.drop_v0_imports,
        check=options.check_result,
    )


def _deal_with(name: str, text: str, result: str, options: argparse.Namespace) -> bool:
    """Does with one file what the flags say; False if it changes and must not."""
    changes = text != result
    if changes and options.list:
        print(name)
    if changes and options.diff:
        sys.stdout.writelines(_difference(name, text, result))
    if options.fail and changes:
        print(f"{name}: not formatted", file=sys.stderr)
        return False
    if options.list or options.diff:
        return True
    if not options.write:
        sys.stdout.write(result)
    elif changes:
        _replace(Path(name), result)
    return True


def _difference(name: str, text: str, result: str) -> list[str]:
    """A unified diff, which `patch` takes."""
    import difflib

    lines = difflib.unified_diff(
        text.splitlines(keepends=True), result.splitlines(keepends=True), name, name
    )
    end = "\n\\ No newline at end of file\n"
    return [line if line.endswith("\n") else line + end for line in lines]


def _replace(path: Path, text: str) -> None:
    """Puts `text` in the place of a file, all of it or nothing. Mode and links stay as they are. Raises OSError."""
    path = path.resolve()
    mode = path.stat().st_mode
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode & 0o7777)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
