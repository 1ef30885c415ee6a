"""Literals with `and`, `or` and the newer `not`, which a module must import (`rego.v2`, `future.keywords.and` ...).

Between the operators stand operands: a body in braces, a group in parentheses, or one statement. Which one a brace or a
parenthesis opens can only be told by trying; a module without these imports never comes here.
"""

from __future__ import annotations

from typing import Literal

from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import Tokens
from cupcake.engine.rego.term_parser import TermParser
from cupcake.engine.rego.token_reader import MAX_DEPTH, Failure, value_name

_OPERATORS = ("and", "or")
_PRINT = ast.Ref((ast.Var("print"),))


class LogicalParser(TermParser):
    """Reads literals; `_logical` is set when `and` or `or` is a keyword, `_not_bodies` when `not` takes a body."""

    def __init__(self, tokens: Tokens, file: str) -> None:
        super().__init__(tokens, file)
        self._logical = False
        self._not_bodies = False

    def literal(self) -> ast.Expr:
        """One statement of a body, logical operators and `with` included."""
        if not (self._logical or self._not_bodies):
            return super().literal()
        start = self.pos
        operand: ast.Operand | None = None
        if self._logical and self.kinds[start] == "{":
            operand = self._leading_body()
        elif self._logical and self.kinds[start] == "(":
            operand = self._group(False, "")
        if operand is not None:
            return self._tail(operand, start)
        self._word_at = start
        negated = self._negation()
        if negated and self._not_bodies:
            operand = self._not_operand(start)
            if operand is not None:
                return self._tail(operand, start)
        what = self._some_or_every(negated)
        if what is not None:
            withs = () if isinstance(what, ast.SomeDecl) else self._withs()
            return ast.Expr(what, False, withs, self.loc(start))
        what = self._statement_term()
        modifier = self.pos
        withs = self._withs() if self._with_follows() else ()
        if self.kinds[self.pos] not in _OPERATORS:
            return self._negated(what, negated, start, withs)
        if withs:
            raise self._with_on_operand(modifier)
        if not negated and self.kinds[start] == "{":
            if what == ast.Object(()):
                raise self.fail("found empty body", start)
            raise self._brace_led(start, self.kinds[self.pos])
        expr = self._negated(what, negated, start)
        return self._tail(ast.Operand((expr,)), start)

    def _negation(self) -> bool:
        """Whether `not` stands here, which is consumed."""
        if self.kinds[self.pos] != "not" or self._starts_ref(self.pos):
            return False
        self.pos += 1
        return True

    def _negated(
        self, what: ast.ExprKind, negated: bool, start: int, withs: tuple[ast.With, ...] = ()
    ) -> ast.Expr:
        """A statement with the `not` before it, if there is one; `with` goes with the `not`."""
        loc = self.loc(start)
        if not negated or not self._not_bodies:
            return ast.Expr(what, negated, withs, loc)
        inner = ast.Expr(what, loc=loc)
        return ast.Expr(ast.Not(ast.Operand((inner,))), False, withs, loc)

    def _tail(self, operand: ast.Operand, start: int) -> ast.Expr:
        """The operators after the first operand, and the `with` of the whole."""
        expr = operand.body[0]
        if self.kinds[self.pos] in _OPERATORS:
            expr = self._or_chain(operand, start)
        return self._modified(expr)

    def _modified(self, expr: ast.Expr) -> ast.Expr:
        if not self._with_follows():
            return expr
        return ast.Expr(expr.kind, expr.negated, (*expr.withs, *self._withs()), expr.loc)

    # Operators

    def _or_chain(self, left: ast.Operand, start: int) -> ast.Expr:
        """`left` and the operators after it; `and` binds more tightly."""
        left = self._and_chain(left, start)
        links = 0
        while self.kinds[self.pos] == "or":
            self.pos += 1
            links = self._one_more(links)
            at = self.pos
            right = self._and_chain(self._operand("or"), at)
            left = self._joined("or", left, right, start)
        return left.body[0]

    def _and_chain(self, left: ast.Operand, start: int) -> ast.Operand:
        links = 0
        while self.kinds[self.pos] == "and":
            self.pos += 1
            links = self._one_more(links)
            right = self._operand("and")
            left = self._joined("and", left, right, start)
        return left

    def _one_more(self, links: int) -> int:
        if links >= MAX_DEPTH:
            raise self._too_deep()
        return links + 1

    def _joined(
        self, operator: Literal["and", "or"], lhs: ast.Operand, rhs: ast.Operand, start: int
    ) -> ast.Operand:
        for operand in (lhs, rhs):
            self._refuse_prints(operand, operator)
        expr = ast.Expr(ast.Logical(operator, lhs, rhs), loc=self.loc(start))
        return ast.Operand((expr,))

    # Operands

    def _operand(self, operator: str) -> ast.Operand:
        """One operand; `operator` is empty when a failure only means that it is none."""
        start = self.pos
        if self.kinds[start] == "{":
            operand = self._body_operand(operator)
            if operator:
                self._refuse_union(operand, start, "")
            return operand
        negated = self._negation()
        if negated and self._not_bodies:
            denied = self._not_operand(start)
            if denied is not None:
                return denied
        elif self._logical and not negated and self.kinds[start] == "(":
            group = self._group(True, "")
            if group is not None:
                return group
        return ast.Operand((self._negated(self._statement_term(), negated, start),))

    def _body_operand(self, operator: str) -> ast.Operand:
        """A body in braces; one that is no body but a value is told so."""
        start = self.pos
        self._enter()
        self._trials += 1
        try:
            self.pos += 1
            body = self.body("}")
        except Failure as failure:
            if failure.fatal or not operator or self.kinds[start + 1] == "}":
                raise
            self._depth -= 1
            if self._reads_as_term(start):
                raise self._brace_led(start, operator) from None
            raise
        finally:
            self._trials -= 1
        self._depth -= 1
        return ast.Operand(body, explicit=True)

    def _reads_as_term(self, start: int) -> bool:
        end, depth = self.pos, self._depth
        self.pos = start
        try:
            self.infix()
        except Failure as failure:
            if failure.fatal:
                raise
            return False
        finally:
            self.pos, self._depth = end, depth
        return True

    def _not_operand(self, start: int) -> ast.Operand | None:
        """What follows `not` if it is a body or a group: the negation as an operand; else None."""
        at = self.pos
        inner: ast.Operand | None = None
        if self.kinds[at] == "{":
            try:
                inner = self._body_operand("")
            except Failure as failure:
                if failure.fatal or self.kinds[at + 1] == "}" or not self._reads_as_term(at):
                    raise
                self.pos = at
                name = value_name(_brace_led_value(self.infix()))
                raise self.fail(
                    f"`{{...}}` in an operand position must contain expression(s), got: {name}",
                    at,
                    "write `not ({...})` to negate the value, or `not {{...}}` for a body holding it",
                ) from None
            self._refuse_union(inner, at, "not ")
        elif self.kinds[at] == "(":
            inner = self._group(True, "not ")
        if inner is None:
            return None
        expr = ast.Expr(ast.Not(inner), loc=self.loc(start))
        return ast.Operand((expr,))

    def _leading_body(self) -> ast.Operand | None:
        """A body in braces that begins a statement: only if an operator follows; else nothing is consumed."""
        start, depth = self.pos, self._depth
        try:
            operand = self._body_operand("")
        except Failure as failure:
            if failure.fatal:
                raise
        else:
            if self.kinds[self.pos] in _OPERATORS:
                self._refuse_union(operand, start, "")
                return operand
        self.pos, self._depth = start, depth
        return None

    def _group(self, is_operand: bool, prefix: str) -> ast.Operand | None:
        """What stands in parentheses, if it is an operand rather than a term; else nothing is consumed.
        `is_operand`: the parentheses stand beside `and`, `or` or `not` in any case."""
        start, depth = self.pos, self._depth
        if self.kinds[start + 1] == ")":
            if is_operand:
                raise self.fail("empty parenthesized group", start)
            return None
        self._enter()
        self._trials += 1
        try:
            self.pos += 1
            operand = self._operand("")
        except Failure as failure:
            if failure.fatal:
                raise
            self.pos, self._depth = start, depth
            return None
        finally:
            self._trials -= 1
        found = self._closed_group(operand, start, is_operand, prefix)
        self._depth = depth
        if found is None:
            self.pos = start
        return found

    def _closed_group(
        self, operand: ast.Operand, start: int, is_operand: bool, prefix: str
    ) -> ast.Operand | None:
        """The group that begins with `operand`, up to its parenthesis; None if it is a term."""
        kind = self.kinds[self.pos]
        first = operand.body[0]
        if kind in _OPERATORS:
            if operand.explicit:
                self._refuse_union(operand, start + 1, "")
            expr = self._modified(self._or_chain(operand, start + 1))
            self._close()
            return ast.Operand((expr,))
        if operand.explicit:
            self.pos = start + 1
            try:
                self.primary()
            except Failure as failure:
                if failure.fatal:
                    raise
                raise self.fail(
                    "`(...)` in an operand position cannot contain a body",
                    start,
                    f"drop the parentheses to keep the body: `{prefix}{{...}}`",
                ) from None
            return None
        if self._with_follows():
            modifier = self.pos
            expr = self._modified(first)
            if self.kinds[self.pos] in _OPERATORS:
                raise self._with_on_operand(modifier)
            self._close()
            if is_operand or self.kinds[self.pos] in _OPERATORS:
                return ast.Operand((expr,))
            return None
        if isinstance(first.kind, ast.Logical | ast.Not) or first.negated:
            self._close()
            return operand
        return None

    def _close(self) -> None:
        if self.kinds[self.pos] != ")":
            raise self._unless_illegal("expected ) to close parenthesized group")
        self.pos += 1

    # What an operand may not be

    def _with_on_operand(self, at: int) -> Failure:
        operator = self.kinds[self.pos]
        return self.fail(
            f"`with` modifier is not allowed on operand of `{operator}`",
            at,
            f"wrap the operand in `(...)` or `{{...}}`, or move `with` after the `{operator}` expression",
        )

    def _brace_led(self, start: int, operator: str) -> Failure:
        return self.fail(
            f"operand of `{operator}` cannot begin with `{{` unless the braces hold a body",
            start,
            f"wrap the operand to keep the value: `({{...}}) {operator} ...`",
        )

    def _refuse_union(self, operand: ast.Operand, start: int, prefix: str) -> None:
        """`{a | b}` would be a comprehension anywhere else."""
        expr = operand.body[0]
        kind = expr.kind
        # An operator that was written as a name has a place, one between its operands has none.
        if not isinstance(kind, ast.Call) or kind.operator.terms != (ast.Var("or"),):
            return
        if kind.operator.loc.row or self.tokens.source[expr.loc.offset] == "(":
            return
        raise self.fail(
            "ambiguous `{ ... | ... }` operand: read as a body holding a set-union expression, not as a comprehension",
            start,
            f"write `{prefix}({{...}})` for the comprehension, or `{prefix}{{(... | ...)}}` for the set union",
        )

    def _refuse_prints(self, operand: ast.Operand, operator: str) -> None:
        for expr in operand.body:
            call = expr.kind
            if expr.negated or not isinstance(call, ast.Call) or call.operator != _PRINT:
                return
        failure = self.fail(f"operand of `{operator}` cannot consist only of calls to `print`")
        place = operand.body[0].loc
        failure.diagnostic = self.diagnostic_at(
            failure.diagnostic, place, "`print` always succeeds; move it out of the operand"
        )
        raise failure


def _brace_led_value(term: ast.Term) -> ast.Term:
    """The value that the first brace of a term opens: `{1} & s` is led by the set."""
    while isinstance(term, ast.Call) and not term.operator.loc.row and term.args:
        term = term.args[0]
    return term
