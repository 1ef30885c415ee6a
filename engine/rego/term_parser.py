"""Tokens to terms, literals and bodies: the part of the grammar that modules and queries share.

Recursive descent over the lists of `lexer.Tokens`, with precedence climbing for infix operators.
A failure is raised as `Failure` and caught by whoever can go on: the parser of modules at the next
rule, or one of the few places here where Rego's grammar can only be told apart by trying. It knows
nothing of rules, packages and imports.
"""

from __future__ import annotations

from typing import Final

from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import KEYWORDS_ALL, KEYWORDS_LOGICAL, NEWLINE, TIGHT, Tokens
from cupcake.engine.rego.token_reader import MAX_DEPTH, Failure, TokenReader, value_name

# The token of each infix operator: how tightly it binds, and the operator of the call it becomes.
_IN: Final = 1
_RELATION: Final = 2


def _operator(*names: str) -> ast.Ref:
    return ast.Ref((ast.Var(names[0]), *(ast.String(name) for name in names[1:])))


_SET: Final = ast.Var("set")
_MEMBER_2: Final = _operator("internal", "member_2")
_MEMBER_3: Final = _operator("internal", "member_3")
_INFIX: Final = {
    "in": (_IN, _MEMBER_2),
    "==": (_RELATION, _operator("equal")),
    "!=": (_RELATION, _operator("neq")),
    "<": (_RELATION, _operator("lt")),
    "<=": (_RELATION, _operator("lte")),
    ">": (_RELATION, _operator("gt")),
    ">=": (_RELATION, _operator("gte")),
    "|": (3, _operator("or")),
    "&": (4, _operator("and")),
    "+": (5, _operator("plus")),
    "-": (5, _operator("minus")),
    "*": (6, _operator("mul")),
    "/": (6, _operator("div")),
    "%": (6, _operator("rem")),
}

# Statements that are no terms, as messages name them.
_NO_TERMS: Final = {
    ast.Unify: "unification ('=')",
    ast.Assign: "assignment (':=')",
    ast.SomeDecl: "'some'",
    ast.SomeIn: "'some'",
    ast.Every: "'every'",
    ast.Not: "negation ('not')",
    ast.Logical: "'and' or 'or'",
}
_MAX_WITHS: Final = 200
_MAX_OPERANDS: Final = 2_000
# Marks that can only follow a term.
OPERATORS: Final = frozenset((*_INFIX, "=", ":=", "and", "or")) - {"in", "-"}
INFIX_MARKS: Final = frozenset(_INFIX) - {"in"}


