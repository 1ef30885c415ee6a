"""Rego text to the parsed form of `ast`: modules, queries and single terms.

Public: `parse_module`, `parse_query`, `parse_term`. This file holds the grammar of modules (package,
imports) and the recovery from errors; rules are in `rule_parser`, terms and bodies in `term_parser`. Nothing is
resolved or checked here that the text alone does not decide.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, TypeAlias

from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.annotations import Attachment, read_annotations
from cupcake.engine.rego.lexer import (
    KEYWORDS_ALL,
    KEYWORDS_FUTURE,
    KEYWORDS_LOGICAL,
    KEYWORDS_V0,
    KEYWORDS_V1,
    NEWLINE,
    tokenize,
)
from cupcake.engine.rego.rule_parser import RuleParser
from cupcake.engine.rego.token_reader import MAX_PATH, Failure, value_name

# "v2" is v1 in which `and` and `or` are keywords, and `not` takes bodies.
RegoVersion: TypeAlias = Literal["v2", "v1", "v0"]

MAX_SOURCE: Final = 4 * 1024 * 1024  # characters
_MAX_ERRORS: Final = 50
_KEYWORDS: Final = {"v0": KEYWORDS_V0, "v1": KEYWORDS_V1, "v2": KEYWORDS_ALL}
# What `import rego.v2` and `import future.keywords` make keywords, and the word whose meaning they change.
_KEYWORDS_V2: Final = frozenset((*KEYWORDS_FUTURE, *KEYWORDS_LOGICAL, "not"))
# A keyword with one of these after it was meant to be the name of a rule.
_NAME_MARKS: Final = frozenset((":=", "=", "if", "contains", "("))
_RULE_MARKS: Final = {
    **dict.fromkeys(("every", "if", "in", "some", "as"), _NAME_MARKS),
    **dict.fromkeys(("not", "and", "or"), _NAME_MARKS - {"("}),
    **dict.fromkeys(("package", "import"), _NAME_MARKS - {"if", "contains"}),
    "contains": frozenset(("if", "contains")),
}
_IMPORT_ROOTS: Final = ("data", "future", "input", "rego")


def parse_module(
    text: str,
    file: str,
    *,
    rego_version: RegoVersion = "v1",
    max_source: int = MAX_SOURCE,
    annotations: bool = True,
) -> ast.Module:
    """The module that `text` spells; without `annotations`, METADATA blocks are comments as all others.
    Raises CompileErrors with all parse errors, in source order."""
    parser = _parser(text, file, rego_version, max_source)
    parser.reads_annotations = annotations
    try:
        return parser.module()
    except RecursionError:
        raise parser.out_of_stack() from None


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
        raise parser.out_of_stack() from None


def parse_term(text: str, file: str = "<term>", *, max_source: int = MAX_SOURCE) -> ast.Term:
    """The one term that `text` spells, infix operators allowed. Raises CompileErrors."""
    parser = _parser(text, file, "v1", max_source)
    try:
        return parser.single_term()
    except RecursionError:
        raise parser.out_of_stack() from None


def _parser(text: str, file: str, rego_version: RegoVersion, max_source: int) -> _Parser:
    if len(text) > max_source:
        message = f"source is too large: {len(text)} characters, at most {max_source} are allowed"
        raise CompileErrors((Diagnostic("rego_parse_error", message, file, 1, 1),))
    return _Parser(text, file, rego_version)


class _Parser(RuleParser):
    def __init__(self, text: str, file: str, rego_version: RegoVersion) -> None:
        keywords = KEYWORDS_V0 if rego_version == "v0" else KEYWORDS_V1
        super().__init__(tokenize(text, keywords), file)
        self._version: RegoVersion = rego_version
        if rego_version == "v2":
            self._keywords(_KEYWORDS_V2)
        self.reads_annotations = True
        self._errors: list[Diagnostic] = []
        self._package: ast.Ref | None = None
        self._imports: list[ast.Import] = []

    def out_of_stack(self) -> CompileErrors:
        """The error for text that has used up the interpreter's stack. The depth counter stops nearly
        all such text; this is the net below it, for callers that had little of the stack left."""
        return CompileErrors((self._too_deep().diagnostic,))

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
        if self._version != "v0":
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
            if len(self._errors) > _MAX_ERRORS:
                break
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
        if not self.tokens.comments or not self.reads_annotations:
            return {}, []
        attached = read_annotations(self.tokens, self.file, self._attachments, _MAX_ERRORS)
        self._errors += attached.errors
        return attached.rules, attached.module

    # Statements of a module

    def _statement(self, first: bool) -> None:
        start = self.pos
        kind = self.kinds[start]
        is_ref = self._starts_ref(start)
        if self.kinds[min(start + 1, len(self.kinds) - 1)] in _RULE_MARKS.get(kind, ()):
            raise self.fail(f"{kind} keyword cannot be used for rule name", start)
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
        elif kind == "ident" or (is_ref and kind in KEYWORDS_ALL):
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
        if isinstance(what, ast.Not | ast.Logical | ast.Block):
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
        if self.kinds[at] != "ident" and self.kinds[at] not in KEYWORDS_ALL:
            raise self.unexpected("expected path" if self.kinds[at] == "eof" else "")
        self.pos += 1
        term: ast.Term = ast.Var(self.texts[at], self.loc(at))
        if self.kinds[self.pos] in (".", "[", "(") and not self.gaps[self.pos]:
            term = self.suffixes(term, at)
        if isinstance(term, ast.Var):
            return ast.Ref((term,), term.loc)
        if isinstance(term, ast.Ref) and len(term.terms) > MAX_PATH:
            raise self.fail(f"{what} path is too long: at most {MAX_PATH} steps are allowed", at)
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
        alias_at = 0
        if self.kinds[self.pos] == "as":
            self.pos += 1
            if self.kinds[self.pos] != "ident":
                raise self.unexpected("expected var")
            alias_at = self.pos
            alias = self.texts[self.pos]
            if alias in ("input", "data"):
                raise self.fail(
                    f"unexpected import alias, must not be a reserved name, got: {alias}"
                )
            self.pos += 1
        operands = [term.value for term in path.terms[1:] if isinstance(term, ast.String)]
        if root.name == "rego":
            self._import_rego(operands, at, alias_at)
        elif root.name == "future":
            self._import_future(operands, at, alias_at)
        elif alias is None:
            last = operands[-1] if operands else root.name
            if last in _KEYWORDS[self._version]:
                message = f"unexpected import path, must not end with a keyword, got: {last}"
                raise self.fail(message, self.pos - 1, "import a different path or use an alias")
        return ast.Import(path, alias, self.loc(start))

    def _import_rego(self, operands: list[str], at: int, alias_at: int) -> None:
        if operands not in (["v1"], ["v2"]):
            path = ".".join(["rego", *operands])
            raise self.fail(f"invalid import `{path}`, must be `rego.v1` or `rego.v2`", at)
        if alias_at:
            raise self.fail("`rego` imports cannot be aliased", alias_at)
        if self._version == "v0":
            self._version = "v1"
        self._keywords(_KEYWORDS_V2 if operands == ["v2"] else KEYWORDS_FUTURE)

    def _import_future(self, operands: list[str], at: int, alias_at: int) -> None:
        if not operands or operands[0] != "keywords" or len(operands) > 2:
            raise self.fail("invalid import, must be `future.keywords`", at)
        if alias_at:
            raise self.fail("`future` imports cannot be aliased", alias_at)
        words = _KEYWORDS_V2
        if len(operands) == 2:
            if operands[1] not in words:
                known = " ".join(sorted(words))
                raise self.fail(f"unexpected keyword, must be one of [{known}]", at)
            # `every x in xs` needs both words.
            words = frozenset((operands[1],) if operands[1] != "every" else ("every", "in"))
        self._keywords(words)

    def _keywords(self, words: frozenset[str]) -> None:
        """Make `words` keywords from here on; of `not`, which is one always, the newer meaning."""
        self._logical = self._logical or bool(words & KEYWORDS_LOGICAL)
        self._not_bodies = self._not_bodies or "not" in words
        self.tokens.promote(words, self.pos)
