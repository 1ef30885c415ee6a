"""IR to and from the JSON of OPA's plan bundles (`opa build -t plan`, `plan.json`).

Statements keep OPA's names and fields. What OPA's IR does not know is marked: the statements `cupcake:LoadConstStmt`,
`cupcake:SwitchStmt` and `cupcake:CountStmt`, `static."cupcake:consts"`, a function's `cupcake:conflict` and the policy's `cupcake:data`.
`expand.expand` removes the two statements first where plain OPA form is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from cupcake.engine.plan import ir

PREFIX: Final = "cupcake:"
_EXTENSIONS: Final = (ir.LoadConstStmt, ir.SwitchStmt, ir.CountStmt)
_STATEMENTS: Final[Mapping[str, type[Any]]] = {kind.__name__: kind for kind in ir.Stmt.__args__}
_Json = Any


class PlanFormatError(ValueError):
    """JSON that is no plan; the message says where."""


# -- out


def to_json(policy: ir.Policy) -> dict[str, _Json]:
    """The policy as JSON-like Python."""
    static: dict[str, _Json] = {
        "strings": [{"value": text} for text in policy.static.strings],
        "builtin_funcs": [{"name": decl.name} for decl in policy.static.builtins],
        "files": [{"value": name} for name in policy.static.files],
    }
    if policy.static.consts:
        static[PREFIX + "consts"] = [const_to_json(const) for const in policy.static.consts]
    out: dict[str, _Json] = {
        "static": static,
        "plans": {
            "plans": [{"name": plan.name, "blocks": _blocks(plan.blocks)} for plan in policy.plans]
        },
        "funcs": {"funcs": [_func(func) for func in policy.funcs]},
    }
    if isinstance(policy.data, ir.ConstDocument):
        raise ValueError("a plan is written with its document as a constant, not as text")
    if policy.data != ir.ConstObject(()):
        out[PREFIX + "data"] = const_to_json(policy.data)
    return out


def const_to_json(const: ir.Const) -> _Json:
    """A constant: scalars as JSON, the rest as {"number"|"array"|"set"|"object": ...}."""
    match const:
        case ir.ConstNumber():
            return {"number": const.text}
        case ir.ConstArray():
            return {"array": [const_to_json(item) for item in const.items]}
        case ir.ConstSet():
            return {"set": [const_to_json(item) for item in const.items]}
        case ir.ConstObject():
            return {"object": [[const_to_json(k), const_to_json(v)] for k, v in const.pairs]}
        case _:
            return const


def _func(func: ir.Func) -> dict[str, _Json]:
    out: dict[str, _Json] = {
        "name": func.name,
        "params": list(func.params),
        "return": func.result,
        "blocks": _blocks(func.blocks),
        PREFIX + "conflict": func.conflict,
    }
    if func.path:
        out["path"] = list(func.path)
    return out


def _blocks(blocks: Sequence[ir.Block]) -> list[_Json]:
    return [_block(block) for block in blocks]


def _block(block: ir.Block) -> dict[str, _Json]:
    return {"stmts": [_stmt(stmt) for stmt in block.stmts]}


def _stmt(stmt: ir.Stmt) -> dict[str, _Json]:
    name = type(stmt).__name__
    body: dict[str, _Json] = {}
    for field in fields(stmt):
        value = getattr(stmt, field.name)
        if field.name == "place":
            body.update(file=value.file, row=value.row, col=value.col)
        else:
            body[_field_name(name, field.name)] = _value(value)
    return {"type": PREFIX + name if isinstance(stmt, _EXTENSIONS) else name, "stmt": body}


def _field_name(statement: str, field: str) -> str:
    """OPA writes one field with a capital letter."""
    return "Index" if (statement, field) == ("MakeNumberRefStmt", "index") else field


def _value(value: Any) -> _Json:
    match value:
        case ir.LocalOperand():
            return {"type": "local", "value": value.local}
        case ir.BoolOperand():
            return {"type": "bool", "value": value.value}
        case ir.StringOperand():
            return {"type": "string_index", "value": value.index}
        case ir.Block():
            return _block(value)
        case tuple():
            return [_value(item) for item in value]
        case _:
            return value


# -- in


def from_json(document: Mapping[str, _Json]) -> ir.Policy:
    """Reads a plan, OPA's or ours. Raises PlanFormatError.

    OPA's own code generator goes on after a scan of nothing, ours ends the block there: a scan with statements after
    it is wrapped in a block of its own, which both read alike."""
    try:
        static = document.get("static") or {}
        return ir.Policy(
            ir.Static(
                strings=tuple(_text(item["value"]) for item in static.get("strings") or ()),
                builtins=tuple(
                    ir.BuiltinDecl(_text(item["name"]))
                    for item in static.get("builtin_funcs") or ()
                ),
                files=tuple(_text(item["value"]) for item in static.get("files") or ()),
                consts=tuple(const_from_json(c) for c in static.get(PREFIX + "consts") or ()),
            ),
            tuple(
                ir.Plan(_text(item["name"]), _Reader().blocks(item["blocks"]))
                for item in (document.get("plans") or {}).get("plans") or ()
            ),
            tuple(
                ir.Func(
                    _text(item["name"]),
                    tuple(_whole(param) for param in item["params"]),
                    _whole(item["return"]),
                    _Reader().blocks(item["blocks"]),
                    tuple(_text(step) for step in item.get("path") or ()),
                    _text(item.get(PREFIX + "conflict", _CONFLICT)),
                )
                for item in (document.get("funcs") or {}).get("funcs") or ()
            ),
            const_from_json(document.get(PREFIX + "data", {"object": []})),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise PlanFormatError(f"not a plan: {error!r}") from error
    except RecursionError:
        raise PlanFormatError("not a plan: its blocks nest too deeply") from None


_CONFLICT: Final = "complete rules must not produce multiple outputs"


def const_from_json(value: _Json) -> ir.Const:
    """The inverse of `const_to_json`."""
    match value:
        case None | bool() | str():
            return value
        case {"number": str() as text}:
            return ir.ConstNumber(text)
        case {"array": list() as items}:
            return ir.ConstArray(tuple(const_from_json(item) for item in items))
        case {"set": list() as items}:
            return ir.ConstSet(tuple(const_from_json(item) for item in items))
        case {"object": list() as pairs}:
            return ir.ConstObject(tuple((const_from_json(k), const_from_json(v)) for k, v in pairs))
    raise PlanFormatError(f"not a constant: {value!r}")


class _Reader:
    """Reads the blocks of one function; `_real` tells blocks of the document from those added around scans."""

    def __init__(self) -> None:
        self._real: list[bool] = []

    def blocks(self, items: Sequence[_Json]) -> tuple[ir.Block, ...]:
        """Reads a list of blocks."""
        return tuple(self.block(item) for item in items)

    def block(self, item: _Json) -> ir.Block:
        """Reads one block."""
        self._real.append(True)
        stmts = item.get("stmts") or ()
        out = [self._stmt(stmt, position + 1 == len(stmts)) for position, stmt in enumerate(stmts)]
        self._real.pop()
        return ir.Block(tuple(out))

    def _stmt(self, item: _Json, last: bool) -> ir.Stmt:
        name = str(item["type"]).removeprefix(PREFIX)
        kind = _STATEMENTS.get(name)
        if kind is None:
            raise PlanFormatError(f"unknown statement {item['type']!r}")
        body = item["stmt"]
        place = ir.Place(*(_whole(body.get(name, 0)) for name in ("file", "row", "col")))
        wrap = kind is ir.ScanStmt and not last
        if wrap:
            self._real.append(False)
        values = {
            field.name: self._field(str(field.type), body[_field_name(name, field.name)])
            for field in fields(kind)
            if field.name != "place"
        }
        if kind is ir.BreakStmt:
            values["index"] = self._depth(values["index"])
        stmt: ir.Stmt = kind(**values, place=place)
        if wrap:
            self._real.pop()
            return ir.BlockStmt((ir.Block((stmt,)),), place)
        return stmt

    def _depth(self, index: int) -> int:
        """A break's depth with the added blocks counted."""
        left = index
        for crossed, real in enumerate(reversed(self._real)):
            if real:
                if left == 0:
                    return crossed
                left -= 1
        raise PlanFormatError(f"break {index} leaves more blocks than there are")

    def _field(self, annotation: str, value: _Json) -> Any:
        reader = self._readers().get(annotation)
        if reader is None:
            raise PlanFormatError(f"no reader for {annotation}")
        return reader(value)

    def _readers(self) -> Mapping[str, Callable[[_Json], Any]]:
        return {
            "Operand": _operand,
            "Local": _whole,
            "int": _whole,
            "str": _text,
            "Block": self.block,
            "tuple[Block, ...]": self.blocks,
            "tuple[Operand, ...]": lambda items: tuple(_operand(item) for item in items),
            "tuple[Local, ...]": lambda items: tuple(_whole(item) for item in items),
            "tuple[int, ...]": lambda items: tuple(_whole(item) for item in items or ()),
            "tuple[tuple[tuple[int, ...], Block], ...]": lambda items: tuple(
                (tuple(_whole(string) for string in strings), self.block(block))
                for strings, block in items
            ),
        }


def _whole(value: _Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PlanFormatError(f"not a whole number: {value!r}")
    return value


def _text(value: _Json) -> str:
    if not isinstance(value, str):
        raise PlanFormatError(f"not a text: {value!r}")
    return value


def _operand(value: _Json) -> ir.Operand:
    match value:
        case {"type": "local", "value": int() as local}:
            return ir.LocalOperand(local)
        case {"type": "bool", "value": bool() as truth}:
            return ir.BoolOperand(truth)
        case {"type": "string_index", "value": int() as index}:
            return ir.StringOperand(index)
    raise PlanFormatError(f"not an operand: {value!r}")
