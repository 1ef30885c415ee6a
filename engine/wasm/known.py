"""What is known of values while code is generated: constants, and elements of constant collections.

Used to compile patterns ahead, to put a constant where a rule is one, and to do without the host where no call of it can come. It must not guess: what is not certain is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass

from cupcake.engine.plan import ir

UNKNOWN = object()
A_NUMBER = object()
# Patterns of one call beyond this are left to the evaluation: each costs compile time and room.
_MOST = 256


@dataclass(frozen=True, slots=True)
class OneOf:
    """Some element of a constant collection."""

    items: tuple[ir.Const, ...]


class Row:
    """An array that is put together while the function runs: what is known of its items so far, in their order. `block`: the
    block that makes it; items that come from another one may come any number of times."""

    __slots__ = ("_block", "_items")

    def __init__(self, block: int) -> None:
        self._block = block
        self._items: list[object] | None = []

    def append(self, known: object, block: int) -> None:
        if self._items is not None and block == self._block:
            self._items.append(known)
        else:
            self._items = None

    @property
    def items(self) -> tuple[object, ...] | None:
        """None when they are not known."""
        return None if self._items is None else tuple(self._items)


# As operands of time.*; the host's own zone is UTC too, as everywhere here.
_NO_ZONE = frozenset(("", "UTC", "Local"))


def may_name_zone(known: object) -> bool:
    """Whether an operand of time.* may be `[nanoseconds, zone]` with another zone than UTC."""
    items: tuple[object, ...] | None
    match known:
        case Row():
            items = known.items
        case ir.ConstArray():
            items = known.items
        case None | bool() | str() | ir.ConstNumber() | ir.ConstObject() | ir.ConstSet():
            return False
        case _:
            return known is not A_NUMBER
    if items is None:
        return True
    return len(items) > 1 and items[1] not in _NO_ZONE and not _is_no_text(items[1])


def _is_no_text(known: object) -> bool:
    return known in (A_NUMBER, None) or isinstance(
        known, (bool, ir.ConstNumber, ir.ConstArray, ir.ConstObject, ir.ConstSet, Row)
    )


def keys_of(collection: object) -> object:
    """What is known of a key of `collection`."""
    match collection:
        case ir.ConstObject(pairs):
            return OneOf(tuple(key for key, _ in pairs))
        case ir.ConstSet(items):
            return OneOf(items)
    return UNKNOWN


def values_of(collection: object) -> object:
    """What is known of a value of `collection`."""
    match collection:
        case ir.ConstObject(pairs):
            return OneOf(tuple(value for _, value in pairs))
        case ir.ConstSet(items) | ir.ConstArray(items):
            return OneOf(items)
    return UNKNOWN


def strings_of(known: object) -> tuple[str, ...] | None:
    """The strings that a value can only be; None when it can be anything else."""
    if isinstance(known, str):
        return (known,)
    if isinstance(known, OneOf) and len(known.items) <= _MOST:
        strings = tuple(item for item in known.items if isinstance(item, str))
        return strings if len(strings) == len(known.items) else None
    return None


def constant_of(func: ir.Func, static: ir.Static) -> object:
    """The value of a rule that is one constant whatever input and data are; UNKNOWN for any other function."""
    if len(func.params) != 2 or len(func.blocks) != 3:
        return UNKNOWN
    start, body, end = func.blocks
    if not (_is(start, ir.ResetLocalStmt) and _is(end, ir.ReturnLocalStmt)):
        return UNKNOWN
    match body.stmts:
        case (
            ir.LoadConstStmt(index=index, target=loaded),
            ir.AssignVarStmt(source=ir.LocalOperand(local=source), target=target),
            ir.ReturnLocalStmt(source=returned),
        ) if loaded == source and target == returned:
            return static.consts[index]
        case (
            ir.AssignVarStmt(source=ir.StringOperand(index=index), target=target),
            ir.ReturnLocalStmt(source=returned),
        ) if target == returned:
            return static.strings[index]
        case (
            ir.AssignVarStmt(source=ir.BoolOperand(value=value), target=target),
            ir.ReturnLocalStmt(source=returned),
        ) if target == returned:
            return value
    return UNKNOWN


def _is(block: ir.Block, kind: type) -> bool:
    return len(block.stmts) == 1 and isinstance(block.stmts[0], kind)
