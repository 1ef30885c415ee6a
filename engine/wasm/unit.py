"""What all functions of one module share while code is generated, by name: `placement.py` gives the numbers.

It must not emit instructions; `statements.py` and `codegen.py` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.types import ERROR, Builtin
from cupcake.engine.plan import ir
from cupcake.engine.regex.errors import RegexError
from cupcake.engine.runtime.layout import ConstantImages
from cupcake.engine.wasm.asm import Assembled, Hole, Need
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.image import RuntimeImage
from cupcake.engine.wasm.known import UNKNOWN, constant_of, may_name_zone, strings_of
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


@dataclass(frozen=True, slots=True)
class Made:
    """Code, and what it was made from: the planned function, whether anything is memoized, and what was known
    of the functions that it calls."""

    func: ir.Func
    memo: bool
    callees: Mapping[str, object]
    code: Assembled


@dataclass(slots=True)
class CodeCache:
    """Functions compiled before, and what their holes mean; serves any number of policies of one pool and runtime.

    `functions`: by name. `programs`: compiled patterns, None for those
    that are not valid. `constants`: hole of a constant."""

    functions: dict[str, Made] = field(default_factory=dict)
    programs: dict[Need, bytes | None] = field(default_factory=dict)
    constants: dict[ir.Const, Hole] = field(default_factory=dict)
    values: list[ir.Const] = field(default_factory=list)
    images: ConstantImages = field(default_factory=ConstantImages)


class Unit:
    """What the functions of one module share while they are written. Whatever depends on more than the function itself and what
    `Made` holds must be a hole: code is used again when only the rest of the module has changed."""

    def __init__(
        self,
        policy: ir.Policy,
        image: RuntimeImage,
        *,
        compile_pattern: PatternCompiler,
        compile_glob: GlobCompiler,
        extra_builtins: Iterable[Builtin] = (),
        cache: CodeCache | None = None,
    ) -> None:
        self.policy, self.image = policy, image
        self.cache = CodeCache() if cache is None else cache
        self._builtins = {b.name: b for b in extra_builtins}
        self._compile_pattern, self._compile_glob = compile_pattern, compile_glob
        self._consts: dict[int, Hole] = {}
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

    def value(self, const: Any) -> Hole:
        """The address of a constant value (`ir.Const`)."""
        constants = self.cache.constants
        found = constants.get(const)
        if found is None:
            found = constants[const] = f"const {len(constants)}"
            self.cache.values.append(const)
        return found

    def string(self, index: int) -> Hole:
        """The address of a string of `Static.strings`."""
        return self.value(self.policy.static.strings[index])

    def const(self, index: int) -> Hole:
        """The address of a constant of `Static.consts`."""
        found = self._consts.get(index)
        if found is None:
            found = self._consts[index] = self.value(self.policy.static.consts[index])
        return found

    def number(self, value: int) -> Hole:
        return self.value(ir.ConstNumber(str(value)))

    def signature(self, name: str) -> FuncType:
        found = self._signatures.get(name)
        if found is None:
            found = self._signatures[name] = self.image.signature(name)
        return found

    def host_id(self, name: str) -> Hole:
        return "host " + name

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

    def dispatch_table(self) -> Hole:
        """The address of the tree of objects that leads from a rule's path to its number in the function table."""
        return "dispatch"

    def forget_others(self) -> None:
        """Drop from the cache the functions that are not of this policy."""
        functions = self.cache.functions
        if len(functions) > len(self.funcs):
            for name in [name for name in functions if name not in self.funcs]:
                del functions[name]

    def needs(self, builtin: Builtin, args: Iterable[object]) -> list[Need]:
        """What a call to a builtin of the runtime needs. `args` holds what is known of each (`known.py`)."""
        known = list(args)
        if builtin.zoned:
            found = [Need("host", builtin.name)] if any(map(may_name_zone, known)) else []
        else:
            found = self._pattern_needs(builtin.name, known)
        return [*found, Need("host", ERROR.name)] if ERROR.name in self._builtins else found

    # -- patterns known at compile time ---------------------------------------------------------------------

    def _pattern_needs(self, builtin: str, known: list[object]) -> list[Need]:
        if builtin == "glob.match":
            return self._glob_needs(known)
        if builtin == "regex.template_match":  # its pattern is put together in the call
            return [_COMPILER]
        position = _PATTERN_ARGUMENT.get(builtin)
        if position is None or position >= len(known):
            return []
        patterns = strings_of(known[position])
        if patterns is None:
            return [_COMPILER]
        return self._valid([Need("regex", pattern) for pattern in patterns])

    def _glob_needs(self, known: list[object]) -> list[Need]:
        patterns, delimiters = strings_of(known[0]), known[1]
        chosen: tuple[str, ...] | None
        if isinstance(delimiters, ir.ConstArray) and all(
            isinstance(d, str) for d in delimiters.items
        ):
            chosen = tuple(d for d in delimiters.items if isinstance(d, str))
        elif delimiters is None:
            chosen = None
        else:
            return [_COMPILER]
        if patterns is None:
            return [_COMPILER]
        return self._valid([Need("glob", pattern, chosen) for pattern in patterns])

    def _valid(self, needs: list[Need]) -> list[Need]:
        # Not a valid pattern: the builtin's own error belongs to the evaluation, by way of the host.
        return [_COMPILER if self.program(need) is None else need for need in needs]

    def program(self, need: Need) -> bytes | None:
        """The compiled pattern; None when it is not valid."""
        programs = self.cache.programs
        if need not in programs:
            try:
                programs[need] = (
                    self._compile_pattern(need.text)
                    if need.kind == "regex"
                    else self._compile_glob(need.text, need.delimiters)
                )
            except RegexError:
                programs[need] = None
        return programs[need]


_COMPILER = Need("host", REGEX_COMPILE)
POLICY_PREFIX = "policy:"
PLAN_PREFIX = "plan:"


def policy_symbol(name: str) -> str:
    """The linker's name of a planned function; runtime functions go by their own."""
    return POLICY_PREFIX + name


def plan_symbol(index: int) -> str:
    return f"{PLAN_PREFIX}{index}"
