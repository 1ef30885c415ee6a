"""The token list as a parser sees it: where it stands, what the place is called, how it fails.

Shared by all layers of the parser; it knows no grammar.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cupcake.engine.errors import Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import (
    KEYWORDS_ALL,
    KEYWORDS_FUTURE,
    KEYWORDS_LOGICAL,
    TIGHT,
    Tokens,
)

MAX_DEPTH: Final = 250
MAX_PATH: Final = 100  # steps of a package's or rule's name: each is a level of the document

# What messages call a token.
_TOKEN_NAMES: Final = {
    "ident": "identifier",
    "template": "string",
    "chunk": "string",
    "end": "string",
    "open": "{",
    "close": "}",
    "+": "plus",
    "-": "minus",
    "*": "mul",
    "/": "div",
    "%": "rem",
    "&": "and",
    "|": "or",
    "=": "eq",
    "==": "equal",
    ":=": "assign",
    "!=": "neq",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
}


class Failure(Exception):
    """Parsing cannot go on from here. `at` is the token where it failed; a `fatal` one is final:
    no other reading of the text may be tried, since trying is what the limit is there to stop."""

    def __init__(self, diagnostic: Diagnostic, at: int, fatal: bool = False) -> None:
        self.diagnostic = diagnostic
        self.at = at
        self.fatal = fatal
        super().__init__(diagnostic.message)


def value_name(term: ast.Term) -> str:
    """The kind of a term as messages name it."""
    return (
        type(term)
        .__name__.lower()
        .replace("comprehension", " comprehension")
        .replace("templatestring", "template string")
    )


def keyword_hint(word: str) -> str:
    """The import that would make `word` a keyword; empty if none does."""
    if word in KEYWORDS_FUTURE:
        return f"`import rego.v1` (or `future.keywords.{word}`) makes `{word}` a keyword"
    if word in KEYWORDS_LOGICAL:
        return f"`import rego.v2` (or `future.keywords.{word}`) makes `{word}` a keyword"
    return ""


class TokenReader:
    """Reads one token list from `pos` on."""

    def __init__(self, tokens: Tokens, file: str) -> None:
        self.tokens = tokens
        self.file = file
        self.pos = 0
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.gaps = tokens.gaps
        self._starts = tokens.starts
        self._ends = tokens.ends
        self._rows = tokens.rows
        self._cols = tokens.cols
        self._wildcards = 0
        self._depth = 0

    # Places and failures

    def loc(self, start: int) -> ast.Location:
        """The place from token `start` to the last token that was consumed."""
        return ast.Location(
            self.file,
            self._rows[start],
            self._cols[start],
            self._starts[start],
            self._ends[self.pos - 1 if self.pos > start else start],
        )

    def diagnostic(self, message: str, at: int, hint: str = "") -> Diagnostic:
        """A parse error at token `at`."""
        row = self._rows[at]
        return Diagnostic(
            "rego_parse_error",
            message,
            self.file,
            row,
            self._cols[at],
            self.tokens.line_at(self._starts[at]),
            hint,
        )

    def diagnostic_at(self, found: Diagnostic, place: ast.Location, hint: str = "") -> Diagnostic:
        """`found` at another place of the text."""
        line = self.tokens.line_at(place.offset)
        return replace(found, row=place.row, col=place.col, source_line=line, hint=hint)

    def fail(self, message: str, at: int = -1, hint: str = "") -> Failure:
        """A failure with `message`; the caller raises it."""
        at = self.pos if at < 0 else at
        return Failure(self.diagnostic(message, at, hint), at)

    def unexpected(self, note: str = "", hint: str = "") -> Failure:
        """A failure at the current token, which does not fit; the caller raises it."""
        kind = self.kinds[self.pos]
        if kind == "illegal":
            message, own_hint = self.tokens.problems[self.pos]
            return self.fail(message, hint=own_hint)
        for at in (self.pos, max(self.pos - 1, 0)):
            word = self.texts[at]
            if not hint and self.kinds[at] == "ident":
                hint = keyword_hint(word)
        sort = "keyword" if kind in KEYWORDS_ALL else "token"
        message = f"unexpected {_TOKEN_NAMES.get(kind, kind)} {sort}"
        return self.fail(f"{message}: {note}" if note else message, hint=hint)

    def _too_deep(self) -> Failure:
        return self._too_much(
            "expression is nested too deeply", f"at most {MAX_DEPTH} levels; use helper rules"
        )

    def _too_much(self, message: str, hint: str = "use helper rules") -> Failure:
        """A failure because of size; the caller raises it."""
        failure = self.fail(message, hint=hint)
        failure.fatal = True
        return failure

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._too_deep()

    def _starts_ref(self, at: int) -> bool:
        """Whether `at` is a keyword that is but the first word of a ref, as in `every.day`."""
        return (
            self.kinds[at] in KEYWORDS_ALL
            and self.kinds[at + 1] in (".", "[")
            and self.gaps[at + 1] == TIGHT
        )

    def _var(self, at: int) -> ast.Var:
        name = self.texts[at]
        if name == "_":
            name = self.wildcard()
        return ast.Var(name, self.loc(at))

    def wildcard(self) -> str:
        """A fresh name for `_`."""
        name = f"${self._wildcards}"
        self._wildcards += 1
        return name
