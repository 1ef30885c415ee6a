"""OPA's documented intermediate representation, as frozen nodes, plus two extensions of ours.

Source: OPA's "Intermediate Representation" document; statement and field names are OPA's. JSON in and out lives
in `json_form.py`, text in `pretty.py`, checks in `verify.py`. This file only declares data.

Semantics in one paragraph: a plan or function is a list of blocks; a block is a list of statements run in order. A
statement that is *undefined* ends its block (control goes on after the block); `BreakStmt(n)` ends the n-th enclosing
block (0 = the innermost). Locals are registers holding a value or nothing; local 0 is `input`, local 1 is `data`.
A function whose `ReturnLocalStmt` returns an unset local yields "undefined" to its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Local: TypeAlias = int


@dataclass(frozen=True, slots=True)
class LocalOperand:
    local: Local


@dataclass(frozen=True, slots=True)
class BoolOperand:
    value: bool


@dataclass(frozen=True, slots=True)
class StringOperand:
    """Index into `Static.strings`."""

    index: int


Operand: TypeAlias = LocalOperand | BoolOperand | StringOperand


@dataclass(frozen=True, slots=True)
class Place:
    """Source position of a statement: `file` indexes `Static.files`; row and col count from 1, 0 = none."""

    file: int = 0
    row: int = 0
    col: int = 0


_P = Place()


def _place() -> Place:
    return _P


@dataclass(frozen=True, slots=True)
class Block:
    stmts: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class ArrayAppendStmt:
    value: Operand
    array: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class AssignIntStmt:
    value: int
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class AssignVarOnceStmt:
    """Sets `target`; when it is set already to a different value: eval_conflict_error."""

    source: Operand
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class AssignVarStmt:
    source: Operand
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class BlockStmt:
    blocks: tuple[Block, ...]
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class BreakStmt:
    index: int
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class CallStmt:
    """Calls a planned function (name in `Policy.funcs`) or a builtin (its Rego name). Undefined result = undefined."""

    func: str
    args: tuple[Operand, ...]
    result: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class CallDynamicStmt:
    """Looks a rule's function up by its path (`Func.path`) at run time and calls it with `args`
    (input, data locals); undefined when there is none."""

    args: tuple[Local, ...]
    result: Local
    path: tuple[Operand, ...]
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class DotStmt:
    """target = source[key]; undefined when source is no collection or the key is absent. On a set: membership."""

    source: Operand
    key: Operand
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class EqualStmt:
    a: Operand
    b: Operand
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class NotEqualStmt:
    a: Operand
    b: Operand
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class IsArrayStmt:
    source: Operand
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class IsObjectStmt:
    source: Operand
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class IsSetStmt:
    source: Operand
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class IsDefinedStmt:
    source: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class IsUndefinedStmt:
    source: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class LenStmt:
    source: Operand
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeArrayStmt:
    capacity: int
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeNullStmt:
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeNumberIntStmt:
    value: int
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeNumberRefStmt:
    """A number by its literal text, an index into `Static.strings`."""

    index: int
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeObjectStmt:
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class MakeSetStmt:
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class NopStmt:
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class NotStmt:
    """Succeeds when `block` ends early (undefined); is undefined when it runs to its end."""

    block: Block
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectInsertOnceStmt:
    """Inserts; when the key is there with a different value: eval_conflict_error "object keys must be unique"."""

    key: Operand
    value: Operand
    object: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectInsertStmt:
    key: Operand
    value: Operand
    object: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectMergeStmt:
    """target = a merged over b, recursively; on a clash of non-objects `a` wins. Neither is changed."""

    a: Local
    b: Local
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ResetLocalStmt:
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ResultSetAddStmt:
    value: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ReturnLocalStmt:
    source: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class ScanStmt:
    """Runs `block` for each key/value of `source` in Rego order; undefined when source is no collection
    (or holds nothing). In `block`, an undefined statement goes on with the next element."""

    source: Local
    key: Local
    value: Local
    block: Block
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class SetAddStmt:
    value: Operand
    set: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class WithStmt:
    """Runs `block` with `local` (0 or 1, or any) replaced by a copy that has `value` at `path` (string
    indices; () = replaced whole); restores it after. Undefined when the block is undefined."""

    local: Local
    path: tuple[int, ...]
    value: Operand
    block: Block
    place: Place = field(default_factory=_place, compare=False)


# -- extensions (not in OPA's IR; `json_form` marks them with "cupcake:" names) -------------------------------


@dataclass(frozen=True, slots=True)
class LoadConstStmt:
    """target = `Static.consts[index]`, a ground value laid out in the module at compile time."""

    index: int
    target: Local
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class SwitchStmt:
    """Rule index. Runs the block of the first case that holds the string value of `source`; `default`
    when it is unset, no string or not listed. Undefined inside ends only the case's block."""

    source: Local
    cases: tuple[tuple[tuple[int, ...], Block], ...]
    default: Block
    place: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class CountStmt:
    """Adds one to a counter of the instance, modulo 2^32. Only in policies that were instrumented (`counting.py`)."""

    counter: int
    place: Place = field(default_factory=_place, compare=False)