class TermParser(TokenReader):
    """Reads terms, literals and bodies."""

    def __init__(self, tokens: Tokens, file: str) -> None:
        super().__init__(tokens, file)
        # While one reading of the text is on trial, primary terms are kept by their first token, good
        # or failed: the next reading takes them from here, so that nested trials stay linear.
        self._trials = 0
        # The token at which a keyword may be the first word of a ref: where a statement begins.
        self._word_at = -1
        self._memo: dict[int, tuple[ast.Term, int] | Failure] = {}

    # Bodies and literals

    def body(self, end: str) -> ast.Body:
        """Statements up to the token `end`, which is consumed."""
        if self.kinds[self.pos] == end:
            raise self.fail("found empty body")
        self._enter()
        statements = [self.literal()]
        while True:
            kind = self.kinds[self.pos]
            if kind == ";":
                self.pos += 1
            elif kind == end:
                self.pos += 1
                self._depth -= 1
                return tuple(statements)
            elif self.gaps[self.pos] != NEWLINE:
                raise self.unexpected(f"expected \\n or ; or {end}")
            statements.append(self.literal())

    def literal(self) -> ast.Expr:
        """One statement of a body, with its `not` and `with`."""
        start = self._word_at = self.pos
        negated = False
        if self.kinds[start] == "not" and not self._starts_ref(start):
            self.pos += 1
            negated = True
        what = self._some_or_every(negated)
        if what is None:
            what = self._statement_term()
        withs: tuple[ast.With, ...] = ()
        if self._with_follows() and not isinstance(what, ast.SomeDecl):
            withs = self._withs()
        return ast.Expr(what, negated, withs, self.loc(start))

    def _some_or_every(self, negated: bool) -> ast.ExprKind | None:
        kind = self.kinds[self.pos]
        if kind not in {"some", "every"} or (not negated and self._starts_ref(self.pos)):
            return None
        if negated:
            raise self.unexpected(f"illegal negation of '{kind}'")
        return self._some() if kind == "some" else self._every()

    def _statement_term(self) -> ast.ExprKind:
        """A term, or two with `:=` or `=` between them."""
        term = self.infix()
        kind = self.kinds[self.pos]
        if kind == ":=":
            self.pos += 1
            return ast.Assign(term, self.infix())
        if kind == "=":
            self.pos += 1
            return ast.Unify(term, self.infix())
        return term

    def _some(self) -> ast.ExprKind:
        self.pos += 1
        names = self._plain_names()
        if names:
            return ast.SomeDecl(names)
        start = self.pos
        term = self.infix()
        if isinstance(term, ast.Call):
            if term.operator == _MEMBER_2:
                value, domain = term.args
                return ast.SomeIn(None, value, domain)
            if term.operator == _MEMBER_3:
                key, value, domain = term.args
                return ast.SomeIn(key, value, domain)
        if not isinstance(term, ast.Var):
            raise self.fail("expected `x in xs` or `x, y in xs` expression", start)
        raise self.unexpected("expected var")

    def _plain_names(self) -> tuple[ast.Var, ...]:
        """The names of `some x, y`; nothing is consumed when `in` follows or they are no names."""
        start = self.pos
        ahead = start
        while self.kinds[ahead] == "ident" and self.kinds[ahead + 1] == ",":
            ahead += 2
        if self.kinds[ahead] != "ident":
            return ()
        follower = self.kinds[ahead + 1]
        if follower not in (";", "}", "]", "eof") and self.gaps[ahead + 1] != NEWLINE:
            return ()
        if follower == "in" and not self._starts_ref(ahead + 1):
            return ()
        names = []
        while self.pos <= ahead:
            at = self.pos
            self.pos += 1
            names.append(self._var(at))
            if at != ahead:
                self.pos += 1
        return tuple(names)

    def _every(self) -> ast.Every:
        self.pos += 1
        start = self.pos
        term = self.infix()
        key: ast.Term | None = None
        if isinstance(term, ast.Call) and term.operator == _MEMBER_2:
            value, domain = term.args
        elif isinstance(term, ast.Call) and term.operator == _MEMBER_3:
            key, value, domain = term.args
        else:
            raise self.fail("expected `x[, y] in xs { ... }` expression", start)
        if key is not None and not isinstance(key, ast.Var):
            raise self.fail("expected key to be a variable", start)
        if not isinstance(value, ast.Var):
            raise self.fail("expected value to be a variable", start)
        if self.kinds[self.pos] != "{":
            raise self.unexpected("missing body", "write `every x in xs { ... }`")
        self.pos += 1
        return ast.Every(key, value, domain, self.body("}"))

    def _with_follows(self) -> bool:
        """Whether the token is `with`, and not the first word of a ref in the next statement."""
        at = self.pos
        return self.kinds[at] == "with" and not (self.gaps[at] == NEWLINE and self._starts_ref(at))

    def _withs(self) -> tuple[ast.With, ...]:
        withs: list[ast.With] = []
        while self._with_follows():
            start = self.pos
            if len(withs) == _MAX_WITHS:
                raise self._too_much(f"too many `with`: at most {_MAX_WITHS} for one statement")
            self.pos += 1
            if self.kinds[self.pos] != "ident":
                raise self.unexpected("expected ident")
            target = self.primary()
            if not isinstance(target, ast.Ref | ast.Var):
                raise self.fail("expected with target path", start + 1)
            if self.kinds[self.pos] != "as":
                raise self.unexpected("expected as keyword")
            self.pos += 1
            withs.append(ast.With(target, self.infix(), self.loc(start)))
        return tuple(withs)

    # Terms

    def infix(self) -> ast.Term:
        """A term with infix operators, and `key, value in xs`, which lists leave out."""
        start = self.pos
        term = self.climb(self.primary(), start, _IN)
        if self.kinds[self.pos] != ",":
            return term
        comma = self.pos
        depth = self._depth
        self._trials += 1
        try:
            self.pos += 1
            middle = self.climb(self.primary(), comma + 1, _RELATION)
            found = self.kinds[self.pos] == "in"
        except Failure as failure:
            if failure.fatal:
                raise
            self._depth = depth
            found = False
        finally:
            self._trials -= 1
        if not found:
            self.pos = comma
            return term
        self.pos += 1
        at = self.pos
        domain = self.climb(self.primary(), at, _RELATION)
        call = ast.Call(_MEMBER_3, (term, middle, domain), self.loc(start))
        return self.climb(call, start, _IN)

    def element(self) -> ast.Term:
        """A term with infix operators as it stands in a list: a comma ends it."""
        start = self.pos
        return self.climb(self.primary(), start, _IN)

    def climb(self, left: ast.Term, start: int, least: int) -> ast.Term:
        """`left`, which begins at token `start`, and the operators after it that bind as `least` or more."""
        kinds = self.kinds
        links = 0
        while True:
            infix = _INFIX.get(kinds[self.pos])
            if infix is None or infix[0] < least:
                return left
            strength, operator = infix
            if strength == _IN and self.gaps[self.pos] == NEWLINE and self._starts_ref(self.pos):
                return left
            self.pos += 1
            at = self.pos
            right = self.primary()
            following = _INFIX.get(kinds[self.pos])
            if following is not None and following[0] > strength:
                right = self.climb(right, at, strength + 1)
            links += 1
            if links > MAX_DEPTH:
                raise self._too_deep()
            left = ast.Call(operator, (left, right), self.loc(start))

    def primary(self) -> ast.Term:
        """A term without infix operators, with the ref operands and calls that follow it."""
        if not self._trials:
            return self._primary()
        start = self.pos
        known = self._memo.get(start)
        if known is None:
            try:
                term = self._primary()
            except Failure as failure:
                self._memo[start] = failure
                raise
            self._memo[start] = (term, self.pos)
            return term
        if isinstance(known, Failure):
            raise known
        term, self.pos = known
        return term

    def _primary(self) -> ast.Term:
        start = self.pos
        kind = self.kinds[start]
        term: ast.Term
        if kind in {"ident", "contains"}:
            self.pos = start + 1
            term = self._var(start)
        elif kind == "string":
            self.pos = start + 1
            term = ast.String(self.texts[start], self.loc(start))
        elif kind == "number":
            self.pos = start + 1
            term = ast.Number(self.texts[start], self.loc(start))
        elif kind == "-" and self.kinds[start + 1] in {"ident", "contains"}:
            return self._minus()
        elif kind in {"-", "."}:
            term = self._signed()
        elif start == self._word_at and self._starts_ref(start):
            self.pos = start + 1
            term = self._var(start)
        elif kind in KEYWORDS_LOGICAL and self.kinds[start + 1] == "(" and not self.gaps[start + 1]:
            self.pos = start + 1  # the functions of these names
            term = self._var(start)
        elif kind in {"true", "false"}:
            self.pos = start + 1
            term = ast.Boolean(kind == "true", self.loc(start))
        elif kind == "null":
            self.pos = start + 1
            term = ast.Null(self.loc(start))
        else:
            self._enter()
            if kind == "[":
                term = self._array()
            elif kind == "{":
                term = self._braces()
            elif kind == "(":
                self.pos += 1
                term = self.infix()
                if self.kinds[self.pos] != ")":
                    raise self._unless_illegal("non-terminated expression")
                self.pos += 1
            elif kind == "template":
                term = self._template()
            else:
                raise self.unexpected()
            self._depth -= 1
        kind = self.kinds[self.pos]
        if (kind in {".", "[", "("}) and self.gaps[self.pos] == TIGHT:
            return self.suffixes(term, start)
        return term

    def _unless_illegal(self, message: str) -> Failure:
        """`message` at this token, unless the token itself is bad: then that is the better story."""
        return self.unexpected() if self.kinds[self.pos] == "illegal" else self.fail(message)

    def _minus(self) -> ast.Call:
        """`-x`, `-f(y).z`: zero minus the ref."""
        start = self.pos
        self.pos += 2
        term: ast.Term = self._var(start + 1)
        if self.kinds[self.pos] in {".", "[", "("} and self.gaps[self.pos] == TIGHT:
            term = self.suffixes(term, start + 1)
        zero = ast.Number("0", self.loc(start))
        return ast.Call(_INFIX["-"][1], (zero, term), self.loc(start))

    def _signed(self) -> ast.Number:
        """`-1`, `.5`, `-.5`: the sign and the bare fraction belong to the number."""
        start = self.pos
        text = ""
        if self.kinds[self.pos] == "-":
            text = "-"
            self.pos += 1
        if self.kinds[self.pos] == ".":
            self.pos += 1
            # A leading zero is no fault here, but it may not hide a second fraction.
            digits = self.texts[self.pos]
            bad = self.kinds[self.pos] == "illegal" and digits.isdigit()
            if "." in digits or not (bad or self.kinds[self.pos] == "number"):
                raise self.unexpected("expected number")
            if bad:
                self.tokens.problems.pop(self.pos, None)  # a second reading finds none
            text += "0."
        elif self.kinds[self.pos] != "number":
            raise self.unexpected("expected number")
        text += self.texts[self.pos]
        self.pos += 1
        return ast.Number(text, self.loc(start))

    def suffixes(self, head: ast.Term, start: int) -> ast.Term:
        """`head` with all of `.name`, `[term]` and `(args)` that follow it without a space."""
        kinds, gaps = self.kinds, self.gaps
        if not isinstance(
            head,
            ast.Var | ast.Array | ast.Object | ast.Set | ast.ArrayComprehension
            | ast.SetComprehension | ast.ObjectComprehension | ast.Call,
        ):  # fmt: skip
            raise self.fail(f"illegal ref (head cannot be {value_name(head)})", start)
        path: list[ast.Term] = [head]
        calls = 0
        while True:
            kind = kinds[self.pos]
            if len(path) > _MAX_OPERANDS:
                raise self._too_much(f"ref is too long: at most {_MAX_OPERANDS} operands")
            if kind == ".":
                self.pos += 1
                at = self.pos
                if gaps[at] != TIGHT or not (kinds[at] == "ident" or kinds[at] in KEYWORDS_ALL):
                    raise self.unexpected("expected identifier")
                self.pos += 1
                path.append(ast.String(self.texts[at], self.loc(at)))
            elif kind == "[":
                self.pos += 1
                self._enter()
                path.append(self.infix())
                self._depth -= 1
                if kinds[self.pos] != "]":
                    raise self.unexpected("expected ]")
                self.pos += 1
            elif kind == "(":
                call = self._call(ast.Ref(tuple(path), self.loc(start)), start)
                calls += 1
                if calls > MAX_DEPTH:
                    raise self._too_deep()
                path = [call]
                if gaps[self.pos] != TIGHT or kinds[self.pos] not in (".", "["):
                    return call
                continue
            else:
                break
            if gaps[self.pos] != TIGHT:
                break
        if len(path) == 1:
            return path[0]
        return ast.Ref(tuple(path), self.loc(start))

    def _call(self, operator: ast.Ref, start: int) -> ast.Term:
        self.pos += 1
        args = self._elements(")", [])
        head = operator.terms[0]
        if not args and len(operator.terms) == 1 and head == _SET:
            return ast.Set((), self.loc(start))
        return ast.Call(operator, args, self.loc(start))

    def _elements(self, end: str, items: list[ast.Term]) -> tuple[ast.Term, ...]:
        """Elements up to `end`, which is consumed; a comma may stand before it."""
        kinds = self.kinds
        self._enter()
        while kinds[self.pos] != end:
            items.append(self.element())
            if kinds[self.pos] == ",":
                self.pos += 1
            elif kinds[self.pos] != end:
                raise self.unexpected(f'expected "," or "{end}"')
        self.pos += 1
        self._depth -= 1
        return tuple(items)

    def _comprehension(self, end: str) -> ast.Body | None:
        """The body after the `|` that is next, up to `end`; None (and nothing consumed) when the text
        is not a comprehension but a list with an `|` operator in its first element."""
        bar = self.pos
        depth = self._depth
        self._trials += 1
        try:
            self.pos += 1
            return self.body(end)
        except Failure as failure:
            if failure.fatal or self.kinds[failure.at] != ",":
                raise
            self.pos = bar
            self._depth = depth
            return None
        finally:
            self._trials -= 1

    def _array(self) -> ast.Term:
        start = self.pos
        self.pos += 1
        kind = self.kinds[self.pos]
        if kind == "]":
            self.pos += 1
            return ast.Array((), self.loc(start))
        leading = kind == ","  # [, x]: old text may have it
        if leading:
            self.pos += 1
        at = self.pos
        first = self.primary()
        if self.kinds[self.pos] == "|" and not leading:
            body = self._comprehension("]")
            if body is not None:
                return ast.ArrayComprehension(first, body, self.loc(start))
        items = self._rest(first, at, "]")
        return ast.Array(items, self.loc(start))

    def _rest(self, first: ast.Term, at: int, end: str) -> tuple[ast.Term, ...]:
        """The elements of a list whose first one begins with the primary term `first`."""
        first = self.climb(first, at, _IN)
        if self.kinds[self.pos] == ",":
            self.pos += 1
        elif self.kinds[self.pos] != end:
            raise self.unexpected(f'expected "," or "{end}"')
        return self._elements(end, [first])

    def _braces(self) -> ast.Term:
        """A set, an object or a comprehension of either."""
        start = self.pos
        self.pos += 1
        kind = self.kinds[self.pos]
        if kind == "}":
            self.pos += 1
            return ast.Object((), self.loc(start))
        leading = kind == ","
        if leading:
            self.pos += 1
        at = self.pos
        first = self.primary()
        if self.kinds[self.pos] == "|" and not leading:
            body = self._comprehension("}")
            if body is not None:
                return ast.SetComprehension(first, body, self.loc(start))
        first = self.climb(first, at, _IN)
        kind = self.kinds[self.pos]
        if kind == ":":
            return self._object(first, start, leading)
        if kind == ",":
            self.pos += 1
        elif kind != "}":
            raise self.unexpected("non-terminated set")
        return ast.Set(self._elements("}", [first]), self.loc(start))

    def _object(self, key: ast.Term, start: int, leading: bool) -> ast.Term:
        kinds = self.kinds
        self.pos += 1
        at = self.pos
        value = self.primary()
        if kinds[self.pos] == "|" and not leading:
            body = self._comprehension("}")
            if body is not None:
                return ast.ObjectComprehension(key, value, body, self.loc(start))
        pairs = [(key, self.climb(value, at, _IN))]
        self._enter()
        while kinds[self.pos] != "}":
            if kinds[self.pos] != ",":
                raise self.unexpected("non-terminated object")
            self.pos += 1
            if kinds[self.pos] == "}":
                break
            key = self.element()
            if kinds[self.pos] != ":":
                raise self.unexpected('expected ":"')
            self.pos += 1
            pairs.append((key, self.element()))
        self._depth -= 1
        self.pos += 1
        return ast.Object(tuple(pairs), self.loc(start))

    def _template(self) -> ast.TemplateString:
        start = self.pos
        self.pos += 1
        raw = self.texts[start].endswith("`")
        parts: list[ast.Term | ast.Expr] = []
        while True:
            at = self.pos
            kind = self.kinds[at]
            self.pos += 1
            if kind == "end":
                return ast.TemplateString(tuple(parts), self.loc(start), raw)
            if kind == "chunk":
                parts.append(ast.String(self.texts[at], self.loc(at)))
                continue
            if kind != "open":
                self.pos = at
                raise self.unexpected()
            if self.kinds[self.pos] == "close":
                raise self.fail(
                    "invalid template-string expression: expected a term", hint="write \\{ for {"
                )
            parts.append(self._template_expression())
            if self.kinds[self.pos] != "close":
                raise self.unexpected("expected } at the end of a template-string expression")
            self.pos += 1

    def _template_expression(self) -> ast.Term | ast.Expr:
        start = self.pos
        expr = self.literal()
        kind = expr.kind
        if isinstance(
            kind,
            ast.Unify | ast.Assign | ast.SomeDecl | ast.SomeIn | ast.Every
            | ast.Not | ast.Logical | ast.Block,
        ):  # fmt: skip
            what = _NO_TERMS[type(kind)]
            raise self.fail(f"unexpected {what} in template-string expression", start)
        if expr.negated:
            raise self.fail("unexpected negation ('not') in template-string expression", start)
        return expr if expr.withs else kind
