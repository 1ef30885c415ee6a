"""Trees back to text: `render` as Rego for people, `dump` as bare structure for golden tests.

`render` writes parsed trees as Rego v1 that parses to an equal tree, whatever layout or version they
came from; checked trees come out as Rego-like text with their renamed variables. Nothing here looks
at locations.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias, assert_never

from cupcake.engine.rego import ast

Node: TypeAlias = (
    ast.ExprKind | ast.Expr | ast.Operand | ast.With | ast.Head | ast.Rule | ast.Import | ast.Module
)  # fmt: skip

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INFIX: Final = {
    "internal.member_2": "in",
    "equal": "==",
    "neq": "!=",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "or": "|",
    "and": "&",
    "plus": "+",
    "minus": "-",
    "mul": "*",
    "div": "/",
    "rem": "%",
}


def render(node: Node) -> str:
    """`node` as Rego text; a module and a rule may span lines, everything else is one line."""
    if isinstance(node, ast.Module):
        return _module(node)
    if isinstance(node, ast.Rule):
        return _rule(node)
    if isinstance(node, ast.Import):
        alias = f" as {node.alias}" if node.alias else ""
        return f"import {_path(node.path.terms)}{alias}"
    if isinstance(node, ast.Head):
        return _head(node)
    if isinstance(node, ast.With):
        return f"with {render_term(node.target)} as {render_term(node.value)}"
    if isinstance(node, ast.Expr):
        withs = "".join(f" {render(part)}" for part in node.withs)
        return f"{'not ' if node.negated else ''}{_kind(node.kind)}{withs}"
    if isinstance(node, ast.Operand):
        return _operand(node)
    return _kind(node)


def render_body(body: ast.Body) -> str:
    """A body on one line, without braces."""
    return "; ".join(render(expr) for expr in body)


def render_term(term: ast.Term) -> str:
    """A term as it can stand anywhere: an infix call gets parentheses."""
    match term:
        case ast.Null():
            return "null"
        case ast.Boolean(value=flag):
            return "true" if flag else "false"
        case ast.Number(text=text):
            return text
        case ast.String(value=text):
            return json.dumps(text, ensure_ascii=False)
        case ast.Var(name=name):
            return "_" if name.startswith("$") else name
        case ast.Ref(terms=terms):
            return _path(terms)
        case ast.Array(items=items):
            return f"[{_list(items)}]"
        case ast.Set(items=items):
            return f"{{{_list(items)}}}" if items else "set()"
        case ast.Object(pairs=pairs):
            inner = ", ".join(f"{render_term(key)}: {render_term(value)}" for key, value in pairs)
            return f"{{{inner}}}"
        case ast.ArrayComprehension(term=head, body=body):
            return f"[{render_term(head)} | {render_body(body)}]"
        case ast.SetComprehension(term=head, body=body):
            return f"{{{render_term(head)} | {render_body(body)}}}"
        case ast.ObjectComprehension(key=key, value=value, body=body):
            return f"{{{render_term(key)}: {render_term(value)} | {render_body(body)}}}"
        case ast.Call():
            infix = _infix(term)
            if infix is not None:
                return f"({infix})"
            return f"{_path(term.operator.terms)}({_list(term.args)})"
        case ast.TemplateString(parts=parts):
            return f'$"{"".join(_part(part) for part in parts)}"'
        case _:
            assert_never(term)


def _part(part: ast.Term | ast.Expr) -> str:
    if isinstance(part, ast.String):
        return json.dumps(part.value, ensure_ascii=False)[1:-1].replace("{", "\\{")
    return f"{{{render(part) if isinstance(part, ast.Expr) else render_term(part)}}}"


def _list(items: tuple[ast.Term, ...]) -> str:
    return ", ".join(render_term(item) for item in items)


def _infix(call: ast.Call) -> str | None:
    name = ".".join(
        part.name
        if isinstance(part, ast.Var)
        else part.value
        if isinstance(part, ast.String)
        else ""
        for part in call.operator.terms
    )
    args = [render_term(arg) for arg in call.args]
    if name == "internal.member_3" and len(args) == 3:
        return f"{args[0]}, {args[1]} in {args[2]}"
    if name in _INFIX and len(args) == 2:
        return f"{args[0]} {_INFIX[name]} {args[1]}"
    return None


def _path(terms: tuple[ast.Term, ...]) -> str:
    head = terms[0]
    parts = [render_term(head)]
    for term in terms[1:]:
        if isinstance(term, ast.String) and _WORD.fullmatch(term.value):
            parts.append(f".{term.value}")
        else:
            parts.append(f"[{render_term(term)}]")
    return "".join(parts)


def _top(term: ast.Term) -> str:
    """A term as one side of a statement: no parentheses but for `|`, which could begin a comprehension."""
    if isinstance(term, ast.Call) and term.operator.terms != (ast.Var("or"),):
        return _infix(term) or render_term(term)
    return render_term(term)


def _kind(kind: ast.ExprKind) -> str:
    match kind:
        case ast.Unify(lhs=lhs, rhs=rhs):
            return f"{_top(lhs)} = {_top(rhs)}"
        case ast.Assign(lhs=lhs, rhs=rhs):
            return f"{_top(lhs)} := {_top(rhs)}"
        case ast.SomeDecl(names=names):
            return f"some {_list(names)}"
        case ast.SomeIn(key=key, value=value, domain=domain):
            pair = f"{render_term(key)}, " if key is not None else ""
            return f"some {pair}{render_term(value)} in {render_term(domain)}"
        case ast.Every(key=key, value=value, domain=domain, body=body):
            pair = f"{render_term(key)}, " if key is not None else ""
            inner = render_body(body)
            return f"every {pair}{render_term(value)} in {render_term(domain)} {{ {inner} }}"
        case ast.Not(operand=operand):
            return f"not {_operand(operand)}"
        case ast.Logical(operator=operator, lhs=lhs, rhs=rhs):
            return f"{_operand(lhs)} {operator} {_operand(rhs)}"
        case ast.Block(body=body):
            return f"{{ {render_body(body)} }}"
        case _:
            return _top(kind)


def _operand(operand: ast.Operand) -> str:
    if operand.explicit:
        return f"{{ {render_body(operand.body)} }}"
    expr = operand.body[0]
    text = render(expr)
    if isinstance(expr.kind, ast.Logical) or expr.withs or text.startswith("{"):
        return f"({text})"
    return text


def _head(head: ast.Head) -> str:
    text = _path(head.ref.terms)
    if head.args is not None:
        text += f"({_list(head.args)})"
    if head.key is not None:
        text += f" contains {_top(head.key)}"
    if head.value is not None:
        text += f" {':=' if head.assign else '='} {_top(head.value)}"
    return text


def _block(body: ast.Body) -> str:
    inner = "".join(f"\t{render(expr)}\n" for expr in body)
    return f" if {{\n{inner}}}"


def _rule(rule: ast.Rule) -> str:
    text = ("default " if rule.default else "") + _head(rule.head)
    text += _block(rule.body) if rule.body else ""
    link = rule.else_
    while link is not None:
        value = link.head.value
        if value is not None:
            text += f" else {':=' if link.head.assign else '='} {_top(value)}"
        else:
            text += " else"
        text += _block(link.body) if link.body else ""
        link = link.else_
    return text


def _module(module: ast.Module) -> str:
    path = module.package.terms[1:]
    name = path[0].value if path and isinstance(path[0], ast.String) else ""
    parts = [f"package {_path((ast.Var(name), *path[1:]))}"]
    parts += [render(found) for found in module.imports]
    parts += [_rule(rule) for rule in module.rules]
    return "\n\n".join(parts) + "\n"


def dump(node: Node | ast.Body | None) -> str:
    """`node` as one nested list of its parts: structure without any of Rego's spelling."""
    if node is None:
        return "-"
    if isinstance(node, tuple):
        return _form("body", *(dump(expr) for expr in node))
    match node:
        case ast.Module():
            inner = [*map(dump, node.imports), *map(dump, node.rules)]
            return "\n".join([f"(module {node.rego_version} {dump(node.package)}", *inner]) + ")"
        case ast.Import(path=path, alias=alias):
            return _form("import", dump(path), *((f"as {alias}",) if alias else ()))
        case ast.Rule():
            parts = [dump(node.head)]
            if node.body:
                parts.append(dump(node.body))
            if node.else_:
                parts.append(_form("else", dump(node.else_)))
            parts += [_form("annotations", note.scope) for note in node.annotations]
            return _form("default" if node.default else "rule", *parts)
        case ast.Head(ref=ref, args=args, key=key, value=value, assign=assign):
            parts = [dump(ref)]
            if args is not None:
                parts.append(_form("args", *(dump(arg) for arg in args)))
            if key is not None:
                parts.append(_form("contains", dump(key)))
            if value is not None:
                parts.append(_form(":=" if assign else "=", dump(value)))
            return _form("head", *parts)
        case ast.Expr(kind=kind, negated=negated, withs=withs):
            text = dump(kind)
            if negated:
                text = _form("not", text)
            for part in withs:
                text = _form("with", text, dump(part.target), dump(part.value))
            return text
        case ast.With(target=target, value=value):
            return _form("with", dump(target), dump(value))
        case ast.Unify(lhs=lhs, rhs=rhs):
            return _form("=", dump(lhs), dump(rhs))
        case ast.Assign(lhs=lhs, rhs=rhs):
            return _form(":=", dump(lhs), dump(rhs))
        case ast.SomeDecl(names=names):
            return _form("some", *(dump(name) for name in names))
        case ast.SomeIn(key=key, value=value, domain=domain):
            return _form("some-in", dump(key), dump(value), dump(domain))
        case ast.Every(key=key, value=value, domain=domain, body=body):
            return _form("every", dump(key), dump(value), dump(domain), dump(body))
        case ast.Not(operand=operand):
            return _form("not", dump(operand))
        case ast.Logical(operator=operator, lhs=lhs, rhs=rhs):
            return _form(operator, dump(lhs), dump(rhs))
        case ast.Operand(body=body, explicit=explicit):
            return dump(body) if explicit else dump(body[0])
        case ast.Block(body=body):
            return _form("block", dump(body))
        case _:
            return _dump_term(node)


def _dump_term(term: ast.Term) -> str:
    match term:
        case ast.Null() | ast.Boolean() | ast.Number() | ast.String():
            return render_term(term)
        case ast.Var(name=name):
            return name
        case ast.Ref(terms=terms):
            return _form("ref", *(dump(part) for part in terms))
        case ast.Array(items=items):
            return _form("array", *(dump(item) for item in items))
        case ast.Set(items=items):
            return _form("set", *(dump(item) for item in items))
        case ast.Object(pairs=pairs):
            return _form("object", *(_form(dump(key), dump(value)) for key, value in pairs))
        case ast.ArrayComprehension(term=head, body=body):
            return _form("array-of", dump(head), dump(body))
        case ast.SetComprehension(term=head, body=body):
            return _form("set-of", dump(head), dump(body))
        case ast.ObjectComprehension(key=key, value=value, body=body):
            return _form("object-of", dump(key), dump(value), dump(body))
        case ast.Call(operator=operator, args=args):
            return _form("call", dump(operator), *(dump(arg) for arg in args))
        case ast.TemplateString(parts=parts):
            return _form("template", *(dump(part) for part in parts))
        case _:
            assert_never(term)


def _form(*parts: str) -> str:
    return f"({' '.join(parts)})"