Stmt: TypeAlias = (
    ArrayAppendStmt | AssignIntStmt | AssignVarOnceStmt | AssignVarStmt | BlockStmt | BreakStmt | CallStmt
    | CallDynamicStmt | DotStmt | EqualStmt | NotEqualStmt | IsArrayStmt | IsObjectStmt | IsSetStmt
    | IsDefinedStmt | IsUndefinedStmt | LenStmt | MakeArrayStmt | MakeNullStmt | MakeNumberIntStmt
    | MakeNumberRefStmt | MakeObjectStmt | MakeSetStmt | NopStmt | NotStmt | ObjectInsertOnceStmt
    | ObjectInsertStmt | ObjectMergeStmt | ResetLocalStmt | ResultSetAddStmt | ReturnLocalStmt | ScanStmt
    | SetAddStmt | WithStmt | LoadConstStmt | SwitchStmt | CountStmt
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Func:
    """A planned rule or user function. params[0:2] are input and data; `result` is the local returned.
    `path`: ("g0", "a", "p") with the generation first, for CallDynamicStmt.
    A Func with exactly two params is pure in (input, data) and memoized per evaluation by codegen.
    `conflict`: text of the eval_conflict_error that its AssignVarOnceStmt raises."""

    name: str
    params: tuple[Local, ...]
    result: Local
    blocks: tuple[Block, ...]
    path: tuple[str, ...] = ()
    conflict: str = "complete rules must not produce multiple outputs"


@dataclass(frozen=True, slots=True)
class Plan:
    """An entrypoint, or the query of `engine.query`."""

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class BuiltinDecl:
    """A builtin that the policy calls; the type declaration is in the registry."""

    name: str


@dataclass(frozen=True, slots=True)
class ConstSet:
    """A set constant inside `Static.consts` (elements unsorted, may repeat)."""

    items: tuple[Const, ...]


@dataclass(frozen=True, slots=True)
class ConstNumber:
    """A number constant by its literal text."""

    text: str


@dataclass(frozen=True, slots=True)
class ConstObject:
    pairs: tuple[tuple[Const, Const], ...]


@dataclass(frozen=True, slots=True)
class ConstArray:
    items: tuple[Const, ...]


Const: TypeAlias = bool | str | ConstNumber | ConstArray | ConstObject | ConstSet | None


@dataclass(frozen=True, slots=True)
class ConstDocument:
    """A large document as its JSON text. `lay_out(text, address)` gives the bytes of its data segment at an address (a
    multiple of 8) and the address of its value; it is handed in, as laying out takes a running WebAssembly module."""

    text: str
    lay_out: Callable[[str, int], tuple[bytes, int]] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Static:
    strings: tuple[str, ...] = ()
    builtins: tuple[BuiltinDecl, ...] = ()
    files: tuple[str, ...] = ()
    consts: tuple[Const, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    static: Static
    plans: tuple[Plan, ...]
    funcs: tuple[Func, ...]
    data: Const | ConstDocument = ConstObject(())
    counters: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
