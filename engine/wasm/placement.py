"""The numbers of one module: addresses of constants and patterns, ids of host builtins, memo slots, the table of rules.

They are given in the order in which the functions stand and name them, so that equal functions give equal modules. It must
not look into instructions.
"""

from __future__ import annotations

from collections.abc import Iterable

from cupcake.engine.errors import EngineError
from cupcake.engine.plan import ir
from cupcake.engine.runtime.layout import ConstantPool
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled, Hole, Need
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.leb128 import sleb, uleb
from cupcake.engine.wasm.unit import REGEX_COMPILE, Unit, policy_symbol

FRAME: Hole = "frame"
_SELF = "\0self"


class Placement:
    """The module under construction. Addresses are final: the runtime's data is fixed and ours follows it.

    `numbers`: what stands in each hole, except those that the linkers know (calls, types, globals)."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.pool = ConstantPool(unit.cache.images)
        self.base = (unit.image.heap_base + 15) & ~15
        self.counters = 0
        self.numbers: dict[Hole, bytes] = {}
        self.host_ids: dict[str, int] = {}
        self.regexes: dict[Need, tuple[int, int]] = {}
        self.globs: dict[Need, tuple[int, int]] = {}
        self.table_base = max((t.limits.minimum for t in unit.image.module.tables), default=1)
        self.table: list[str] = []
        self._seen: set[Hole] = {FRAME}

    def place(self, functions: Iterable[Assembled]) -> None:
        """Give numbers to what the functions name and has none yet."""
        seen = self._seen
        for function in functions:
            for need in function.needs:
                self._prepare(need)
            for hole in function.holes:
                if hole not in seen:
                    seen.add(hole)
                    self._fill(hole)

    def value(self, const: ir.Const) -> int:
        """Address of a constant value."""
        return self.base + int(self.pool.add(const))

    def document(self) -> int:
        """Address of the base document. To be asked for before any other constant."""
        data = self._unit.policy.data
        if not isinstance(data, ir.ConstDocument):
            return self.value(data)
        try:
            block, address = data.lay_out(data.text, self.base)
        except EngineError as e:
            raise CodegenError(f"the base document cannot be laid out: {e}") from e
        self.pool.place_block(block)
        return address

    def count(self, counters: int) -> None:
        """Make room for the counters of CountStmt."""
        if counters:
            self.counters = self.bytes_at(bytes(4 * counters))

    def bytes_at(self, data: bytes, align: int = 8) -> int:
        """Address of raw bytes."""
        return self.base + int(self.pool.add_bytes(data, align))

    def frame(self, address: int) -> None:
        """Where the first memo frame lies."""
        self.numbers[FRAME] = push(address)

    def _fill(self, hole: Hole) -> None:
        kind, _, name = hole.partition(" ")
        match kind:
            case "const":
                self.numbers[hole] = push(self.value(self._unit.cache.values[int(name)]))
            case "host":
                self.numbers[hole] = push(self._host_id(name))
            case "counter":
                self.numbers[hole] = push(self.counters + 4 * int(name))
            case "slot":
                self.numbers[hole] = uleb(4 * self._unit.memo_slots[name])
            case "dispatch":
                self.numbers[hole] = push(self._dispatch_table())
            case "call" | "type" | "global":
                pass
            case _:
                raise CodegenError(f"unknown hole {hole!r}")

    def _host_id(self, name: str) -> int:
        return self.host_ids.setdefault(name, len(self.host_ids))

    def _prepare(self, need: Need) -> None:
        if need in self.regexes or need in self.globs:
            return
        if need.kind == "host":
            self._host_id(need.text)
            return
        program = self._unit.program(need)
        if program is None:
            self._host_id(REGEX_COMPILE)
        elif need.kind == "regex":
            self.regexes[need] = self.value(need.text), self.bytes_at(program)
        else:
            delimiters = None if need.delimiters is None else ir.ConstArray(need.delimiters)
            key = ir.ConstArray((need.text, delimiters))
            self.globs[need] = self.value(key), self.bytes_at(program)

    def _dispatch_table(self) -> int:
        root: dict[str, object] = {}
        for func in self._unit.policy.funcs:
            if func.path:
                node = root
                for part in func.path:
                    node = node.setdefault(part, {})  # type: ignore[assignment]
                node[_SELF] = self.table_base + len(self.table)
                self.table.append(policy_symbol(func.name))
        return self.value(_tree(root))


def push(value: int) -> bytes:
    """The instruction that pushes an i32, given as unsigned."""
    return bytes((op.I32_CONST,)) + sleb(value if value < 1 << 31 else value - (1 << 32))


def _tree(node: dict[str, object]) -> ir.Const:
    if list(node) == [_SELF]:
        return ir.ConstNumber(str(node[_SELF]))
    pairs: list[tuple[ir.Const, ir.Const]] = []
    for key, child in node.items():
        if isinstance(child, dict):
            pairs.append((key, _tree(child)))
        else:
            pairs.append((None, ir.ConstNumber(str(child))))
    return ir.ConstObject(tuple(pairs))
