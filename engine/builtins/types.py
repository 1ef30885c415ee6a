"""Types of Rego values as the type checker and the capability file use them, and the declaration of a builtin.

Pure data; it must not import the compiler, the VM or any implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """`null`, `boolean`, `number` or `string`."""

    name: Literal["null", "boolean", "number", "string"]


@dataclass(frozen=True, slots=True)
class Any:
    """A union; an empty `of` means any value at all."""

    of: tuple[Type, ...] = ()


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """Fixed leading items, then any number of `rest` (None = no more)."""

    static: tuple[Type, ...] = ()
    rest: Type | None = None


@dataclass(frozen=True, slots=True)
class SetOf:
    of: Type


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """Fixed properties, then any number of `dynamic_key: dynamic_value` (None = no more)."""

    static: tuple[tuple[str, Type], ...] = ()
    dynamic_key: Type | None = None
    dynamic_value: Type | None = None


@dataclass(frozen=True, slots=True)
class FunctionOf:
    args: tuple[Type, ...]
    result: Type | None


Type: TypeAlias = Scalar | Any | ArrayOf | SetOf | ObjectOf | FunctionOf

NULL = Scalar("null")
BOOLEAN = Scalar("boolean")
NUMBER = Scalar("number")
STRING = Scalar("string")
ANY = Any()
ARRAY = ArrayOf(rest=ANY)
SET = SetOf(ANY)
OBJECT = ObjectOf(dynamic_key=ANY, dynamic_value=ANY)


@dataclass(frozen=True, slots=True)
class Builtin:
    """One builtin function.

    `home`: "runtime" = a C function in runtime.wasm, exported as `symbol`; "host" = Python, called through
    `opa_builtinN`; "compiler" = lowered by the planner or codegen (unification, `walk`-like relations stay
    "runtime"). `deterministic` False: clock, random, network, environment. `infix` is its operator or "".
    `relation` True: the result is many (walk). `deprecated` True: refused in Rego v1. `requires` is the
    import name of an optional library without which calls are refused at compile time, "network" for
    what no policy gets, "" for most. `zoned` True: the runtime leaves operands that name a time zone to the host.
    """

    name: str
    args: tuple[Type, ...]
    result: Type
    home: Literal["runtime", "host", "compiler"]
    symbol: str = ""
    deterministic: bool = True
    infix: str = ""
    relation: bool = False
    deprecated: bool = False
    variadic: bool = False
    requires: str = ""
    zoned: bool = False


#: Told the code and message of each error of a builtin, where a compile declares it: nothing but `--show-builtin-errors` does.
ERROR = Builtin("internal.error", (STRING, STRING), BOOLEAN, home="host", deterministic=False)
