"""IR statements -> instructions, one function at a time.

Every IR block is a wasm block whose label is where "undefined" goes. It must not decide anything about the module:
names are resolved by the linker, constants and ids come from `Unit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cupcake.engine.builtins.types import NUMBER
from cupcake.engine.plan import ir
from cupcake.engine.runtime import abi
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembler
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.known import A_NUMBER, UNKNOWN, Row, keys_of, values_of
from cupcake.engine.wasm.unit import MAX_HOST_ARGS, Unit, policy_symbol

# Blocks in blocks: each level costs Python frames here and in the planner, and stack in the engine's compiler.
MAX_NESTING = 220
_MOST_RESERVED = 65_536
# Helpers that every module has (`codegen.py`).
ASSIGN_ONCE = "assign_once"
INSERT_ONCE = "insert_once"
_NO_RESULT_SET = "ResultSetAddStmt outside of a plan"


@dataclass(slots=True)
class _With:
    """An open WithStmt: branches that leave it must restore what it replaced, so they stop at `label` first with a
    number in `state` (0 undefined, 1 done, 2.. = `exits`)."""

    label: int
    state: int
    exits: dict[int, int] = field(default_factory=dict)


class FunctionWriter:
    """Compiles one planned function or plan."""

    def __init__(self, unit: Unit, name: str, params: tuple[int, ...], conflict: str) -> None:
        self.unit = unit
        self.asm = Assembler(name, len(params))
        self.locals = {local: i for i, local in enumerate(params)}
        self.conflict = conflict
        self.callees: dict[str, object] = {}
        self.labels: list[int] = []
        self.open_blocks = [0]
        self.last_block = 0
        self.withs: list[_With] = []
        self.known: dict[int, object] = dict.fromkeys(params, UNKNOWN)
        self.result = self.asm.fixed_local()
        self.exit = 0
        self.is_plan = False
        self.read: frozenset[int] = frozenset()

    # -- operands -------------------------------------------------------------------------------------------

    def local(self, number: int) -> int:
        found = self.locals.get(number)
        if found is None:
            found = self.locals[number] = self.asm.fixed_local()
        return found

    def push(self, operand: ir.Operand) -> None:
        match operand:
            case ir.LocalOperand(local):
                self.asm.get(self.local(local))
            case ir.StringOperand(index):
                self.asm.const(self.unit.string(index))
            case ir.BoolOperand(value):
                self.asm.const(self.unit.value(value))

    def store(self, target: int, known: object = UNKNOWN) -> None:
        """Pop into an IR local; `known` is its constant when there is one."""
        self.known[target] = known if target not in self.known else UNKNOWN
        self.asm.set(self.local(target))

    def mark(self, place: ir.Place) -> None:
        """What follows may fail, and is at this place of the source."""
        self.asm.at((place.file, place.row, place.col))

    def constant(self, operand: ir.Operand) -> object:
        match operand:
            case ir.LocalOperand(local):
                return self.known.get(local, UNKNOWN)
            case ir.StringOperand(index):
                return self.unit.policy.static.strings[index]
            case ir.BoolOperand(value):
                return value

    def call(self, name: str) -> None:
        """A runtime function of ABI.md, whatever it returns stays on the stack."""
        self.asm.call(name)

    def do(self, name: str) -> None:
        """A runtime function called for its effect."""
        self.asm.call(name)
        if self.unit.signature(name).results:
            self.asm.emit(op.DROP)

    # -- control --------------------------------------------------------------------------------------------

    def leave(self, label: int) -> None:
        """Branch to the end of the block `label`, by way of every WithStmt in between."""
        if not self.withs or self.withs[-1].label <= label:
            self.asm.br(label)
            return
        inner = self.withs[-1]
        self.asm.const(inner.exits.setdefault(label, len(inner.exits) + 2))
        self.asm.set(inner.state)
        self.asm.br(inner.label)

    @contextmanager
    def block(self) -> Iterator[int]:
        """An IR block: a wasm block that BreakStmt counts."""
        if len(self.labels) >= MAX_NESTING:
            raise CodegenError(
                f"{self.asm.name} nests more than {MAX_NESTING} blocks: split the rule into smaller ones"
            )
        label = self.asm.block()
        self.labels.append(label)
        self.last_block += 1
        self.open_blocks.append(self.last_block)
        yield label
        self.open_blocks.pop()
        self.labels.pop()
        self.asm.end()

    def run(self, block: ir.Block, fail: int) -> None:
        for stmt in block.stmts:
            handler = _HANDLERS.get(type(stmt))
            if handler is None:
                raise CodegenError(f"{self.asm.name}: unknown statement {type(stmt).__name__}")
            handler(self, stmt, fail)

    def blocks(self, blocks: tuple[ir.Block, ...]) -> None:
        for block in blocks:
            with self.block() as label:
                self.run(block, label)

    def unless(self, fail: int) -> None:
        """Pop; 0 means undefined."""
        self.asm.emit(op.I32_EQZ)
        self.asm.br_if(fail)

    # -- statements -----------------------------------------------------------------------------------------

    def count(self, s: ir.CountStmt, fail: int) -> None:
        self.asm.const(f"counter {s.counter}")
        self.asm.const(f"counter {s.counter}")
        self.asm.load()
        self.asm.const(1)
        self.asm.emit(op.I32_ADD)
        self.asm.store()

    def array_append(self, s: ir.ArrayAppendStmt, fail: int) -> None:
        self.asm.get(self.local(s.array))
        self.push(s.value)
        self.do("rt_array_push")
        row = self.known.get(s.array)
        if isinstance(row, Row):
            row.append(self.constant(s.value), self.open_blocks[-1])

    def number_int(self, s: ir.AssignIntStmt | ir.MakeNumberIntStmt, fail: int) -> None:
        self.asm.const(self.unit.number(s.value))
        self.store(s.target, A_NUMBER)

    def number_ref(self, s: ir.MakeNumberRefStmt, fail: int) -> None:
        self.asm.const(self.unit.value(ir.ConstNumber(self.unit.policy.static.strings[s.index])))
        self.store(s.target, A_NUMBER)

    def assign_once(self, s: ir.AssignVarOnceStmt, fail: int) -> None:
        self.mark(s.place)
        # A function of its own: conflicts are checked in most rules, and code size is compile time.
        self.asm.get(self.local(s.target))
        self.push(s.source)
        self.asm.const(self.unit.value(self.conflict))
        self.call(ASSIGN_ONCE)
        self.store(s.target)

    def assign(self, s: ir.AssignVarStmt, fail: int) -> None:
        self.push(s.source)
        self.store(s.target, self.constant(s.source))

    def block_stmt(self, s: ir.BlockStmt, fail: int) -> None:
        self.blocks(s.blocks)

    def break_stmt(self, s: ir.BreakStmt, fail: int) -> None:
        if s.index >= len(self.labels):
            raise CodegenError(f"{self.asm.name}: BreakStmt {s.index} of {len(self.labels)} blocks")
        self.leave(self.labels[-1 - s.index])

    def call_stmt(self, s: ir.CallStmt, fail: int) -> None:
        self.mark(s.place)
        planned = self.unit.funcs.get(s.func)
        value = self.callees[s.func] = self.unit.constants.get(s.func, UNKNOWN)
        if value is not UNKNOWN:
            self.asm.const(self.unit.value(value))
            self.store(s.result, value)
            return
        if planned is not None:
            if len(s.args) != len(planned.params):
                raise CodegenError(
                    f"{self.asm.name} calls {s.func} with {len(s.args)} arguments, it takes {len(planned.params)}"
                )
            for arg in s.args:
                self.push(arg)
            self.call(policy_symbol(s.func))
        else:
            value = self.builtin_call(s)
        self.asm.tee(self.local(s.result))
        self.known[s.result] = value if s.result not in self.known else UNKNOWN
        self.unless(fail)

    def builtin_call(self, s: ir.CallStmt) -> object:
        """Leaves the result on the stack; returns what is known of it."""
        builtin = self.unit.builtin(s.func)
        known = A_NUMBER if builtin.result == NUMBER else UNKNOWN
        if builtin.home == "host":
            if len(s.args) > MAX_HOST_ARGS:
                raise CodegenError(
                    f"{s.func}: a host builtin takes at most {MAX_HOST_ARGS} arguments"
                )
            self.asm.const(self.unit.host_id(s.func))
            self.asm.const(0)
            for arg in s.args:
                self.push(arg)
            self.call(f"opa_builtin{len(s.args)}")
            return known
        symbol = builtin.symbol
        takes = len(self.unit.signature(symbol).params)
        if takes != len(s.args):
            raise CodegenError(
                f"{s.func} is called with {len(s.args)} arguments, the runtime's takes {takes}"
            )
        self.asm.needs += self.unit.needs(builtin, [self.constant(a) for a in s.args])
        for arg in s.args:
            self.push(arg)
        self.call(symbol)
        return known

    def call_dynamic(self, s: ir.CallDynamicStmt, fail: int) -> None:
        asm, unit = self.asm, self.unit
        self.mark(s.place)
        found = asm.new_local()
        asm.const(unit.dispatch_table())
        for part in s.path:
            self.push(part)
            self.call("rt_get")
        asm.tee(found)
        self.unless(fail)
        asm.get(found)
        self.call("rt_type")
        asm.const(abi.OBJECT)
        asm.emit(op.I32_EQ)
        asm.if_()
        asm.get(found)
        asm.const(unit.value(None))
        self.call("rt_get")
        asm.tee(found)
        asm.emit(op.I32_EQZ)
        asm.br_if(fail)
        asm.end()
        for local in s.args:
            asm.get(self.local(local))
        asm.get(found)
        asm.load(abi.OFF_INT)
        asm.call_indirect(len(s.args))
        asm.tee(self.local(s.result))
        self.known[s.result] = UNKNOWN
        self.unless(fail)
        asm.give_back(found)

    def dot(self, s: ir.DotStmt, fail: int) -> None:
        self.push(s.source)
        self.push(s.key)
        self.call("rt_get")
        self.asm.tee(self.local(s.target))
        fresh = s.target not in self.known
        self.known[s.target] = values_of(self.constant(s.source)) if fresh else UNKNOWN
        self.unless(fail)

    def equal(self, s: ir.EqualStmt, fail: int) -> None:
        self.push(s.a)
        self.push(s.b)
        self.call("rt_equal")
        self.unless(fail)

    def not_equal(self, s: ir.NotEqualStmt, fail: int) -> None:
        if s.b == ir.BoolOperand(False):
            # How OPA's planner asks whether an expression holds: far the most frequent comparison.
            self.push(s.a)
            self.call("rt_is_true")
            self.unless(fail)
            return
        self.push(s.a)
        self.push(s.b)
        self.call("rt_equal")
        self.asm.br_if(fail)

    def is_type(self, s: ir.IsArrayStmt | ir.IsObjectStmt | ir.IsSetStmt, fail: int) -> None:
        tags = {ir.IsArrayStmt: abi.ARRAY, ir.IsObjectStmt: abi.OBJECT, ir.IsSetStmt: abi.SET}
        self.push(s.source)
        self.call("rt_type")
        self.asm.const(tags[type(s)])
        self.asm.emit(op.I32_NE)
        self.asm.br_if(fail)

    def is_defined(self, s: ir.IsDefinedStmt, fail: int) -> None:
        self.asm.get(self.local(s.source))
        self.unless(fail)

    def is_undefined(self, s: ir.IsUndefinedStmt, fail: int) -> None:
        self.asm.get(self.local(s.source))
        self.asm.br_if(fail)

    def len_stmt(self, s: ir.LenStmt, fail: int) -> None:
        count = self.asm.new_local()
        self.push(s.source)
        self.call("rt_len")
        self.asm.tee(count)
        self.asm.const(0)
        self.asm.emit(op.I32_LT_S)
        self.asm.br_if(fail)
        self.asm.get(count)
        self.asm.emit(op.I64_EXTEND_I32_S)
        self.call("rt_int")
        self.store(s.target)
        self.asm.give_back(count)

    def make(self, s: ir.MakeArrayStmt | ir.MakeObjectStmt | ir.MakeSetStmt, fail: int) -> None:
        # A hint: what a plan of somebody else says is not believed beyond reason.
        self.asm.const(min(s.capacity, _MOST_RESERVED) if isinstance(s, ir.MakeArrayStmt) else 0)
        match s:
            case ir.MakeArrayStmt():
                self.call("rt_array")
            case ir.MakeObjectStmt():
                self.call("rt_object")
            case ir.MakeSetStmt():
                self.call("rt_set")
        is_array = isinstance(s, ir.MakeArrayStmt)
        self.store(s.target, Row(self.open_blocks[-1]) if is_array else UNKNOWN)

    def make_null(self, s: ir.MakeNullStmt, fail: int) -> None:
        self.asm.const(self.unit.value(None))
        self.store(s.target, None)

    def nop(self, s: ir.NopStmt, fail: int) -> None:
        pass

    def not_stmt(self, s: ir.NotStmt, fail: int) -> None:
        with self.block() as label:
            self.run(s.block, label)
            self.leave(fail)

    def object_insert_once(self, s: ir.ObjectInsertOnceStmt, fail: int) -> None:
        self.mark(s.place)
        self.asm.get(self.local(s.object))
        self.push(s.key)
        self.push(s.value)
        self.asm.const(self.unit.value("object keys must be unique"))
        self.call(INSERT_ONCE)

    def object_insert(self, s: ir.ObjectInsertStmt, fail: int) -> None:
        self.asm.get(self.local(s.object))
        self.push(s.key)
        self.push(s.value)
        self.do("rt_object_put")

    def object_merge(self, s: ir.ObjectMergeStmt, fail: int) -> None:
        self.asm.get(self.local(s.a))
        self.asm.get(self.local(s.b))
        self.call("rt_object_merge")
        self.store(s.target)

    def reset(self, s: ir.ResetLocalStmt, fail: int) -> None:
        self.asm.const(0)
        self.store(s.target)

    def result_set_add(self, s: ir.ResultSetAddStmt, fail: int) -> None:
        if not self.is_plan:
            raise CodegenError(f"{self.asm.name}: {_NO_RESULT_SET}")
        self.asm.get(self.result)
        self.asm.get(self.local(s.value))
        self.do("rt_set_put")

    def return_local(self, s: ir.ReturnLocalStmt, fail: int) -> None:
        self.asm.get(self.local(s.source))
        self.asm.set(self.result)
        self.leave(self.exit)

    def scan(self, s: ir.ScanStmt, fail: int) -> None:
        asm = self.asm
        self.mark(s.place)
        source, count, i = asm.new_local(), asm.new_local(), asm.new_local()
        asm.get(self.local(s.source))
        asm.tee(source)
        self.call("rt_len")
        asm.tee(count)
        asm.const(1)
        asm.emit(op.I32_LT_S)
        asm.br_if(fail)
        asm.const(0)
        asm.set(i)
        again = asm.loop()
        scanned = self.known.get(s.source, UNKNOWN)
        for function, target, known in (
            ("rt_iter_key", s.key, keys_of(scanned)),
            ("rt_iter_value", s.value, values_of(scanned)),
        ):
            if target not in self.read:
                # An array's key is a number that would have to be made.
                continue
            asm.get(source)
            asm.get(i)
            self.call(function)
            self.store(target, known)
        with self.block() as label:
            self.run(s.block, label)
        asm.get(i)
        asm.const(1)
        asm.emit(op.I32_ADD)
        asm.tee(i)
        asm.get(count)
        asm.emit(op.I32_LT_S)
        asm.br_if(again)
        asm.end()
        for local in (i, count, source):
            asm.give_back(local)

    def set_add(self, s: ir.SetAddStmt, fail: int) -> None:
        self.asm.get(self.local(s.set))
        self.push(s.value)
        self.do("rt_set_put")

    def with_stmt(self, s: ir.WithStmt, fail: int) -> None:
        asm, unit = self.asm, self.unit
        # What memoized functions saw is stale inside when input or data differ.
        fresh_memo = bool(unit.memo_slots)
        replaced = self.local(s.local)
        saved, state, frame = asm.new_local(), asm.new_local(), asm.new_local()
        asm.get(replaced)
        asm.set(saved)
        if s.path:
            asm.get(replaced)
            path = ir.ConstArray(tuple(unit.policy.static.strings[i] for i in s.path))
            asm.const(unit.value(path))
            self.push(s.value)
            self.call("rt_with")
        else:
            self.push(s.value)
        self.store(s.local)
        if fresh_memo:
            asm.get_global(unit.memo_global)
            asm.set(frame)
            asm.call("memo_push")
        asm.const(0)
        asm.set(state)
        with self.block() as label:
            self.withs.append(inner := _With(label, state))
            self.run(s.block, label)
            asm.const(1)
            asm.set(state)
            self.withs.pop()
        asm.get(saved)
        asm.set(replaced)
        if fresh_memo:
            asm.get(frame)
            asm.call("memo_pop")
        for label, number in inner.exits.items():
            asm.get(state)
            asm.const(number)
            asm.emit(op.I32_EQ)
            asm.if_()
            self.leave(label)
            asm.end()
        asm.get(state)
        self.unless(fail)
        for local in (frame, state, saved):
            asm.give_back(local)

    def load_const(self, s: ir.LoadConstStmt, fail: int) -> None:
        self.asm.const(self.unit.const(s.index))
        self.store(s.target, self.unit.policy.static.consts[s.index])

    def switch(self, s: ir.SwitchStmt, fail: int) -> None:
        asm, unit = self.asm, self.unit
        numbers = ir.ConstObject(
            tuple(
                (unit.policy.static.strings[i], ir.ConstNumber(str(number)))
                for number, (strings, _) in enumerate(s.cases)
                for i in strings
            )
        )
        if not numbers.pairs:
            with self.block() as label:
                self.run(s.default, label)
            return
        found = asm.new_local()
        after = asm.block()
        default = asm.block()
        cases = [asm.block() for _ in s.cases]
        asm.get(self.local(s.source))
        asm.emit(op.I32_EQZ)
        asm.br_if(default)
        asm.const(unit.value(numbers))
        asm.get(self.local(s.source))
        self.call("rt_get")
        asm.tee(found)
        asm.emit(op.I32_EQZ)
        asm.br_if(default)
        asm.get(found)
        asm.load(abi.OFF_INT)
        asm.br_table(cases, default)
        asm.give_back(found)
        # The innermost block ends first: the cases follow in reverse order of their labels.
        for number in reversed(range(len(cases))):
            asm.end()
            with self.block() as label:
                self.run(s.cases[number][1], label)
            asm.br(after)
        asm.end()
        with self.block() as label:
            self.run(s.default, label)
        asm.end()


_HANDLERS: Mapping[type, Callable[[FunctionWriter, Any, int], None]] = MappingProxyType(
    {
        ir.ArrayAppendStmt: FunctionWriter.array_append,
        ir.AssignIntStmt: FunctionWriter.number_int,
        ir.AssignVarOnceStmt: FunctionWriter.assign_once,
        ir.AssignVarStmt: FunctionWriter.assign,
        ir.BlockStmt: FunctionWriter.block_stmt,
        ir.BreakStmt: FunctionWriter.break_stmt,
        ir.CallStmt: FunctionWriter.call_stmt,
        ir.CallDynamicStmt: FunctionWriter.call_dynamic,
        ir.DotStmt: FunctionWriter.dot,
        ir.EqualStmt: FunctionWriter.equal,
        ir.NotEqualStmt: FunctionWriter.not_equal,
        ir.IsArrayStmt: FunctionWriter.is_type,
        ir.IsObjectStmt: FunctionWriter.is_type,
        ir.IsSetStmt: FunctionWriter.is_type,
        ir.IsDefinedStmt: FunctionWriter.is_defined,
        ir.IsUndefinedStmt: FunctionWriter.is_undefined,
        ir.LenStmt: FunctionWriter.len_stmt,
        ir.MakeArrayStmt: FunctionWriter.make,
        ir.MakeNullStmt: FunctionWriter.make_null,
        ir.MakeNumberIntStmt: FunctionWriter.number_int,
        ir.MakeNumberRefStmt: FunctionWriter.number_ref,
        ir.MakeObjectStmt: FunctionWriter.make,
        ir.MakeSetStmt: FunctionWriter.make,
        ir.NopStmt: FunctionWriter.nop,
        ir.NotStmt: FunctionWriter.not_stmt,
        ir.ObjectInsertOnceStmt: FunctionWriter.object_insert_once,
        ir.ObjectInsertStmt: FunctionWriter.object_insert,
        ir.ObjectMergeStmt: FunctionWriter.object_merge,
        ir.ResetLocalStmt: FunctionWriter.reset,
        ir.ResultSetAddStmt: FunctionWriter.result_set_add,
        ir.ReturnLocalStmt: FunctionWriter.return_local,
        ir.ScanStmt: FunctionWriter.scan,
        ir.SetAddStmt: FunctionWriter.set_add,
        ir.WithStmt: FunctionWriter.with_stmt,
        ir.LoadConstStmt: FunctionWriter.load_const,
        ir.SwitchStmt: FunctionWriter.switch,
        ir.CountStmt: FunctionWriter.count,
    }
)
