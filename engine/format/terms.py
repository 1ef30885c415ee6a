"""Terms as text, on the lines that they were written on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from cupcake.engine.format.lines import Lines, Misplaced
from cupcake.engine.format.operators import (
    MEMBER_3,
    is_membership,
    is_union,
    mark_of,
    operator_name,
    strength,
)
from cupcake.engine.format.places import Places
from cupcake.engine.format.plain import is_word, plain, quoted
from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import KEYWORDS_V1


class TermWriter:
    """Writes terms; how statements are written, which comprehensions hold, is left to a subclass."""

    def __init__(self, lines: Lines, places: Places) -> None:
        self.lines = lines
        self.places = places
        self.flat = False  # whether all goes on one line, whatever it was written on
        # A number that needs parentheses: its sign would be taken for an operator after the line before.
        self.signed: ast.Number | None = None
        self.keywords = KEYWORDS_V1

    def expr(self, expr: ast.Expr) -> None:
        """One statement on the current line."""
        raise NotImplementedError

    def block(self, body: ast.Body, row: int, end_row: int) -> None:
        """Statements up to a bracket on `end_row`: on the current line if all begin on `row`, else one a line."""
        raise NotImplementedError

    def term(self, term: ast.Term, *, operand: bool = False, tight: bool = False) -> None:
        """A term; `operand`: where one with an operator gets parentheses, which those with `in` only need where it has to be
        `tight`."""
        put = self.lines.put
        if not self.flat:
            self.lines.reach(term.loc.row)
        match term:
            case ast.Null() | ast.Boolean() | ast.Var():
                put(plain(term))
            case ast.Number(loc=loc):
                # The zero of `-x` has the place of the minus.
                written = "".join(self.places.written(loc).split())
                written = term.text if "#" in written or not written[-1:].isdigit() else written
                put(f"({written})" if term is self.signed else written)
            case ast.String(value=text, loc=loc):
                # The key of v0's `p.key` is a bare word.
                written = self.places.written(loc)
                put(written if written[:1] in ("`", '"') else quoted(text))
            case ast.Ref():
                self.ref(term)
            case ast.Array(items=items):
                self._list("[", items, "]", term.loc)
            case ast.Set(items=()):
                put("set()")
            case ast.Set(items=items):
                # By their texts: `{1, 1}` in it is `{1}`, and what is equal then stands once, too.
                once: dict[str, ast.Term] = {}
                for item in items:
                    once.setdefault(plain(item), item)
                self._list("{", tuple(once.values()), "}", term.loc)
            case ast.Object():
                self._object(term)
            case ast.ArrayComprehension(term=head, body=body):
                self._comprehension("[", (head,), body, "]", term.loc)
            case ast.SetComprehension(term=head, body=body):
                self._comprehension("{", (head,), body, "}", term.loc)
            case ast.ObjectComprehension(key=key, value=value, body=body):
                self._comprehension("{", (key, value), body, "}", term.loc)
            case ast.Call():
                self._call(term, operand=operand, tight=tight)
            case ast.TemplateString():
                self._template(term)
            case _:
                assert_never(term)

    def _template(self, term: ast.TemplateString) -> None:
        put = self.lines.put
        opening = self.places.written(term.loc)[:2]
        put(opening)
        for part in term.parts:
            if isinstance(part, ast.Null | ast.Boolean | ast.Number | ast.String):
                put(_template_text(part, raw=opening == "$`"))
                continue
            put("{")
            if isinstance(part, ast.Expr):
                self.expr(part)
            else:
                self.term(part)
            put("}")
        put(opening[1])

    # Refs

    def ref(self, ref: ast.Ref) -> None:
        """A ref, or the operator of a call."""
        self.term(ref.terms[0])
        row = self.lines.row
        self.steps(ref.terms[1:])
        self.lines.row = row

    def steps(self, parts: Sequence[ast.Term]) -> None:
        """What follows the head of a ref."""
        for part in parts:
            if isinstance(part, ast.String):
                self.lines.put(self.name_step(part))
            else:
                self.lines.put("[")
                self.term(part)
                self.lines.put("]")

    def name_step(self, part: ast.String) -> str:
        """`.name` or `["name"]`; words that are keywords stay as they were written."""
        name = part.value
        dotted = is_word(name) and (
            name not in self.keywords or self.places.written(part.loc) in ("", name)
        )
        return f".{name}" if dotted else f"[{quoted(name)}]"

    # Calls

    def _call(self, call: ast.Call, *, operand: bool, tight: bool) -> None:
        put = self.lines.put
        mark = mark_of(call)
        braced = operator_name(call) == MEMBER_3 or (bool(mark) and tight)
        braced = braced or (operand and mark not in ("", "in"))
        if braced:
            put("(")
        if mark:
            self.infix(call)
        elif operator_name(call) == MEMBER_3 and len(call.args) == 3:
            self.pair_in(*call.args)
        else:
            self.ref(call.operator)
            self.arguments(call.args, self.places.parentheses_after(call.operator.loc))
        if braced:
            put(")")

    def infix(self, call: ast.Call, *, bare: bool = False, start: int = -1) -> None:
        """A call with its mark between the operands. `bare` ones get parentheses only if they would be read differently
        without; `start`: where the statement begins, if `a | b` at its beginning has to keep those that it has."""
        left, right = call.args[:2]
        own = strength(call)
        write = self.whole if bare else self.term
        bare = bare and mark_of(call) != "in"
        tight = strength(left) < own
        write(left, operand=not bare or tight or self.keeps(left, start), tight=tight)
        self.lines.put(f" {mark_of(call)} ")
        tight = strength(right) <= own
        write(right, operand=not bare or tight, tight=tight)

    def keeps(self, left: ast.Term, start: int) -> bool:
        """Whether a union that begins the statement at `start` has parentheses that tell it from a comprehension."""
        return 0 <= start < left.loc.offset and is_union(left)

    def pair_in(self, key: ast.Term, value: ast.Term, domain: ast.Term) -> None:
        """`key, value in domain`."""
        self.term(key, operand=True)
        self.lines.put(", ")
        self.term(value, operand=True, tight=is_membership(value))
        self.lines.put(" in ")
        self.term(domain, operand=True, tight=is_membership(domain))

    def arguments(
        self, args: Sequence[ast.Term], loc: ast.Location, *, whole: bool = False
    ) -> None:
        """The arguments of a call in the parentheses at both ends of `loc`. `whole`: each stays as it was written if a
        comment in it has no other place."""
        write = self._argument(loc, self.whole if whole else self.term)
        self.lines.put("(")
        groups = self._by_row(args)
        if len(groups) == 1:
            self._row(groups[0], write)
        elif groups:
            self._rows(groups, write, 0)
        self.lines.put(")")

    def parameters(self, args: Sequence[ast.Term], loc: ast.Location) -> None:
        """The arguments of a function where it is defined."""
        self.lines.put("(")
        self._items(args, self._argument(loc, self.term), loc, "()")
        self.lines.put(")")

    def _argument(
        self, loc: ast.Location, write: Callable[..., None]
    ) -> Callable[[ast.Term], None]:
        """How an argument is written: a union keeps the parentheses that it has."""

        def written(arg: ast.Term) -> None:
            write(arg, operand=is_union(arg) and self.places.in_parentheses(arg.loc, loc.offset))

        return written

    def whole(self, term: ast.Term, *, operand: bool = False, tight: bool = False) -> None:
        """A term, as it was written if a comment in it has no other place."""
        self.or_as_written(partial(self.term, term, operand=operand, tight=tight), term.loc)

    def or_as_written(self, write: Callable[[], None], loc: ast.Location) -> None:
        """Writes what stands at `loc`, as it was written if a comment in it has no other place."""
        lines = self.lines
        if not self.flat:
            lines.reach(loc.row)
        mark = lines.mark()
        try:
            write()
        except Misplaced:
            lines.back_to(mark)
            self.as_written(loc)

    def as_written(self, loc: ast.Location) -> None:
        """What stands at `loc`, with the comments in it."""
        lines = self.lines
        lines.put(self.places.written(loc))
        lines.row = self.places.last_row(loc)
        lines.skip_comments(lines.row - 1)

    # Collections

    def _list(self, opening: str, items: Sequence[ast.Term], end: str, loc: ast.Location) -> None:
        self.lines.put(opening)
        self._items(items, self._element, loc, opening + end)
        self.lines.put(end)

    def _object(self, term: ast.Object) -> None:
        values = {id(key): value for key, value in term.pairs}

        def pair(key: ast.Term) -> None:
            self._element(key)
            self.lines.put(": ")
            self._element(values[id(key)])

        self.lines.put("{")
        keys = [key for key, _ in term.pairs]
        self._items(keys, pair, term.loc, "{}")
        self.lines.put("}")

    def _element(self, term: ast.Term) -> None:
        """A term where `|` without parentheses would begin the body of a comprehension."""
        self.term(term, operand=is_union(term))

    def _items(
        self,
        items: Sequence[ast.Term],
        write: Callable[[ast.Term], None],
        loc: ast.Location,
        brackets: str,
    ) -> None:
        """What stands between the brackets at both ends of `loc`."""
        groups = self._by_row(items)
        end_row = self.places.closing_row(loc, brackets)
        if len(groups) < 2 and not self.flat:
            self.lines.refuse_comments(loc.row + 1, end_row - 1)
        if len(groups) == 1 and (self.flat or groups[0][0].loc.row == loc.row):
            self._row(groups[0], write)
        elif groups:
            self._rows(groups, write, end_row)

    def _rows(
        self,
        groups: Sequence[Sequence[ast.Term]],
        write: Callable[[ast.Term], None],
        end_row: int,
    ) -> None:
        lines = self.lines
        lines.turn()
        lines.level += 1
        for group in groups:
            lines.reach(group[0].loc.row)
            self._row(group, write)
            lines.put(",")
            lines.end()
        lines.comments_above(end_row, afresh=True)
        lines.row = max(lines.row, end_row)
        lines.level -= 1

    def _by_row(self, items: Sequence[ast.Term]) -> list[list[ast.Term]]:
        """Items that begin on the same row together; all of them when one is a variable that a compiler made."""
        if items and (self.flat or any(map(_is_generated, items))):
            return [list(items)]
        groups: list[list[ast.Term]] = []
        for item in items:
            if groups and groups[-1][0].loc.row == item.loc.row:
                groups[-1].append(item)
            else:
                groups.append([item])
        return groups

    def _row(self, items: Sequence[ast.Term], write: Callable[[ast.Term], None]) -> None:
        for number, item in enumerate(items):
            if number:
                self.lines.put(", ")
            write(item)

    def _comprehension(
        self,
        opening: str,
        heads: Sequence[ast.Term],
        body: ast.Body,
        end: str,
        loc: ast.Location,
    ) -> None:
        lines = self.lines
        lines.put(opening)
        row = heads[0].loc.row if len(heads) == 1 else loc.row
        if row != loc.row and not self.flat:
            lines.end()
        if len(heads) > 1:
            self._element(heads[0])
            lines.put(": ")
        self.term(heads[-1], operand=True, tight=True)
        lines.put(" |")
        self.block(body, row, self.places.closing_row(loc, opening + end))
        lines.put(end)


def _is_generated(term: ast.Term) -> bool:
    return isinstance(term, ast.Var) and term.name.startswith("__local")


def _template_text(part: ast.Scalar, *, raw: bool) -> str:
    """What a constant in a template string stands for."""
    text = part.value if isinstance(part, ast.String) else plain(part)
    return (text if raw else quoted(text)[1:-1]).replace("{", "\\{")
