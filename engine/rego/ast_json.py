"""A parsed module as JSON, in the shape of `opa parse --format json`.

Of the parsed form only. It must not parse, and places of nodes are not shown.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any, TypeAlias, assert_never

from cupcake.engine.rego import ast
from cupcake.engine.rego.lexer import tokenize
from cupcake.engine.rego.rule_parser import is_ground

Json: TypeAlias = dict[str, Any]


def module_to_json(module: ast.Module, source: str) -> Json:
    """`source` is the text that was parsed: its comments are part of the result."""
    shown: Json = {"package": {"path": term_to_json(module.package)["value"]}}
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
    head = _head(rule)
    shown: Json = {"head": head, "body": _body(rule.body)}
    if rule.default:
        shown["default"] = True
    if rule.else_ is not None:
        shown["else"] = _else(rule.else_, head)
    return shown


def _else(rule: ast.Rule, first: Json) -> Json:
    """An `else` branch; its head repeats the `first` one, without a value of its own also whether that was assigned."""
    head = {k: v for k, v in first.items() if k in ("ref", "name")}
    if rule.head.args is not None:
        head["args"] = [term_to_json(t) for t in rule.head.args]
    head["value"] = _value(rule.head)
    if rule.head.assign or (rule.head.value is None and first.get("assign")):
        head["assign"] = True
    shown: Json = {"head": head, "body": _body(rule.body)}
    if rule.else_ is not None:
        shown["else"] = _else(rule.else_, first)
    return shown


def _head(rule: ast.Rule) -> Json:
    head = rule.head
    terms = head.ref.terms
    first = terms[0]
    shown: Json = {"ref": term_to_json(head.ref)["value"]}
    if isinstance(first, ast.Var) and (len(terms) == 1 or _is_named(rule)):
        shown["name"] = first.name
    if head.args is not None:
        shown["args"] = [term_to_json(t) for t in head.args]
    if head.key is not None:
        shown["key"] = term_to_json(head.key)
    elif len(terms) == 2 and head.args is None and not rule.default:
        computed = isinstance(terms[1], ast.Ref | ast.TemplateString) or not is_ground(terms[1])
        if not rule.body or computed:
            shown["key"] = term_to_json(terms[1])
    if head.value is not None or head.key is None:
        shown["value"] = _value(head)
    if head.assign:
        shown["assign"] = True
    return shown


def _is_named(rule: ast.Rule) -> bool:
    """Whether a head of two steps has a name beside its reference: what OPA's parser leaves of older forms of rules."""
    head = rule.head
    if len(head.ref.terms) != 2 or head.key is not None or rule.default:
        return False
    return bool(rule.body) if head.args is not None else head.value is not None


def _value(head: ast.Head) -> Json:
    return {"type": "boolean", "value": True} if head.value is None else term_to_json(head.value)


def _body(body: ast.Body) -> list[Json]:
    if not body:
        return [{"generated": True, "index": 0, "terms": {"type": "boolean", "value": True}}]
    return [_expr(index, expr) for index, expr in enumerate(body)]


def _expr(index: int, expr: ast.Expr) -> Json:
    shown: Json = {"index": index, "terms": _kind(expr.kind)}
    if expr.negated:
        shown["negated"] = True
    if expr.withs:
        shown["with"] = [
            {"target": term_to_json(w.target), "value": term_to_json(w.value)} for w in expr.withs
        ]
    return shown


def _part(part: ast.Term | ast.Expr) -> Json:
    """Constants as they are; what must be computed is an expression."""
    match part:
        case ast.Expr():
            return _expr(0, part)
        case ast.String() | ast.Number() | ast.Boolean() | ast.Null():
            return term_to_json(part)
    return _expr(0, ast.Expr(part))


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
            return {
                "type": "not",
                "body": _body(operand.body),
                "explicit_body": operand.explicit,
            }
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
    """{"type": ..., "value": ...}. A document that stands alone is a reference."""
    if isinstance(term, ast.Var) and term.name in ("input", "data"):
        return {"type": "ref", "value": [_name(term)]}
    kind, value = _term(term)
    return {"type": kind, "value": value}


def _name(variable: ast.Var) -> Json:
    return {"type": "var", "value": variable.name}


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
            first = _name(terms[0]) if isinstance(terms[0], ast.Var) else term_to_json(terms[0])
            return "ref", [first, *map(term_to_json, terms[1:])]
        case ast.Array(items):
            return "array", [term_to_json(t) for t in items]
        case ast.Set(items):
            members = {_order(t): t for t in items}
            return "set", [term_to_json(members[key]) for key in sorted(members)]
        case ast.Object(pairs):
            ordered = sorted(pairs, key=lambda pair: _order(pair[0]))
            return "object", [[term_to_json(k), term_to_json(v)] for k, v in ordered]
        case ast.ArrayComprehension(inner, body):
            return "arraycomprehension", {"term": term_to_json(inner), "body": _body(body)}
        case ast.SetComprehension(inner, body):
            return "setcomprehension", {"term": term_to_json(inner), "body": _body(body)}
        case ast.ObjectComprehension(key, inner, body):
            pair: Json = {"key": term_to_json(key), "value": term_to_json(inner)}
            return "objectcomprehension", {**pair, "body": _body(body)}
        case ast.Call(operator, args):
            return "call", [term_to_json(operator), *map(term_to_json, args)]
        case ast.TemplateString(shown):
            parts = [_part(part) for part in shown] or None
            return "templatestring", {"parts": parts, "multi_line": term.raw}
    assert_never(term)


def _order(term: ast.Term) -> tuple[Any, ...]:
    """A key that sorts terms as OPA does: members of sets and objects have no order of their own."""
    match term:
        case ast.Null():
            return (0,)
        case ast.Boolean(value):
            return 1, value
        case ast.Number(text):
            return 2, Decimal(text)
        case ast.String(text):
            return 3, text
        case ast.Var(name):
            return 4, name
        case ast.Ref(terms):
            return 5, tuple(map(_order, terms))
        case ast.Array(items):
            return 6, tuple(map(_order, items))
        case ast.Object(pairs):
            ordered = sorted((_order(key), _order(value)) for key, value in pairs)
            return 7, tuple(key for key, _ in ordered), tuple(value for _, value in ordered)
        case ast.Set(items):
            return 8, tuple(sorted(map(_order, items)))
        case _:
            # Whatever must be computed comes last, in the order of the text.
            return 9, term.loc.row, term.loc.col, term.loc.offset
