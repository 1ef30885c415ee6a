"""Tokens to rules: heads, bodies, `else`, defaults, and what v1 forbids of v0's ways to write them.

It collects the rules of a module; which statement is a rule, and going on after an error, is the
business of `parser`.
"""

from __future__ import annotations

from dataclasses import replace

from cupcake.engine.errors import Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.annotations import Attachment
from cupcake.engine.rego.lexer import (
    KEYWORDS_ALL,
    KEYWORDS_FUTURE,
    KEYWORDS_LOGICAL,
    NEWLINE,
    TIGHT,
    Tokens,
)
from cupcake.engine.rego.logical_parser import LogicalParser
from cupcake.engine.rego.term_parser import INFIX_MARKS, OPERATORS
from cupcake.engine.rego.token_reader import MAX_DEPTH, MAX_PATH, Failure, keyword_hint, value_name


class RuleParser(LogicalParser):
    """Reads rules into `_rules`."""

    def __init__(self, tokens: Tokens, file: str) -> None:
        super().__init__(tokens, file)
        self._rules: list[ast.Rule] = []
        self._attachments: list[Attachment] = []
        # What v1 forbids and v0 allows; errors only when the module turns out to be v1.
        self._strict: list[Diagnostic] = []

    def _default(self) -> None:
        start = self.pos
        self.pos += 1
        if self.kinds[self.pos] != "ident" and not self._starts_ref(self.pos):
            if self.kinds[self.pos] in KEYWORDS_ALL - {"true", "false", "null", "default"}:
                kind = self.kinds[self.pos]
                raise self.fail(f"{kind} keyword cannot be used for rule name")
            raise self.fail("unexpected default keyword: expected rule name after it", start)
        ref, args = self._name()
        if self.kinds[self.pos] not in ("=", ":="):
            if self.kinds[self.pos] == "contains":
                raise self.fail("illegal default rule (must have a value)", start)
            if self.kinds[self.pos] != "eof" and self.gaps[self.pos] != NEWLINE:
                raise self.unexpected("expected the value of the default rule")
            # OPA takes a default without a value for `true`.
            head = ast.Head(ref, args, None, ast.Boolean(True, self.loc(start)), False, ref.loc)
            self._add(ast.Rule(head, (), None, True, (), self.loc(start)), start)
            return
        assign = self.kinds[self.pos] == ":="
        self.pos += 1
        value = self.infix()
        head = ast.Head(ref, args, None, value, assign, self.loc(start + 1))
        name = _open_part(value)
        if name:
            raise self.fail(f"illegal default rule (value cannot contain {name})", start)
        seen: set[str] = set()
        for arg in args or ():
            if not isinstance(arg, ast.Var):
                name = value_name(arg)
                raise self.fail(f"illegal default rule (arguments cannot contain {name})", start)
            if arg.name in seen:
                raise self.fail(
                    f"illegal default rule (arguments cannot be repeated {arg.name})", start
                )
            seen.add(arg.name)
        self._add(ast.Rule(head, (), None, True, (), self.loc(start)), start)

    def _add(self, rule: ast.Rule, start: int) -> None:
        self._attachments.append(Attachment("rule", self.tokens.rows[start], len(self._rules)))
        self._rules.append(rule)

    def _name(self) -> tuple[ast.Ref, tuple[ast.Term, ...] | None]:
        """The ref of a rule head and the arguments of a function."""
        start = self.pos
        self.pos += 1
        var = self._var(start)
        # Here, and only here, a space may stand before the first bracket: `p [x]`.
        if self.kinds[self.pos] not in (".", "[", "("):
            return ast.Ref((var,), var.loc), None
        term = self.suffixes(var, start)
        ref = term.operator if isinstance(term, ast.Call) else term
        if isinstance(ref, ast.Ref) and len(ref.terms) > MAX_PATH:
            raise self.fail(f"rule name is too long: at most {MAX_PATH} steps are allowed", start)
        if isinstance(term, ast.Call):
            head = term.operator.terms[0]
            if not isinstance(head, ast.Var):
                raise self.fail("rule head ref is invalid: it begins with a call", start)
            return term.operator, term.args
        if isinstance(term, ast.Ref) and isinstance(term.terms[0], ast.Var):
            return term, None
        raise self.fail(f"{value_name(term)} cannot be used for rule name", start)

    def _rule(self) -> None:
        start = self.pos
        ref, args = self._name()
        spaced = self.gaps[start + 1] != TIGHT and len(ref.terms) + len(args or ()) > 1
        key: ast.Term | None = None
        value: ast.Term | None = None
        assign = contains = False
        kind = self.kinds[self.pos]
        if kind == "contains":
            if args is not None:
                raise self.unexpected(
                    "the contains keyword can only be used with multi-value rule definitions"
                    " (e.g., p contains <VALUE> { ... })"
                )
            self.pos += 1
            contains = True
            key = self.infix()
        elif kind in {"=", ":="}:
            assign = kind == ":="
            self.pos += 1
            value = self.infix()
        head_loc = self.loc(start)
        kind = self.kinds[self.pos]
        has_if = kind == "if" and not self._starts_ref(self.pos)
        if kind == "if" and value is None and not contains:
            # `p if[x]`: behind a bare head no other rule begins on the same line.
            has_if = has_if or (self.gaps[self.pos] != NEWLINE and self.kinds[self.pos + 1] == "[")
        has_body = has_if or kind == "{"
        if spaced and not has_body and not contains:
            raise self.fail("a rule name may not hold spaces", start + 1, "remove the space")
        if not has_body and not contains and value is None:
            self._bare_head(ref, args, start)
        args = args or None  # `f() := 1` is no function
        if not has_if and not contains and args is None and value is None and len(ref.terms) == 2:
            # p[x] { ... }, v0's way to write a set
            self._forbid_in_v1(
                "`contains` keyword is required for partial set rules",
                start,
                "write `p contains x if { ... }`, or `p[x] if { ... }` for an object",
            )
            ref, key = ast.Ref(ref.terms[:1], ref.terms[0].loc), ref.terms[1]
        head = ast.Head(ref, args, key, value, assign, head_loc)
        body: ast.Body = ()
        if has_if:
            self.pos += 1
            body = self._if_body()
        elif has_body:
            self._missing_if(start, args)
            self.pos += 1
            body = self.body("}")
        else_: ast.Rule | None = None
        if has_body and self.kinds[self.pos] == "else" and not self._starts_ref(self.pos):
            if any(not is_ground(term) for term in ref.terms[1:]):
                raise self.fail("else keyword cannot be used on rules with variables in head")
            partial = not has_if and args is None and value is not None and len(ref.terms) == 2
            if key is not None or partial:
                raise self.fail("else keyword cannot be used on multi-value rules")
            else_ = self._else_chain(head)
        self._add(ast.Rule(head, body, else_, False, (), self.loc(start)), start)
        if not has_body:
            self._end_of_rule(start)
            return
        while self.kinds[self.pos] == "{":
            if else_ is not None:
                raise self.fail("expected else keyword")
            at = self.pos
            self.pos += 1
            again = self.body("}")
            self._rules.append(ast.Rule(self._again(head), again, loc=self.loc(at)))

    def _end_of_rule(self, start: int) -> None:
        """A rule without a body ends its line; what else stands there was meant for something."""
        kind = self.kinds[self.pos]
        if kind == "eof" or self.gaps[self.pos] == NEWLINE:
            return
        if kind == "ident" and self.texts[self.pos] in KEYWORDS_FUTURE:
            raise self.unexpected()
        if kind in KEYWORDS_LOGICAL:
            raise self.fail("expression cannot be used for rule head", start)
        if kind in INFIX_MARKS:
            raise self.fail("rule name conflicts with built-in function", start)
        if kind == ";":
            raise self.fail(
                "multiple expressions cannot be used for rule head",
                start,
                "rules are separated by line ends",
            )
        if kind not in ("ident", "default", "import", "package"):
            raise self.unexpected("expected the end of the rule")

    def _bare_head(self, ref: ast.Ref, args: tuple[ast.Term, ...] | None, start: int) -> None:
        """Decide on a head with neither value nor body."""
        if args is not None:
            if not args:
                raise self.fail("rule argument list must take at least one argument", start)
            return
        kind = self.kinds[self.pos]
        if kind in INFIX_MARKS:
            raise self.fail("rule name conflicts with built-in function", start)
        if self.gaps[self.pos] != NEWLINE and kind not in {"eof", "ident"}:
            raise self.unexpected(
                "expected rule body or value", "write `name := value` or `name if { ... }`"
            )
        if len(ref.terms) == 1:
            hint = "write `name := value` or `name if { ... }`"
            after = self.texts[self.pos]
            if kind == "ident" and self.gaps[self.pos] != NEWLINE:
                if keyword_hint(after):
                    hint = keyword_hint(after)
                elif after in ("contain", "include", "includes", "has"):
                    hint = "did you mean `contains`?"
            raise self.fail("var cannot be used for rule name", start, hint)
        if len(ref.terms) > 2:
            self._forbid_in_v1("rule must have value assignment and/or body declaration", start)

    def _forbid_in_v1(self, message: str, at: int, hint: str = "") -> None:
        self._strict.append(self.diagnostic(message, at, hint))

    def _missing_if(self, at: int, args: tuple[ast.Term, ...] | None) -> None:
        what = "rule" if args is None else "function"
        self._forbid_in_v1(
            f"`if` keyword is required before {what} body", at, "put `if` before the `{`"
        )

    def _if_body(self) -> ast.Body:
        """What follows `if`: one literal, or a body in braces.

        The two are told apart by trying: `{ x }` is a body, `{x | ...}` a comprehension and so a
        literal, and so is `{1, 2} == y`.
        """
        start = self.pos
        if self.kinds[start] != "{":
            return (self.literal(),)
        if self.kinds[start + 1] == "}":
            return (self.literal(),)
        depth = self._depth
        refused: Failure | None = None
        body: ast.Body = ()
        self._trials += 1
        try:
            self.pos += 1
            body = self.body("}")
        except Failure as failure:
            if failure.fatal:
                raise
            refused = failure
        finally:
            self._trials -= 1
        end = self.pos
        if refused is None and not self._reads_on(start):
            return body
        self.pos = start
        self._depth = depth
        try:
            literal = self.literal()
        except Failure as failure:
            if failure.fatal:
                raise
            if refused is None:
                self.pos = end
                return body
            raise refused from None
        if refused is None and isinstance(literal.kind, ast.Set):
            self.pos = end
            return body
        if refused is not None and isinstance(literal.kind, ast.Set):
            raise refused
        return (literal,)

    def _reads_on(self, start: int) -> bool:
        """Whether the braces at `start`, just read as a body, could begin a literal instead."""
        first = self._memo.get(start + 1)
        if isinstance(first, tuple) and self.kinds[first[1]] == "|":
            return True
        kind = self.kinds[self.pos]
        if self.gaps[self.pos] == NEWLINE:
            return kind in OPERATORS  # no rule can begin with these
        return kind not in ("eof", "else", "{", "ident", "default", "import", "package")

    def _again(self, head: ast.Head) -> ast.Head:
        """`head` for another body of its rule: each has wildcards of its own."""
        args = head.args
        if args is None or not any(isinstance(a, ast.Var) and a.name[0] == "$" for a in args):
            return head
        fresh = tuple(
            ast.Var(self.wildcard(), arg.loc)
            if isinstance(arg, ast.Var) and arg.name[0] == "$"
            else arg
            for arg in args
        )
        return replace(head, args=fresh)

    def _else_chain(self, head: ast.Head) -> ast.Rule:
        """All `else` branches at the current token, nested in each other."""
        links: list[ast.Rule] = []
        while self.kinds[self.pos] == "else" and not self._starts_ref(self.pos):
            if len(links) == MAX_DEPTH:
                raise self.fail(f"too many else branches: at most {MAX_DEPTH} are allowed")
            links.append(self._else(head))
            if not links[-1].body:
                break
        chain: ast.Rule | None = None
        for link in reversed(links):
            chain = replace(link, else_=chain)
        assert chain is not None
        return chain

    def _else(self, head: ast.Head) -> ast.Rule:
        start = self.pos
        self.pos += 1
        value: ast.Term | None = None
        assign = False
        kind = self.kinds[self.pos]
        if kind in {"=", ":="}:
            assign = kind == ":="
            self.pos += 1
            value = self.infix()
        elif kind not in {"{", "if"}:
            raise self.unexpected("expected else value term or rule body")
        own = replace(self._again(head), value=value, assign=assign, loc=self.loc(start))
        kind = self.kinds[self.pos]
        body: ast.Body = ()
        if kind == "if":
            self.pos += 1
            if self.kinds[self.pos] == "{":
                self.pos += 1
                body = self.body("}")
            elif self.kinds[self.pos] == "eof":
                raise self.unexpected("rule body expected")
            else:
                body = (self.literal(),)
        elif kind == "{":
            self._missing_if(start, head.args)
            self.pos += 1
            body = self.body("}")
        return ast.Rule(own, body, loc=self.loc(start))


