"""Where the nodes of a parsed module stand in its text, and how they were written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from cupcake.engine.format.lines import Comment
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import Tokens


class Places:
    """Looks up rows, tokens and spellings by offset."""

    def __init__(self, tokens: Tokens) -> None:
        self._source = tokens.source
        self._tokens = tokens
        self._lines = [0]
        at = tokens.source.find("\n")
        while at >= 0:
            self._lines.append(at + 1)
            at = tokens.source.find("\n", at + 1)

    def row(self, offset: int) -> int:
        return bisect_right(self._lines, offset)

    def last_row(self, loc: ast.Location) -> int:
        """The row of the last character."""
        return self.row(max(loc.end - 1, loc.offset))

    def written(self, loc: ast.Location) -> str:
        """The text of a node."""
        return self._source[loc.offset : loc.end]

    def token_before(self, offset: int) -> int:
        """The index of the last token that ends at `offset` or before it."""
        return bisect_right(self._tokens.ends, offset) - 1

    def in_parentheses(self, loc: ast.Location, begin: int) -> bool:
        """Whether a parenthesis stands before a node, other than the one at `begin`."""
        token = self.token_before(loc.offset)
        return self.kind(token) == "(" and self._tokens.starts[token] != begin

    def parentheses_after(self, loc: ast.Location) -> ast.Location:
        """From the parenthesis after a node to the one that closes it."""
        tokens = self._tokens
        first = token = self.token_before(loc.end) + 1
        depth = 1
        while depth:
            token += 1
            depth += {"(": 1, ")": -1}.get(tokens.kinds[token], 0)
        return ast.Location(
            loc.file,
            tokens.rows[first],
            tokens.cols[first],
            tokens.starts[first],
            tokens.ends[token],
        )

    def start_of(self, token: int) -> int:
        """The offset of its first character."""
        return self._tokens.starts[token]

    def kind(self, token: int) -> str:
        return self._tokens.kinds[token]

    def word(self, token: int) -> str:
        return self._tokens.texts[token]

    def token_row(self, token: int) -> int:
        return self._tokens.rows[token]

    def closing_row(self, loc: ast.Location, brackets: str, skipped: str = "") -> int:
        """The row on which OPA takes the first of these brackets in a node to be closed, after those `skipped`. It counts in
        strings and comments too, and leaves out line ends before an opening bracket; the first row if none is closed."""
        row = loc.row
        at = loc.offset
        for pair in (skipped, brackets) if skipped else (brackets,):
            opening, closing = pair[0], pair[1]
            at = self._source.find(opening, at, loc.end)
            depth = 0 if at < 0 else 1
            while depth:
                at += 1
                if at >= loc.end:
                    return loc.row
                character = self._source[at]
                if character == "\n":
                    row += 1
                elif character == closing:
                    depth -= 1
                elif character == opening:
                    depth += 1
            if at < 0:
                return loc.row
        return row

    def comments(self) -> Sequence[Comment]:
        """All comments, in order."""
        found = self._tokens.comments
        return [Comment(row, f"#{text}".rstrip(" \t\r")) for row, _, _, text in found]
