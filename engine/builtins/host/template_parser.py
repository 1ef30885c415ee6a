"""Go's text/template as `strings.render_template` takes it: text to nodes. Pure; what they mean is in `template_run.py`.

The whole notation but methods: fields, variables, pipelines, if, with, range, break, continue, define, block, template.
"""

from __future__ import annotations

import ast as python_literals
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cupcake.engine.builtins.texts import readable

DEPTH_MAX = 64

FUNCTIONS = frozenset(
    [
        "and",
        "call",
        "eq",
        "ge",
        "gt",
        "html",
        "index",
        "js",
        "le",
        "len",
        "lt",
        "ne",
        "not",
        "or",
        "print",
        "printf",
        "println",
        "slice",
        "urlquery",
    ]
)
_SPACE = " \t\r\n"
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:\\.|[^"\\\n])*") | (?P<raw>`[^`]*`) | (?P<char>'(?:\\.[^']*|[^'\\\n])')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))
    | (?P<field>\.[A-Za-z_]\w*) | (?P<variable>\$\w*) | (?P<word>[A-Za-z_]\w*)
    | (?P<dot>\.) | (?P<declare>:=) | (?P<assign>=) | (?P<mark>[|(),])""",
    re.VERBOSE,
)


class TemplateError(ValueError):
    """The template cannot be parsed or run; the message is like Go's."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text or truth value."""

    value: int | float | str | bool


@dataclass(frozen=True, slots=True)
class Nil:
    """`nil`."""


@dataclass(frozen=True, slots=True)
class Fields:
    """`names` below what `of` gives; None is the dot."""

    of: Argument | None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """With its `$`."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """`names` are the variables it declares, or sets if `assigns`."""

    commands: tuple[tuple[Argument, ...], ...]
    names: tuple[str, ...] = ()
    assigns: bool = False


Argument: TypeAlias = "Literal | Nil | Fields | Variable | Function | Pipe"


@dataclass(frozen=True, slots=True)
class Show:
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`word` is if, with or range."""

    word: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Another template, with its dot."""

    name: str
    pipe: Pipe | None


@dataclass(frozen=True, slots=True)
class Leave:
    """`break` or `continue`."""

    word: str


Node: TypeAlias = "str | Show | Branch | Call | Leave"
_Token: TypeAlias = tuple[str, str]


def parse(text: str) -> dict[str, tuple[Node, ...]]:
    """Templates by name; the whole one is "". TemplateError."""
    parser = _Parser(text)
    body, end = parser.body(0, in_range=False)
    if end is not None:
        raise parser.error(f"unexpected {{{{{end[0][1]}}}}}")
    parser.templates[""] = body
    return parser.templates


class _Parser:
    def __init__(self, text: str) -> None:
        self.templates: dict[str, tuple[Node, ...]] = {}
        self.line = 1
        self.variables = ["$"]
        self._pieces = self._split(text)

    def error(self, message: str) -> TemplateError:
        return TemplateError(f"template: template:{self.line}: {message}")

    def _split(self, text: str) -> Iterator[str | list[_Token]]:
        """Texts, and the tokens of actions."""
        at, trim = 0, False
        while (start := text.find("{{", at)) >= 0:
            literal = text[at:start].lstrip(_SPACE) if trim else text[at:start]
            self.line += text.count("\n", at, start)
            at = start + 2
            if text[at : at + 1] == "-" and text[at + 1 : at + 2] in tuple(_SPACE):
                literal, at = literal.rstrip(_SPACE), at + 1
            if literal:
                yield literal
            tokens, end, trim = self._action(text, at)
            if tokens is not None:
                yield tokens
            self.line += text.count("\n", at, end)
            at = end
        rest = text[at:].lstrip(_SPACE) if trim else text[at:]
        if rest:
            yield rest

    def _action(self, text: str, at: int) -> tuple[list[_Token] | None, int, bool]:
        """Tokens (None: a comment), where the action ends, and whether blanks behind it go."""
        while text[at : at + 1] in tuple(_SPACE):
            at += 1
        if text.startswith("/*", at):
            end = text.find("*/", at)
            found = re.compile(r"\s*?(\s-)?\}\}").match(text, end + 2) if end >= 0 else None
            if found is None:
                raise self.error("unclosed comment" if end < 0 else "comment ends before closing delimiter")  # fmt: skip
            return None, found.end(), found.group(1) is not None
        tokens: list[_Token] = []
        while True:
            if text.startswith("}}", at):
                return tokens, at + 2, False
            if closing := re.compile(r"\s+-\}\}").match(text, at):
                return tokens, closing.end(), True
            token = _TOKEN.match(text, at)
            if token is None:
                raise self.error(self._bad(text, at))
            kind = str(token.lastgroup)
            # A blank tells `.a .b` from `.a.b`.
            if kind == "space":
                if tokens and tokens[-1][0] != "space":
                    tokens.append(("space", " "))
            else:
                tokens.append((kind, token.group()))
            at = token.end()

    def _bad(self, text: str, at: int) -> str:
        if at >= len(text):
            return "unclosed action"
        if text[at] in "\"'":
            return (
                f"unterminated {'quoted string' if text[at] == chr(34) else 'character constant'}"
            )
        if text[at] == "`":
            return "unterminated raw quoted string"
        return f"bad character U+{ord(text[at]):04X} {text[at]!r}"

    def body(self, depth: int, *, in_range: bool) -> tuple[tuple[Node, ...], list[_Token] | None]:
        """Nodes up to an `end` or `else`, which is given back; None = the text is over."""
        if depth > DEPTH_MAX:
            raise self.error("blocks are nested too deeply")
        nodes: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                nodes.append(piece)
                continue
            tokens = piece
            while tokens and tokens[-1][0] == "space":
                tokens.pop()
            word = tokens[0][1] if tokens and tokens[0][0] == "word" else ""
            match word:
                case "end" | "else":
                    return tuple(nodes), tokens
                case "if" | "with" | "range":
                    nodes.append(self._branch(word, tokens[1:], depth, in_range))
                case "define" | "block":
                    node = self._named(word, tokens[1:], depth)
                    nodes += [] if node is None else [node]
                case "template":
                    nodes.append(self._call(tokens[1:]))
                case "break" | "continue" if len(tokens) == 1:
                    if not in_range:
                        raise self.error(f"{{{{{word}}}}} outside {{{{range}}}}")
                    nodes.append(Leave(word))
                case _:
                    nodes.append(Show(self._pipe(tokens, "command")))
        return tuple(nodes), None

    def _branch(self, word: str, tokens: list[_Token], depth: int, in_range: bool) -> Branch:
        known = len(self.variables)
        pipe = self._pipe(tokens, word)
        inner = in_range or word == "range"
        body, end = self.body(depth + 1, in_range=inner)
        otherwise: tuple[Node, ...] = ()
        if end is not None and end[0][1] == "else":
            rest = [t for t in end[1:] if t[0] != "space"]
            if rest and rest[0][1] == word and word != "range":
                start = end.index(rest[0]) + 1
                otherwise = (self._branch(word, end[start:], depth + 1, in_range),)
                del self.variables[known:]
                return Branch(word, pipe, body, otherwise)
            if rest:
                raise self.error(f"unexpected <{rest[0][1]}> in else")
            otherwise, end = self.body(depth + 1, in_range=in_range)
            if end is not None and end[0][1] == "else":
                raise self.error("expected end; found {{else}}")
        if end is None:
            raise self.error("unexpected EOF")
        del self.variables[known:]
        return Branch(word, pipe, body, otherwise)

    def _named(self, word: str, tokens: list[_Token], depth: int) -> Call | None:
        listed = [t for t in tokens if t[0] != "space"]
        if not listed or listed[0][0] not in ("string", "raw"):
            raise self.error(f"unexpected {word} clause")
        name = self._literal(listed[0])
        pipe = None
        if word == "block":
            pipe = self._pipe(tokens[tokens.index(listed[0]) + 1 :], "block clause")
        elif len(listed) > 1:
            raise self.error(f"unexpected <{listed[1][1]}> in define clause")
        kept, self.variables = self.variables, ["$"]
        body, end = self.body(depth + 1, in_range=False)
        self.variables = kept
        if end is None or end[0][1] != "end":
            raise self.error("unexpected EOF" if end is None else "unexpected {{else}}")
        self.templates[str(name)] = body
        return Call(str(name), pipe) if word == "block" else None

    def _call(self, tokens: list[_Token]) -> Call:
        listed = [t for t in tokens if t[0] != "space"]
        if not listed or listed[0][0] not in ("string", "raw"):
            raise self.error("unexpected template clause")
        rest = tokens[tokens.index(listed[0]) + 1 :]
        pipe = self._pipe(rest, "template clause") if len(listed) > 1 else None
        return Call(str(self._literal(listed[0])), pipe)

    # ---- pipelines ----

    def _pipe(self, tokens: list[_Token], where: str) -> Pipe:
        names, assigns, rest = self._declared(tokens, where)
        commands = [self._command(part, where) for part in _cut(rest)]
        if not any(commands):
            raise self.error(f"missing value for {where}")
        for number, command in enumerate(commands):
            if not command or (number and isinstance(command[0], Literal | Nil)):
                raise self.error(f"non executable command in pipeline stage {number + 1}")
        self.variables += [] if assigns else names
        return Pipe(tuple(commands), tuple(names), assigns)

    def _declared(self, tokens: list[_Token], where: str) -> tuple[list[str], bool, list[_Token]]:
        listed = [t for t in tokens if t[0] != "space"]
        kinds = [t[0] for t in listed]
        if kinds[:2] in (["variable", "declare"], ["variable", "assign"]):
            count = 1
        elif where == "range" and kinds[:1] == ["variable"] and listed[1:2] == [("mark", ",")]:
            if kinds[2:4] not in (["variable", "declare"], ["variable", "assign"]):
                raise self.error("range can only initialize variables")
            count = 2
        else:
            return [], False, tokens
        names = [listed[2 * i][1] for i in range(count)]
        operator = listed[2 * count - 1]
        if operator[0] == "assign":
            for name in names:
                self._check_variable(name)
        return names, operator[0] == "assign", tokens[tokens.index(operator) + 1 :]

    def _check_variable(self, name: str) -> None:
        if name not in self.variables:
            raise self.error(f'undefined variable "{name}"')

    def _command(self, tokens: list[_Token], where: str) -> tuple[Argument, ...]:
        arguments: list[Argument] = []
        at, fresh = 0, True
        while at < len(tokens):
            kind, text = tokens[at]
            at += 1
            if kind == "space":
                fresh = True
                continue
            if kind == "field" and not fresh and arguments:
                arguments[-1] = self._below(arguments[-1], text)
                continue
            if not fresh:
                raise self.error(f"unexpected <{text}> in operand")
            if text == "(":
                end = _closing(tokens, at)
                if end < 0:
                    raise self.error("unclosed left paren")
                arguments.append(self._pipe(tokens[at:end], "parenthesized pipeline"))
                at = end + 1
            else:
                arguments.append(self._operand(kind, text, where))
            fresh = False
        return tuple(arguments)

    def _below(self, of: Argument, field: str) -> Fields:
        if isinstance(of, Literal | Nil | Function):
            raise self.error(f"unexpected <{field}> in operand")
        if isinstance(of, Fields):
            return Fields(of.of, (*of.names, field[1:]))
        return Fields(of, (field[1:],))

    def _operand(self, kind: str, text: str, where: str) -> Argument:
        match kind, text:
            case "dot", _:
                return Fields(None)
            case "field", _:
                return Fields(None, (text[1:],))
            case "variable", _:
                self._check_variable(text)
                return Variable(text)
            case (("string" | "raw" | "char" | "number"), _):
                return Literal(self._literal((kind, text)))
            case "word", ("true" | "false"):
                return Literal(text == "true")
            case "word", "nil":
                return Nil()
            case "word", _:
                if text not in FUNCTIONS:
                    raise self.error(f'function "{text}" not defined')
                return Function(text)
        raise self.error(f"unexpected <{text}> in {where}")

    def _literal(self, token: _Token) -> int | float | str:
        kind, text = token
        try:
            if kind == "raw":
                return text[1:-1]
            if kind == "number":
                return _number(text)
            value = str(python_literals.literal_eval(readable(text)))
            if value != readable(value):
                raise ValueError("an escape of half a pair")
        except (ValueError, SyntaxError):
            raise self.error(f"bad literal {text}") from None
        if kind == "char":
            if len(value) != 1:
                raise self.error(f"malformed character constant: {text}")
            return ord(value)
        return value


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?0[0-7_]+", text):
        return int(text.replace("_", ""), 8)
    try:
        return int(text, 0)
    except ValueError:
        number = float(text)
    # As Go: a constant that is whole is an int too, and shown as one.
    return int(number) if number.is_integer() and "." not in text else number


def _closing(tokens: list[_Token], at: int) -> int:
    depth = 1
    for place in range(at, len(tokens)):
        depth += (tokens[place][1] == "(") - (tokens[place] == ("mark", ")"))
        if depth == 0:
            return place
    return -1


def _cut(tokens: list[_Token]) -> list[list[_Token]]:
    """At the bars that are not within parentheses."""
    parts: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        if token[0] == "mark":
            depth += (token[1] == "(") - (token[1] == ")")
            if token[1] == "|" and depth == 0:
                parts.append([])
                continue
        parts[-1].append(token)
    return parts
