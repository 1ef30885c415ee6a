"""Rego text to the parsed form of `ast`: modules, queries and single terms.

Public: `parse_module`, `parse_query`, `parse_term`. This file holds the grammar of modules (package,
imports, rules) and the recovery from errors; terms and bodies are in `term_parser`. Nothing is
resolved or checked here that the text alone does not decide.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, TypeAlias

from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.annotations import Attachment, read_annotations
from cupcake.engine.rego.lexer import (
    KEYWORDS_FUTURE,
    KEYWORDS_V0,
    KEYWORDS_V1,
    NEWLINE,
    TIGHT,
    tokenize,
)
from cupcake.engine.rego.term_parser import MAX_DEPTH, Failure, TermParser, value_name

RegoVersion: TypeAlias = Literal["v1", "v0"]

MAX_SOURCE: Final = 4 * 1024 * 1024  # characters
_MAX_ERRORS: Final = 50
_IMPORT_ROOTS: Final = ("data", "future", "input", "rego")


def parse_module(
    text: str, file: str, *, rego_version: RegoVersion = "v1", max_source: int = MAX_SOURCE
) -> ast.Module:
    """The module that `text` spells. Raises CompileErrors with all parse errors, in source order."""
    parser = _parser(text, file, rego_version, max_source)
    try:
        return parser.module()
    except RecursionError:
        raise _too_deep(file) from None


def parse_query(
    text: str,
    file: str = "<query>",
    *,
    rego_version: RegoVersion = "v1",
    max_source: int = MAX_SOURCE,
) -> ast.Body:
    """The statements of a query, separated by `;` or line ends. Raises CompileErrors."""
    parser = _parser(text, file, rego_version, max_source)
    try:
        return parser.query()
    except RecursionError:
        raise _too_deep(file) from None


def parse_term(text: str, file: str = "<term>", *, max_source: int = MAX_SOURCE) -> ast.Term:
    """The one term that `text` spells, infix operators allowed. Raises CompileErrors."""
    parser = _parser(text, file, "v1", max_source)
    try:
        return parser.single_term()
    except RecursionError:
        raise _too_deep(file) from None


def _parser(text: str, file: str, rego_version: RegoVersion, max_source: int) -> _Parser:
    if len(text) > max_source:
        message = f"source is too large: {len(text)} characters, at most {max_source} are allowed"
        raise CompileErrors((Diagnostic("rego_parse_error", message, file, 1, 1),))
    return _Parser(text, file, rego_version)


def _too_deep(file: str) -> CompileErrors:
    # The depth counter stops nearly all of these; this is the net below it, for a caller that has
    # used up most of the interpreter's stack itself.
    return CompileErrors(
        (Diagnostic("rego_parse_error", "expression is nested too deeply", file, 1, 1),)
    )


class _Parser(TermParser):
    def __init__(self, text: str, file: str, rego_version: RegoVersion) -> None:
        keywords = KEYWORDS_V1 if rego_version == "v1" else KEYWORDS_V0
        super().__init__(tokenize(text, keywords), file)
        self._version = rego_version
        self._errors: list[Diagnostic] = []
        # What v1 forbids and v0 allows; errors only when the module turns out to be v1.
        self._strict: list[Diagnostic] = []
        self._package: ast.Ref | None = None
        self._imports: list[ast.Import] = []
        self._rules: list[ast.Rule] = []
        self._attachments: list[Attachment] = []

    # Whole texts

    def module(self) -> ast.Module:
        if self.kinds[0] == "eof":
            raise CompileErrors((Diagnostic("rego_parse_error", "empty module", self.file),))
        first = True
        while self.kinds[self.pos] != "eof":
            start = self.pos
            try:
                self._statement(first)
            except Failure as failure:
                self._errors.append(failure.diagnostic)
                self._recover(max(start + 1, self.pos, failure.at))
            if len(self._errors) > _MAX_ERRORS:
                break
            first = False
        annotations, module_annotations = self._annotations()
        if self._version == "v1":
            self._errors += self._strict
        self._raise_errors()
        rules = self._rules
        for index, found in annotations.items():
            rules[index] = replace(rules[index], annotations=tuple(found))
        assert self._package is not None
        return ast.Module(
            self.file,
            self._package,
            tuple(self._imports),
            tuple(rules),
            tuple(module_annotations),
            self._version,
            self._package.loc,
        )

    def query(self) -> ast.Body:
        statements: list[ast.Expr] = []
        try:
            if self.kinds[0] == "eof":
                raise self.fail("empty query")
            while True:
                statements.append(self.literal())
                kind = self.kinds[self.pos]
                if kind == "eof":
                    break
                if kind == ";":
                    self.pos += 1
                    if self.kinds[self.pos] == "eof":
                        break
                elif self.gaps[self.pos] != NEWLINE:
                    raise self.unexpected("expected \\n or ;")
        except Failure as failure:
            self._errors.append(failure.diagnostic)
        self._raise_errors()
        return tuple(statements)

    def single_term(self) -> ast.Term:
        term: ast.Term | None = None
        try:
            term = self.infix()
            if self.kinds[self.pos] != "eof":
                raise self.unexpected("expected exactly one term")
        except Failure as failure:
            self._errors.append(failure.diagnostic)
        self._raise_errors()
        assert term is not None
        return term

    def _raise_errors(self) -> None:
        places = {(error.row, error.col) for error in self._errors}
        for at, (message, hint) in self.tokens.problems.items():
            error = self.diagnostic(message, at, hint)
            if (error.row, error.col) not in places:
                self._errors.append(error)
        if self._errors:
            ordered = sorted(self._errors, key=lambda error: (error.row, error.col))
            raise CompileErrors(tuple(dict.fromkeys(ordered)))

    def _recover(self, at: int) -> None:
        """Go to where the next statement seems to begin: a word in the first column."""
        kinds, gaps, cols = self.kinds, self.gaps, self.tokens.cols
        while kinds[at] != "eof":
            if cols[at] == 1 and gaps[at] == NEWLINE:
                kind = kinds[at]
                if kind in ("ident", "default", "package", "import"):
                    break
            at += 1
        self.pos = at
        self._depth = 0
        self._trials = 0

    def _annotations(self) -> tuple[dict[int, list[ast.Annotations]], list[ast.Annotations]]:
        if not self.tokens.comments:
            return {}, []
        attached = read_annotations(self.tokens, self.file, self._attachments)
        self._errors += attached.errors
        return attached.rules, attached.module

    # Statements of a module

    def _statement(self, first: bool) -> None:
        start = self.pos
        kind = self.kinds[start]
        is_ref = self._starts_ref(start)
        if kind == "package" and not is_ref:
            package = self._package_clause()
            if not first:
                raise self.fail("unexpected package", start)
            self._package = package
            self._attachments.append(Attachment("package", self.tokens.rows[start], -1))
            return
        if first:
            self._package = ast.Ref((ast.Var("data"),))
            self._errors.append(
                self.diagnostic("package expected", start, "begin the file with `package name`")
            )
        if kind == "import" and not is_ref:
            found = self._import()
            self._imports.append(found)
            self._attachments.append(Attachment("import", found.loc.row, -1))
        elif kind == "default" and not is_ref:
            self._default()
        elif kind == "ident" or (is_ref and kind in KEYWORDS_V1):
            self._rule()
        else:
            raise self._no_rule(start)

    def _no_rule(self, start: int) -> Failure:
        """Why the statement at `start` cannot be a rule; the caller raises it."""
        kind = self.kinds[start]
        if kind in KEYWORDS_V1 and kind not in ("true", "false", "null", "not", "some"):
            if kind == "contains":
                return self.fail("contains keyword cannot be used for rule name", start)
            return self.unexpected()
        expr = self.literal()
        if expr.withs:
            return self.fail("expressions using with keyword cannot be used for rule head", start)
        if expr.negated:
            return self.fail("negated expressions cannot be used for rule head", start)
        what = expr.kind
        if isinstance(what, ast.SomeDecl | ast.SomeIn):
            return self.fail("'some' declarations cannot be used for rule head", start)
        if isinstance(what, ast.Every):
            return self.fail("expression cannot be used for rule head", start)
        term = what.lhs if isinstance(what, ast.Assign | ast.Unify) else what
        return self.fail(f"{value_name(term)} cannot be used for rule name", start)

    def _package_clause(self) -> ast.Ref:
        self.pos += 1
        at = self.pos
        terms = self._path("package").terms
        root = ast.Var("data", terms[0].loc if terms else ast.NOWHERE)
        head = terms[0]
        assert isinstance(head, ast.Var)
        return ast.Ref((root, ast.String(head.name, head.loc), *terms[1:]), self.loc(at))

    def _path(self, what: str) -> ast.Ref:
        """A variable and the strings after it, as `package` and `import` want them."""
        at = self.pos
        if self.kinds[at] != "ident" and self.kinds[at] not in KEYWORDS_V1:
            raise self.unexpected("expected path" if self.kinds[at] == "eof" else "")
        self.pos += 1
        term: ast.Term = ast.Var(self.texts[at], self.loc(at))
        if self.kinds[self.pos] in (".", "[", "(") and not self.gaps[self.pos]:
            term = self.suffixes(term, at)
        if isinstance(term, ast.Var):
            return ast.Ref((term,), term.loc)
        if not isinstance(term, ast.Ref) or not isinstance(term.terms[0], ast.Var):
            raise self.fail(f"unexpected {value_name(term)} token: expecting var", at)
        for operand in term.terms[1:]:
            if not isinstance(operand, ast.String):
                name = value_name(operand)
                failure = self.fail(f"unexpected {name} token: expecting string", at)
                place = operand.loc
                failure.diagnostic = replace(failure.diagnostic, row=place.row, col=place.col)
                raise failure
        return term

    def _import(self) -> ast.Import:
        start = self.pos
        self.pos += 1
        at = self.pos
        path = self._path("import")
        root = path.terms[0]
        assert isinstance(root, ast.Var)
        if root.name not in _IMPORT_ROOTS:
            names = ", ".join(_IMPORT_ROOTS)
            raise self.fail(
                f"unexpected import path, must begin with one of: {{{names}}}, got: {root.name}", at
            )
        alias: str | None = None
        if self.kinds[self.pos] == "as":
            self.pos += 1
            if self.kinds[self.pos] != "ident":
                raise self.unexpected("expected var")
            alias = self.texts[self.pos]
            self.pos += 1
        operands = [term.value for term in path.terms[1:] if isinstance(term, ast.String)]
        if root.name == "rego":
            self._import_rego(operands, alias, at)
        elif root.name == "future":
            self._import_future(operands, alias, at)
        elif alias is None:
            last = operands[-1] if operands else root.name
            if last in (KEYWORDS_V1 if self._version == "v1" else KEYWORDS_V0):
                raise self.fail(
                    f"unexpected import path, must not end with a keyword, got: {last}",
                    at,
                    "import a different path or use an alias",
                )
        return ast.Import(path, alias, self.loc(start))

    def _import_rego(self, operands: list[str], alias: str | None, at: int) -> None:
        if operands != ["v1"]:
            path = ".".join(["rego", *operands])
            raise self.fail(f"invalid import `{path}`, must be `rego.v1`", at)
        if self._version == "v1":
            return
        if alias is not None:
            raise self.fail("`rego` imports cannot be aliased", at)
        self._version = "v1"
        self.tokens.promote(KEYWORDS_FUTURE, self.pos)

    def _import_future(self, operands: list[str], alias: str | None, at: int) -> None:
        if not operands or operands[0] != "keywords" or len(operands) > 2:
            raise self.fail("invalid import, must be `future.keywords`", at)
        if alias is not None:
            raise self.fail("`future` imports cannot be aliased", at)
        words = KEYWORDS_FUTURE
        if len(operands) == 2:
            if operands[1] not in words:
                known = " ".join(sorted(words))
                raise self.fail(f"unexpected keyword, must be one of [{known}]", at)
            # `every x in xs` needs both words.
            words = frozenset((operands[1],) if operands[1] != "every" else ("every", "in"))
        self.tokens.promote(words, self.pos)

    # Rules

    def _default(self) -> None:
        start = self.pos
        self.pos += 1
        if self.kinds[self.pos] != "ident" and not self._starts_ref(self.pos):
            raise self.unexpected("expected rule name")
        ref, args = self._name()
        if self.kinds[self.pos] not in ("=", ":="):
            if self.kinds[self.pos] == "contains":
                raise self.unexpected("a multi-value rule has no default")
            raise self.fail("illegal default rule (must have a value)", start)
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
        elif kind == "=" or kind == ":=":
            assign = kind == ":="
            self.pos += 1
            value = self.infix()
        head_loc = self.loc(start)
        kind = self.kinds[self.pos]
        has_if = kind == "if" and not self._starts_ref(self.pos)
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
            if any(not _is_ground(term) for term in ref.terms[1:]):
                raise self.fail("else keyword cannot be used on rules with variables in head")
            if key is not None:
                raise self.fail("else keyword cannot be used on multi-value rules")
            else_ = self._else_chain(head)
        self._add(ast.Rule(head, body, else_, False, (), self.loc(start)), start)
        if not has_body:
            self._end_of_rule()
            return
        while self.kinds[self.pos] == "{":
            if else_ is not None:
                raise self.fail("expected else keyword")
            at = self.pos
            self.pos += 1
            again = self.body("}")
            self._rules.append(ast.Rule(self._again(head), again, loc=self.loc(at)))

    def _end_of_rule(self) -> None:
        """A rule without a body ends its line; what else stands there was meant for something."""
        kind = self.kinds[self.pos]
        if kind == "eof" or self.gaps[self.pos] == NEWLINE:
            return
        if kind == "ident" and self.texts[self.pos] in ("if", "contains", "in"):
            raise self.unexpected(hint="`import rego.v1` makes it a keyword")
        if kind not in ("ident", "default", "import", "package"):
            raise self.unexpected("expected the end of the rule")

    def _bare_head(self, ref: ast.Ref, args: tuple[ast.Term, ...] | None, start: int) -> None:
        """Decide on a head with neither value nor body."""
        if args is not None:
            if not args:
                raise self.fail("rule argument list must take at least one argument", start)
            return
        kind = self.kinds[self.pos]
        if self.gaps[self.pos] != NEWLINE and kind != "eof" and kind != "ident":
            raise self.unexpected("expected rule body or value", "write `name := value` or `name if { ... }`")
        if len(ref.terms) == 1:
            hint = "write `name := value` or `name if { ... }`"
            after = self.texts[self.pos]
            if kind == "ident" and self.gaps[self.pos] != NEWLINE:
                if after in KEYWORDS_FUTURE:
                    hint = f"`import rego.v1` (or `future.keywords.{after}`) makes `{after}` a keyword"
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
            raise (failure if failure.at > refused.at else refused) from None
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
        if self.gaps[self.pos] == NEWLINE:
            return False
        kind = self.kinds[self.pos]
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
        if kind == "=" or kind == ":=":
            assign = kind == ":="
            self.pos += 1
            value = self.infix()
        elif kind != "{" and kind != "if":
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


def _is_ground(term: ast.Term) -> bool:
    if isinstance(term, ast.Var):
        return False
    if isinstance(term, ast.Ref):
        return all(_is_ground(operand) for operand in term.terms[1:])
    if isinstance(term, ast.Array | ast.Set):
        return all(_is_ground(item) for item in term.items)
    if isinstance(term, ast.Object):
        return all(_is_ground(key) and _is_ground(value) for key, value in term.pairs)
    if isinstance(term, ast.Call):
        return all(_is_ground(arg) for arg in term.args)
    return True


def _open_part(term: ast.Term) -> str:
    """What stops `term` from being the value of a default rule: `ref`, `var`, `call`, or nothing."""
    if isinstance(term, ast.Var | ast.Ref | ast.Call):
        return value_name(term)
    parts: tuple[ast.Term, ...] = ()
    if isinstance(term, ast.Array | ast.Set):
        parts = term.items
    elif isinstance(term, ast.Object):
        parts = tuple(part for pair in term.pairs for part in pair)
    elif isinstance(term, ast.TemplateString):
        parts = term.parts
    for part in parts:
        name = _open_part(part)
        if name:
            return name
    return ""
