"""A parsed module as JSON, in the shape of `opa parse --format json`.

Of the parsed form only. It must not parse, and places of nodes are not shown.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import tokenize

Json: TypeAlias = dict[str, Any]


def module_to_json(module: ast.Module, source: str) -> Json:
    """`source` is the text that was parsed: its comments are part of the result."""
    shown: Json = {"package": {"path": [term_to_json(t) for t in module.package.terms]}}
    if module.imports:
        shown["imports"] = [_import(one) for one in module.imports]
    if module.rules:
        shown["rules"] = [_rule(rule) for rule in module.rules]
    comments = tokenize(source, frozenset()).comments
    if comments:
        shown["comments"] = [
            {
                "Text": base64.b64encode(text.encode("utf-8", "replace")).decode(),
                "Location": {"file": module.file, "row": row, "col": col},
            }
            for row, col, _, text in comments
        ]
    return shown


def _import(one: ast.Import) -> Json:
    shown: Json = {"path": term_to_json(one.path)}
    return {**shown, "alias": one.alias} if one.alias else shown


def _rule(rule: ast.Rule) -> Json:
    shown: Json = {"head": _head(rule.head), "body": _body(rule.body)}
    if rule.default:
        shown["default"] = True
    if rule.else_ is not None:
        shown["else"] = _rule(rule.else_)
    return shown


def _head(head: ast.Head) -> Json:
    terms = head.ref.terms
    first = terms[0]
    shown: Json = {"ref": [term_to_json(t) for t in terms]}
    keyed = len(terms) == 2 and head.key is None and head.value is not None
    if isinstance(first, ast.Var) and (len(terms) == 1 or keyed):
        shown["name"] = first.name
    if head.args is not None:
        shown["args"] = [term_to_json(t) for t in head.args]
    if head.key is not None:
        shown["key"] = term_to_json(head.key)
    elif len(terms) == 2:
        shown["key"] = term_to_json(terms[1])
    if head.value is not None:
        shown["value"] = term_to_json(head.value)
    elif head.key is None:
        shown["value"] = {"type": "boolean", "value": True}
    if head.assign:
        shown["assign"] = True
    return shown


def _body(body: ast.Body) -> list[Json]:
    if not body:
        return [{"index": 0, "terms": {"type": "boolean", "value": True}}]
    return [_expr(index, expr) for index, expr in enumerate(body)]


def _expr(index: int, expr: ast.Expr) -> Json:
    shown: Json = {"index": index, "terms": _kind(expr.kind)}
    if expr.negated:
        shown["negated"] = True
    if expr.withs:
        shown["with"] = [
            {"target": _with_target(w.target), "value": term_to_json(w.value)} for w in expr.withs
        ]
    return shown


def _with_target(target: ast.Term) -> Json:
    """The documents are references here, also alone."""
    if isinstance(target, ast.Var) and target.name in ("input", "data"):
        return {"type": "ref", "value": [term_to_json(target)]}
    return term_to_json(target)


def _part(index: int, part: ast.Term | ast.Expr) -> Json:
    return _expr(index, part) if isinstance(part, ast.Expr) else term_to_json(part)


def _call(name: str, *args: ast.Term) -> list[Json]:
    operator = {"type": "ref", "value": [{"type": "var", "value": name}]}
    return [operator, *map(term_to_json, args)]


def _kind(kind: ast.ExprKind) -> Any:
    match kind:
        case ast.Unify(lhs, rhs):
            return _call("eq", lhs, rhs)
        case ast.Assign(lhs, rhs):
            return _call("assign", lhs, rhs)
        case ast.SomeDecl(names):
            return {"symbols": [term_to_json(name) for name in names]}
        case ast.SomeIn(key, value, domain):
            name = "member_2" if key is None else "member_3"
            operator = ast.Ref((ast.Var("internal"), ast.String(name)))
            args = (value, domain) if key is None else (key, value, domain)
            return {"symbols": [term_to_json(ast.Call(operator, args))]}
        case ast.Every(key, value, domain, body):
            return {
                "key": None if key is None else term_to_json(key),
                "value": term_to_json(value),
                "domain": term_to_json(domain),
                "body": _body(body),
            }
        case ast.Not(operand):
            return {"body": _body(operand.body), "explicit_body": operand.explicit}
        case ast.Logical(_, lhs, rhs):
            return {
                "lhs": _body(lhs.body),
                "rhs": _body(rhs.body),
                "explicit_lhs": lhs.explicit,
                "explicit_rhs": rhs.explicit,
            }
        case ast.Block():
            raise TypeError("a block is no part of the parsed form")
        case ast.Call(operator, args):
            return [term_to_json(operator), *map(term_to_json, args)]
    return term_to_json(kind)


def term_to_json(term: ast.Term) -> Json:
    """{"type": ..., "value": ...}"""
    kind, value = _term(term)
    return {"type": kind, "value": value}


def _term(term: ast.Term) -> tuple[str, Any]:
    match term:
        case ast.Null():
            return "null", {}
        case ast.Boolean(value):
            return "boolean", value
        case ast.Number(text):
            return "number", int(text) if text.lstrip("-").isdigit() else Decimal(text)
        case ast.String(text):
            return "string", text
        case ast.Var(name):
            return "var", name
        case ast.Ref(terms):
            return "ref", [term_to_json(t) for t in terms]
        case ast.Array(items):
            return "array", [term_to_json(t) for t in items]
        case ast.Set(items):
            return "set", [term_to_json(t) for t in items]
        case ast.Object(pairs):
            return "object", [[term_to_json(k), term_to_json(v)] for k, v in pairs]
        case ast.ArrayComprehension(inner, body):
            return "arraycomprehension", {"term": term_to_json(inner), "body": _body(body)}
        case ast.SetComprehension(inner, body):
            return "setcomprehension", {"term": term_to_json(inner), "body": _body(body)}
        case ast.ObjectComprehension(key, inner, body):
            members: Json = {"key": term_to_json(key), "value": term_to_json(inner)}
            return "objectcomprehension", {**members, "body": _body(body)}
        case ast.Call(operator, args):
            return "call", [term_to_json(operator), *map(term_to_json, args)]
        case ast.TemplateString(parts):
            return "templatestring", {"parts": [_part(i, t) for i, t in enumerate(parts)]}
    assert_never(term)
