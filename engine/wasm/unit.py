"""What all functions of one module share while code is generated: constants, builtin ids, memo slots, tables.

It must not emit instructions; `statements.py` and `codegen.py` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.types import Builtin
from cupcake.engine.errors import EngineError
from cupcake.engine.plan import ir
from cupcake.engine.regex.errors import RegexError
from cupcake.engine.runtime.layout import ConstantPool
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.image import RuntimeImage
from cupcake.engine.wasm.known import UNKNOWN, constant_of, strings_of
from cupcake.engine.wasm.module import FuncType

REGEX_COMPILE = "internal.regex_compile"
MAX_HOST_ARGS = 4

# Which argument of a runtime builtin is a regular expression.
_PATTERN_ARGUMENT = {
    "regex.match": 0,
    "re_match": 0,
    "regex.is_valid": 0,
    "regex.find_n": 0,
    "regex.find_all_string_submatch_n": 0,
    "regex.split": 0,
    "regex.replace": 1,
}

PatternCompiler = Callable[[str], bytes]
GlobCompiler = Callable[[str, tuple[str, ...] | None], bytes]


class Unit:
    """The module under construction. Addresses are final: the runtime's data is fixed and ours follows it."""

    def __init__(
        self,
        policy: ir.Policy,
        image: RuntimeImage,
        compile_pattern: PatternCompiler,
        compile_glob: GlobCompiler,
        extra_builtins: Iterable[Builtin] = (),
    ) -> None:
        self.policy, self.image = policy, image
        self.pool = ConstantPool()
        self._builtins = {b.name: b for b in extra_builtins}
        self.base = (image.heap_base + 15) & ~15
        self.counters = self.bytes_at(bytes(4 * policy.counters)) if policy.counters else 0
        self.host_ids: dict[str, int] = {}
        self.regexes: dict[str, tuple[int, int]] = {}
        self.globs: dict[tuple[str, tuple[str, ...] | None], tuple[int, int]] = {}
        self._compile_pattern, self._compile_glob = compile_pattern, compile_glob
        self._strings: dict[int, int] = {}
        self._consts: dict[int, int] = {}
        self._signatures: dict[str, FuncType] = {}
        self.funcs = {f.name: f for f in policy.funcs}
        if len(self.funcs) != len(policy.funcs):
            raise CodegenError("two planned functions have the same name")
        self.constants = {
            name: value
            for name, func in self.funcs.items()
            if (value := constant_of(func, policy.static)) is not UNKNOWN
        }
        memoized = [f.name for f in policy.funcs if len(f.params) == 2]
        self.memo_slots = {name: i for i, name in enumerate(memoized)}
        self.memo_global, self.free_global, self.used_global = range(3)
        self.table_base = max((t.limits.minimum for t in image.module.tables), default=1)
        self.table: list[str] = []
        self._dispatch: int | None = None

    def value(self, const: ir.Const) -> int:
        """Address of a constant value."""
        return self.base + int(self.pool.add(const))

    def document(self) -> int:
        """Address of the base document. To be asked for before any other constant."""
        data = self.policy.data
        if not isinstance(data, ir.ConstDocument):
            return self.value(data)
        try:
            block, address = data.lay_out(data.text, self.base)
        except EngineError as e:
            raise CodegenError(f"the base document cannot be laid out: {e}") from e
        self.pool.place_block(block)
        return address

    def string(self, index: int) -> int:
        """Address of a string of `Static.strings`."""
        found = self._strings.get(index)
        if found is None:
            found = self._strings[index] = self.value(self.policy.static.strings[index])
        return found

    def const(self, index: int) -> int:
        """Address of a constant of `Static.consts`."""
        found = self._consts.get(index)
        if found is None:
            found = self._consts[index] = self.value(self.policy.static.consts[index])
        return found

    def bytes_at(self, data: bytes, align: int = 8) -> int:
        """Address of raw bytes."""
        return self.base + int(self.pool.add_bytes(data, align))

    def number(self, value: int) -> int:
        return self.value(ir.ConstNumber(str(value)))

    def signature(self, name: str) -> FuncType:
        found = self._signatures.get(name)
        if found is None:
            found = self._signatures[name] = self.image.signature(name)
        return found

    def host_id(self, name: str) -> int:
        return self.host_ids.setdefault(name, len(self.host_ids))

    def builtin(self, name: str) -> Builtin:
        found = self._builtins.get(name)
        if found is None:
            found = REGISTRY.get(name)
            if found is None:
                raise CodegenError(
                    f"the plan calls {name}, which is neither a planned function nor a builtin"
                )
            self._builtins[name] = found
        return found

    def dispatch_table(self) -> int:
        """Address of the tree of objects that leads from a rule's path to its number in the function table."""
        if self._dispatch is None:
            root: dict[str, object] = {}
            for func in self.policy.funcs:
                if func.path:
                    node = root
                    for part in func.path:
                        node = node.setdefault(part, {})  # type: ignore[assignment]
                    node[_SELF] = self.table_base + len(self.table)
                    self.table.append(policy_symbol(func.name))
            self._dispatch = self.value(_tree(root))
        return self._dispatch

    # -- patterns known at compile time ---------------------------------------------------------------------

    def note_pattern(self, builtin: str, args: Iterable[object]) -> None:
        """Prepare the pattern of a call to a matching builtin. `args` holds what is known of each (`known.py`)."""
        known = list(args)
        if builtin == "glob.match":
            self._note_globs(known)
            return
        if builtin == "regex.template_match":  # its pattern is put together in the call
            self.host_id(REGEX_COMPILE)
            return
        position = _PATTERN_ARGUMENT.get(builtin)
        if position is None or position >= len(known):
            return
        patterns = strings_of(known[position])
        if patterns is None:
            self.host_id(REGEX_COMPILE)
            return
        for pattern in patterns:
            if pattern not in self.regexes:
                try:
                    program = self._compile_pattern(pattern)
                except RegexError:
                    # Not a valid pattern: the builtin's own error belongs to the evaluation, by way of the host.
                    self.host_id(REGEX_COMPILE)
                    continue
                self.regexes[pattern] = (self.value(pattern), self.bytes_at(program))

    def _note_globs(self, known: list[object]) -> None:
        patterns, delimiters = strings_of(known[0]), known[1]
        chosen: tuple[str, ...] | None
        if isinstance(delimiters, ir.ConstArray) and all(
            isinstance(d, str) for d in delimiters.items
        ):
            chosen = tuple(d for d in delimiters.items if isinstance(d, str))
        elif delimiters is None:
            chosen = None
        else:
            self.host_id(REGEX_COMPILE)
            return
        if patterns is None:
            self.host_id(REGEX_COMPILE)
            return
        for pattern in patterns:
            if (pattern, chosen) not in self.globs:
                try:
                    program = self._compile_glob(pattern, chosen)
                except RegexError:
                    self.host_id(REGEX_COMPILE)
                    continue
                key = self.value(ir.ConstArray((pattern, None if chosen is None else delimiters)))
                self.globs[pattern, chosen] = (key, self.bytes_at(program))


_SELF = "\0self"
POLICY_PREFIX = "policy:"
PLAN_PREFIX = "plan:"


def policy_symbol(name: str) -> str:
    """The linker's name of a planned function; runtime functions go by their own."""
    return POLICY_PREFIX + name


def plan_symbol(index: int) -> str:
    return f"{PLAN_PREFIX}{index}"


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
