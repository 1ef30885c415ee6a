"""Regular expressions and globs whose pattern is known only at run time: compiled here, run in the VM."""

from __future__ import annotations

import base64
from collections.abc import Callable

from cupcake.engine.builtins.host.globs import globs_match
from cupcake.engine.builtins.texts import SURROGATES, readable
from cupcake.engine.regex.compile import compile_pattern
from cupcake.engine.regex.errors import RegexError
from cupcake.engine.regex.globs import compile_glob


def regex_compile(key: object) -> str:
    """`internal.regex_compile`: a pattern, or [glob pattern, delimiters or null].

    Base64 of the program, or "!" and what is wrong: the caller reports it under its own name.
    """
    try:
        match key:
            case str():
                if bad := SURROGATES.search(key):
                    raise RegexError("invalid UTF-8", key[bad.start() :], bad.start())
                blob = compile_pattern(key)
            case [str() as pattern, (None | list()) as delimiters]:
                if bad := SURROGATES.search(pattern):
                    place = len(pattern[: bad.start()].encode())
                    return f"!glob: syntax error at {place}: invalid UTF-8 sequence"
                # A byte that is not UTF-8 reads as U+FFFD, in the text as among the delimiters.
                given = None if delimiters is None else tuple(readable(str(d)) for d in delimiters)
                blob = compile_glob(pattern, given)
            case _:
                return "!internal.regex_compile: operand 1 must be a pattern"
    except RegexError as error:
        return f"!{error}"
    padding = bytes(-len(blob) % 3)  # whole groups of four: the reader knows no "="
    return base64.b64encode(blob + padding).decode("ascii")


FUNCTIONS: tuple[tuple[str, Callable[..., object]], ...] = (
    ("internal.regex_compile", regex_compile),
    ("regex.globs_match", globs_match),
)
