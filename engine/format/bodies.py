"""Statements and bodies as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cupcake.engine.format.lines import Misplaced
from cupcake.engine.format.operators import (
    MARKS,
    MEMBER_3,
    begins_with_brace,
    is_membership,
    leading_sign,
    mark_of,
    operator_name,
)
from cupcake.engine.format.terms import TermWriter
from cupcake.engine.rego import ast


class BodyWriter(TermWriter):
    """Writes bodies."""

    def body(self, body: ast.Body, end_row: int, *, after_if: bool = False) -> None:
        """Statements, one a line, up to a bracket on `end_row`; `after_if`: the body is that of a rule."""
        lines = self.lines
        last = 0
        for expr in body:
            if last and expr.loc.row - last > 1:
                lines.blank()
            lines.begin(expr.loc.row)
            self.signed = leading_sign(expr) if last else None
            self._statement(expr, first=after_if and not last)
            last = self.places.last_row(expr.loc)
        lines.comments_above(end_row, afresh=True)

    def block(self, body: ast.Body, row: int, end_row: int) -> None:
        lines = self.lines
        if self.fits(body, row):
            lines.put(" ")
            self._inline(body)
            if not self.flat:
                lines.comments_above(end_row)
                lines.row = max(lines.row, end_row)
            return
        lines.end()
        lines.level += 1
        self.body(body, end_row)
        lines.row = max(lines.row, end_row)
        lines.level -= 1

    def fits(self, body: ast.Body, row: int) -> bool:
        """Whether a body stays on the line of its bracket on `row`."""
        return self.flat or all(expr.loc.row == row for expr in body)

    def _inline(self, body: ast.Body) -> None:
        for number, expr in enumerate(body):
            if number:
                self.lines.put("; ")
            self.expr(expr)

    def _statement(self, expr: ast.Expr, *, first: bool) -> None:
        """A line with a statement, as it was written if a comment in it has no other place."""
        lines = self.lines
        mark = lines.mark()
        try:
            self.expr(expr, first=first)
            lines.end()
        except Misplaced:
            lines.back_to(mark)
            self.as_written(expr.loc)
            lines.end()

    def expr(self, expr: ast.Expr, *, first: bool = False) -> None:
        """One statement; `first`: it follows `if {`, where parentheses may be what tells `(a | b) == c` from a comprehension."""
        put = self.lines.put
        start = expr.loc.offset if first and not expr.negated else -1
        if expr.negated:
            put("not ")
        kind = expr.kind
        match kind:
            case ast.Unify(lhs=lhs, rhs=rhs):
                self._sides(lhs, "=", rhs, start)
            case ast.Assign(lhs=lhs, rhs=rhs):
                self._sides(lhs, ":=", rhs, start)
            case ast.SomeDecl(names=names):
                self._declaration(names, expr.loc.row)
            case ast.SomeIn(key=key, value=value, domain=domain):
                put("some ")
                if key is not None:
                    self.term(key, operand=True)
                    put(", ")
                self.term(value, operand=True)
                put(" in ")
                self.whole(domain, operand=True, tight=is_membership(domain))
            case ast.Every():
                self._every(kind, expr.loc)
            case ast.Not(operand=operand):
                put("not ")
                self._operand(operand, 2, expr.loc, negates=True)
            case ast.Logical():
                self._logical(kind, expr.loc)
            case ast.Block():
                raise AssertionError("a block is never written")
            case ast.Call():
                self._call_statement(kind, start)
            case _:
                self.whole(kind)
        if expr.withs:
            self._withs(expr)

    def _declaration(self, names: Sequence[ast.Var], row: int) -> None:
        """`some x, y`, with each name on a line of its own that has one in the text."""
        lines = self.lines
        level = lines.level
        lines.put("some ")
        for number, name in enumerate(names):
            if name.loc.row != row:
                lines.put("," if number else "")
                lines.end()
                lines.level = level + 1
                lines.begin(name.loc.row)
                row = name.loc.row
            elif number:
                lines.put(", ")
            self.term(name)
        lines.level = level

    def _sides(self, lhs: ast.Term, mark: str, rhs: ast.Term, start: int) -> None:
        self.whole(lhs, operand=self.keeps(lhs, start))
        self.lines.put(f" {mark} ")
        self.whole(rhs)

    def _call_statement(self, call: ast.Call, start: int) -> None:
        name = operator_name(call)
        if name in MARKS and len(call.args) == 3 and name != MEMBER_3:
            # The result of the operation is the last argument: `plus(1, 2, x)`.
            self.term(call.args[2])
            self.lines.put(" = ")
            self.infix(ast.Call(call.operator, call.args[:2], call.loc))
        elif name == MEMBER_3 and len(call.args) == 3:
            self.pair_in(*call.args)
        elif self.keeps(call, start):
            self.term(call, operand=True)
        elif mark_of(call):
            self.infix(call, bare=True, start=start)
        else:
            self.ref(call.operator)
            loc = self.places.parentheses_after(call.operator.loc)
            self.arguments(call.args, loc, whole=True)

    def _every(self, every: ast.Every, loc: ast.Location) -> None:
        put = self.lines.put
        put("every ")
        if every.key is not None:
            self.term(every.key)
            put(", ")
        self.term(every.value)
        put(" in ")
        self.whole(every.domain, tight=is_membership(every.domain))
        put(" {")
        self.block(every.body, loc.row, self.places.closing_row(loc, "{}"))
        # No space in the second case: so has OPA it.
        put(" }" if len(every.body) == 1 and self.fits(every.body, loc.row) else "}")

    # `with`

    def _withs(self, expr: ast.Expr) -> None:
        lines = self.lines
        last = self.places.token_row(self.places.token_before(expr.withs[0].loc.offset))
        level = lines.level
        for found in expr.withs:
            row = found.loc.row
            if row > last:
                lines.end()
                lines.level = level + 1
                lines.begin(row)
                last = row
            else:
                lines.reach(row)
                lines.put(" ")
            lines.put("with ")
            self.term(found.target)
            lines.put(" as ")
            self.whole(found.value)
        lines.level = level

    # `and`, `or` and the newer `not`

    def _logical(self, logical: ast.Logical, loc: ast.Location) -> None:
        lines = self.lines
        level = lines.level
        own = _LOGICAL[logical.operator]
        self._operand(logical.lhs, own, loc)
        lines.put(f" {logical.operator}")
        operator = self.places.token_before(logical.rhs.body[0].loc.offset)
        while self.places.word(operator) != logical.operator:
            operator -= 1
        last = self.places.token_row(operator - 1)
        row = self.places.token_row(operator + 1)
        if row > last:
            lines.end()
            lines.level = level + 1
            lines.begin(row)
        else:
            lines.put(" ")
        self._operand(logical.rhs, own + 1, loc)
        lines.level = level

    def _operand(
        self, operand: ast.Operand, least: int, loc: ast.Location, *, negates: bool = False
    ) -> None:
        put = self.lines.put
        if operand.explicit:
            put("{")
            opening = self.places.token_before(operand.body[0].loc.offset)
            row = self.places.token_row(opening)
            if not negates:
                loc = replace(loc, offset=self.places.start_of(opening), row=row)
            self.block(operand.body, row, self.places.closing_row(loc, "{}"))
            put(" }" if self.fits(operand.body, row) else "}")
            return
        expr = operand.body[0]
        kind = expr.kind
        loose = isinstance(kind, ast.Logical) and _LOGICAL[kind.operator] < least
        if loose or begins_with_brace(expr) or expr.withs:
            put("(")
            self.expr(expr)
            put(")")
        else:
            self.expr(expr)


_LOGICAL = {"or": 0, "and": 1}