def is_ground(term: ast.Term) -> bool:
    """Whether a step of a rule's name holds no variable."""
    if isinstance(term, ast.Var):
        return False
    if isinstance(term, ast.Ref):
        return all(is_ground(operand) for operand in term.terms[1:])
    if isinstance(term, ast.Array | ast.Set):
        return all(is_ground(item) for item in term.items)
    if isinstance(term, ast.Object):
        return all(is_ground(key) and is_ground(value) for key, value in term.pairs)
    if isinstance(term, ast.Call):
        return all(is_ground(arg) for arg in term.args)
    return True


def _open_part(term: ast.ExprKind) -> str:
    """What stops `term` from being the value of a default rule: `ref`, `var`, `call`, or nothing."""
    if isinstance(term, ast.Var | ast.Ref | ast.Call):
        return value_name(term)
    parts: tuple[ast.ExprKind, ...] = ()
    if isinstance(term, ast.Array | ast.Set):
        parts = term.items
    elif isinstance(term, ast.Object):
        parts = tuple(part for pair in term.pairs for part in pair)
    elif isinstance(term, ast.TemplateString):
        parts = tuple(p.kind if isinstance(p, ast.Expr) else p for p in term.parts)
    for part in parts:
        name = _open_part(part)
        if name:
            return name
    return ""
