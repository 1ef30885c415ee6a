"""Terms on one line whatever was written: how the name of a rule shows the keys in it.

Operators are shown as the functions that they are, strings in double quotes, sets and objects in order.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Final, TypeAlias, assert_never

from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import KEYWORDS_V1

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_Key: TypeAlias = tuple[object, ...]


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=False).replace("\u2028", "\\u2028")


def is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def plain(term: ast.Term) -> str:
    """The text of a term."""
    match term:
        case ast.Null():
            return "null"
        case ast.Boolean(value=flag):
            return "true" if flag else "false"
        case ast.Number(text=text):
            return text
        case ast.String(value=text):
            return quoted(text)
        case ast.Var(name=name):
            return "_" if name.startswith("$") else name
        case ast.Ref(terms=terms):
            return plain(terms[0]) + "".join(map(plain_operand, terms[1:]))
        case ast.Array(items=items):
            return f"[{_list(items)}]"
        case ast.Set(items=items):
            once = dict.fromkeys(plain(item) for item in sorted(items, key=_order))
            return f"{{{', '.join(once)}}}" if items else "set()"
        case ast.Object(pairs=pairs):
            ordered = sorted(pairs, key=lambda pair: _order(pair[0]))
            return f"{{{', '.join(f'{plain(key)}: {plain(value)}' for key, value in ordered)}}}"
        case ast.ArrayComprehension(term=head, body=body):
            return f"[{plain(head)} | {_body(body)}]"
        case ast.SetComprehension(term=head, body=body):
            return f"{{{plain(head)} | {_body(body)}}}"
        case ast.ObjectComprehension(key=key, value=value, body=body):
            return f"{{{plain(key)}: {plain(value)} | {_body(body)}}}"
        case ast.Call(operator=operator, args=args):
            name = plain(operator.terms[0]) + "".join(map(plain_operand, operator.terms[1:]))
            return f"{name}({_list(args)})"
        case ast.TemplateString(parts=parts):
            return f'$"{"".join(map(_part, parts))}"'
        case _:
            assert_never(term)


def plain_operand(term: ast.Term) -> str:
    """What follows the head of a ref: `.name` or `[term]`."""
    if isinstance(term, ast.String) and is_word(term.value) and term.value not in KEYWORDS_V1:
        return f".{term.value}"
    return f"[{plain(term)}]"


def _list(items: tuple[ast.Term, ...]) -> str:
    return ", ".join(map(plain, items))


def _part(part: ast.Term | ast.Expr) -> str:
    if isinstance(part, ast.String):
        return quoted(part.value)[1:-1].replace("{", "\\{")
    return f"{{{_expr(part) if isinstance(part, ast.Expr) else plain(part)}}}"


def _body(body: ast.Body) -> str:
    return "; ".join(map(_expr, body))


def _expr(expr: ast.Expr) -> str:
    withs = "".join(f" with {plain(w.target)} as {plain(w.value)}" for w in expr.withs)
    return f"{'not ' if expr.negated else ''}{_kind(expr.kind)}{withs}"


def _kind(kind: ast.ExprKind) -> str:
    match kind:
        case ast.Unify(lhs=lhs, rhs=rhs):
            return f"{plain(lhs)} = {plain(rhs)}"
        case ast.Assign(lhs=lhs, rhs=rhs):
            return f"assign({plain(lhs)}, {plain(rhs)})"
        case ast.SomeDecl(names=names):
            return f"some {_list(names)}"
        case ast.SomeIn(key=key, value=value, domain=domain):
            pair = f"{plain(key)}, " if key is not None else ""
            return f"some {pair}{plain(value)} in {plain(domain)}"
        case ast.Every(key=key, value=value, domain=domain, body=body):
            pair = f"{plain(key)}, " if key is not None else ""
            return f"every {pair}{plain(value)} in {plain(domain)} {{ {_body(body)} }}"
        case ast.Not(operand=operand):
            return f"not {_operand(operand)}"
        case ast.Logical(operator=operator, lhs=lhs, rhs=rhs):
            return f"{_operand(lhs)} {operator} {_operand(rhs)}"
        case ast.Block(body=body):
            return f"{{ {_body(body)} }}"
        case _:
            return plain(kind)


def _operand(operand: ast.Operand) -> str:
    if operand.explicit:
        return f"{{ {_body(operand.body)} }}"
    return _expr(operand.body[0])


_KINDS: Final = (
    ast.Null,
    ast.Boolean,
    ast.Number,
    ast.String,
    ast.Var,
    ast.Ref,
    ast.Array,
    ast.Object,
    ast.Set,
)


def _order(term: ast.Term) -> _Key:
    """Sorts terms as values are sorted in Rego."""
    match term:
        case ast.Boolean(value=value):
            part: object = value
        case ast.Number(text=text):
            part = Decimal(text)
        case ast.String(value=text) | ast.Var(name=text):
            part = text
        case ast.Ref(terms=items) | ast.Array(items=items):
            part = tuple(map(_order, items))
        case _:
            part = plain(term)
    rank = _KINDS.index(type(term)) if type(term) in _KINDS else len(_KINDS)
    return rank, part
