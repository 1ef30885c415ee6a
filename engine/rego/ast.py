"""Syntax tree of Rego: what the parser makes, what the later front-end stages rewrite, what the planner reads.

All nodes are immutable and compare by structure; `loc` never takes part in comparison. The same node
classes serve two forms:

* **parsed form** - as written: imports unresolved, `:=`, `some`, `in` still there, calls nested in terms.
* **checked form** - what `rego.compile` hands to the planner (see `engine/rego/CHECKED.md` for the
  exact promises): refs absolute, locals renamed apart, `Assign`/`SomeDecl` gone, bodies ordered safely.

This file only declares data; it must not parse, resolve or print.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Location:
    """Where a node starts. `row` and `col` count from 1, `col` in characters; `end` is an offset."""

    file: str
    row: int
    col: int
    offset: int = 0
    end: int = 0


NOWHERE = Location("", 0, 0)


def _loc() -> Location:
    return NOWHERE


@dataclass(frozen=True, slots=True)
class Null:
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal, kept as its source text (JSON number grammar); never a float."""

    text: str
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class String:
    value: str
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Var:
    """A variable; a wildcard `_` is parsed to `Var("$0")`, `Var("$1")`... (unique per module, in order)."""

    name: str
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Ref:
    """`head` then path operands: `a.b[i]` is Ref((Var a, String b, Var i)). Never shorter than 2 in
    term position (a lone variable is a Var); an operator or rule name may have length 1.
    The head is usually a Var; it can be any term (`[1,2][i]`, `f(x).y`, `{"a": 1}.a`)."""

    terms: tuple[Term, ...]
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Term, ...]
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Set:
    items: tuple[Term, ...]
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Object:
    pairs: tuple[tuple[Term, Term], ...]
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class ArrayComprehension:
    term: Term
    body: Body
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class SetComprehension:
    term: Term
    body: Body
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class ObjectComprehension:
    key: Term
    value: Term
    body: Body
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function call in any position, infix operators included, under OPA's builtin names:
    `+ - * / %` plus minus mul div rem, `& |` and or, `== != < <= > >=` equal neq lt lte gt gte,
    `x in xs` internal.member_2(x, xs), `k, v in xs` internal.member_3(k, v, xs).
    `operator` is a Ref of Var and Strings: `json.unmarshal` -> Ref((Var json, String unmarshal))."""

    operator: Ref
    args: tuple[Term, ...]
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class TemplateString:
    """`$"a {expr} b"`: String parts and terms in source order; a term that has `with` is an Expr.
    `raw`: written in backquotes."""

    parts: tuple[Term | Expr, ...]
    loc: Location = field(default_factory=_loc, compare=False)
    raw: bool = field(default=False, compare=False)


Scalar: TypeAlias = Null | Boolean | Number | String
SCALARS: Final = frozenset({String, Number, Boolean, Null})
Comprehension: TypeAlias = ArrayComprehension | SetComprehension | ObjectComprehension
Term: TypeAlias = (
    Null | Boolean | Number | String | Var | Ref | Array | Set | Object
    | ArrayComprehension | SetComprehension | ObjectComprehension | Call | TemplateString
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unify:
    """`lhs = rhs` (also what `:=` and `some k, v in xs` become in checked form)."""

    lhs: Term
    rhs: Term


@dataclass(frozen=True, slots=True)
class Assign:
    """`lhs := rhs`; parsed form only."""

    lhs: Term
    rhs: Term


@dataclass(frozen=True, slots=True)
class SomeDecl:
    """`some x, y`; parsed form only."""

    names: tuple[Var, ...]


@dataclass(frozen=True, slots=True)
class SomeIn:
    """`some value in domain` or `some key, value in domain`; parsed form only."""

    key: Term | None
    value: Term
    domain: Term


@dataclass(frozen=True, slots=True)
class Every:
    """`every key, value in domain { body }`; in checked form key/value are renamed locals."""

    key: Var | None
    value: Var
    domain: Term
    body: Body


@dataclass(frozen=True, slots=True)
class Operand:
    """What `not`, `and` and `or` stand beside: a body in braces (`explicit`), which has variables of its
    own, or one statement, which binds none."""

    body: Body
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """`not` as `import rego.v2` or `future.keywords.not` has it; parsed form only. (The older one is
    `Expr.negated`.) It holds when no solution makes all of the operand hold."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Logical:
    """`lhs and rhs`, `lhs or rhs`; parsed form only."""

    operator: Literal["and", "or"]
    lhs: Operand
    rhs: Operand


@dataclass(frozen=True, slots=True)
class Block:
    """Checked form only: holds, once, when `body` has a solution. It binds nothing outside; the variables in
    `needs` must be bound when it is reached (what is written without braces has no variables of its own)."""

    body: Body
    needs: tuple[Var, ...] = ()


@dataclass(frozen=True, slots=True)
class With:
    """`with target as value`; target is a Ref (or Var `input`/`data`), or a builtin/function Ref."""

    target: Term
    value: Term
    loc: Location = field(default_factory=_loc, compare=False)


ExprKind: TypeAlias = Unify | Assign | SomeDecl | SomeIn | Every | Not | Logical | Block | Term


@dataclass(frozen=True, slots=True)
class Expr:
    """One statement of a body. A bare Term succeeds when it is defined and not false."""

    kind: ExprKind
    negated: bool = False
    withs: tuple[With, ...] = ()
    loc: Location = field(default_factory=_loc, compare=False)
    generated: bool = field(default=False, compare=False)


Body: TypeAlias = tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a rule.

    `ref`: the full name as written, `p`, `p.q[x]`: Ref((Var p, ...)); in checked form absolute: starts
    with Var data and holds the package path. `args` is None for a rule that is no function.
    `key` is set for a multi-value rule (`p contains key`); then `value` is None.
    `p[x] := v` (partial object) is a single-value rule whose ref ends in a Var or other term.
    `value` None on a single-value rule means `true`.
    """

    ref: Ref
    args: tuple[Term, ...] | None = None
    key: Term | None = None
    value: Term | None = None
    assign: bool = False
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule definition. `body` is () when none was written. `else_` is a Rule whose head repeats ref
    and args, with its own value and body. A second `{...}` block after a rule is a Rule of its own."""

    head: Head
    body: Body = ()
    else_: Rule | None = None
    default: bool = False
    annotations: tuple[Annotations, ...] = ()
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Import:
    path: Ref
    alias: str | None = None
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Annotations:
    """A `# METADATA` block: `values` is the parsed YAML mapping as plain JSON-like Python."""

    scope: str
    values: dict[str, object] = field(compare=False, hash=False)
    loc: Location = field(default_factory=_loc, compare=False)


@dataclass(frozen=True, slots=True)
class Module:
    """`package` is absolute: Ref((Var data, String a, String b))."""

    file: str
    package: Ref
    imports: tuple[Import, ...] = ()
    rules: tuple[Rule, ...] = ()
    annotations: tuple[Annotations, ...] = ()
    rego_version: str = "v1"
    loc: Location = field(default_factory=_loc, compare=False)
