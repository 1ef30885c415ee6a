"""Functions of the plan before, for the next plan of nearly the same policy.

A planned function holds as long as the fingerprints of all rules at and below its path do (they cover what these depend
on), and the packages without rules are the same. What it asked for while it was planned is asked again in its stead, so
that the plan has the same functions as one that is made afresh. This file must not emit statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from cupcake.engine.plan import ir
from cupcake.engine.plan.pool import Pool
from cupcake.engine.plan.rule_tree import Path
from cupcake.engine.rego.checked import Checked

# A method of the unit and its arguments.
Question: TypeAlias = tuple[str, tuple[object, ...]]
# The path of functions that are made from no rules.
NOWHERE: Final[Path] = ("\0nowhere",)


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Planned:
    """A function, what it was made from, and what it asked for."""

    made_from: tuple[object, ...]
    func: ir.Func
    asked: tuple[Question, ...]


@dataclass(slots=True)
class PlanCache:
    """Give it to every plan of the same policy in turn. Its pool only grows: a compile whose pool has become much larger
    than its policy should start with a new cache."""

    pool: Pool = field(default_factory=Pool)
    functions: dict[str, Planned] = field(default_factory=dict)
    answers: dict[str, dict[Path, tuple[tuple[object, ...], Any]]] = field(default_factory=dict)


class Answers(Generic[_T]):
    """Answers to one question about rule groups, by their path."""

    __slots__ = ("_before", "_made_from", "_now")

    def __init__(
        self,
        before: dict[Path, tuple[tuple[object, ...], _T]],
        now: dict[Path, tuple[tuple[object, ...], _T]],
        made_from: Callable[[Path], tuple[object, ...] | None],
    ) -> None:
        self._before, self._now, self._made_from = before, now, made_from

    def get(self, path: Path) -> _T | None:
        """The answer, if the one of a plan before still holds or it was given in this plan."""
        found = self._now.get(path)
        if found is None:
            found = self._before.get(path)
            if found is None or found[0] != self._made_from(path):
                return None
            self._now[path] = found
        return found[1]

    def put(self, path: Path, answer: _T) -> None:
        made_from = self._made_from(path)
        if made_from is not None:
            self._now[path] = made_from, answer


def _places(func: ir.Func) -> list[ir.Place]:
    """The places of all statements, which do not count when functions are compared."""
    found: list[ir.Place] = []
    work = list(func.blocks)
    while work:
        for stmt in work.pop().stmts:
            found.append(stmt.place)
            match stmt:
                case ir.BlockStmt():
                    work += stmt.blocks
                case ir.NotStmt() | ir.ScanStmt() | ir.WithStmt():
                    work.append(stmt.block)
                case ir.SwitchStmt():
                    work += [block for _, block in stmt.cases]
                    work.append(stmt.default)
                case _:
                    pass
    return found


class Reuse:
    """The cache's part in one plan."""

    def __init__(self, cache: PlanCache, checked: Checked, packages: Iterable[Path]) -> None:
        self._cache = cache
        self._kept: dict[str, Planned] = {}
        self._asked: list[Question] = []
        self._spoiled = False
        self._answers: dict[str, dict[Path, tuple[tuple[object, ...], Any]]] = {}
        # Without fingerprints nothing is comparable.
        self._enabled = len(checked.fingerprints) == len(checked.rules)
        self._known: dict[Path, tuple[object, ...]] = {}
        self._below: dict[Path, list[int]] = {}
        for path, number in checked.fingerprints.items():
            for size in range(len(path) + 1):
                self._below.setdefault(path[:size], []).append(number)
        self._empty = tuple(sorted({p for p in packages if p not in self._below}, key=repr))

    def find(self, name: str, of: Path) -> Planned | None:
        """The function as it was planned before, if it would be planned the same now."""
        before = self._cache.functions.get(name)
        if before is None or before.made_from != self._made_from(of):
            return None
        self._kept[name] = before
        return before

    def start(self) -> None:
        """A function is planned afresh from here on."""
        self._asked, self._spoiled = [], False

    def note(self, question: Question) -> None:
        """The function that is being planned asked for another one."""
        self._asked.append(question)

    def spoil(self) -> None:
        """The function that is being planned depends on more than the rules."""
        self._spoiled = True

    def keep(self, name: str, of: Path, func: ir.Func) -> ir.Func:
        """Keeps the function whose planning has ended. The answer is the one before if that is equal, so that its code
        is used again."""
        before = self._cache.functions.get(name)
        if before is not None and before.func == func and _places(before.func) == _places(func):
            func = before.func
        made_from = self._made_from(of)
        if made_from is not None and not self._spoiled:
            self._kept[name] = Planned(made_from, func, tuple(self._asked))
        return func

    def close(self) -> None:
        """The plan is complete: what it did not need is forgotten."""
        self._cache.functions = self._kept
        for question, now in self._answers.items():
            before = self._cache.answers.get(question)
            if before:
                # A collection that was not planned again did not ask; what it would have asked still holds.
                now.update({p: a for p, a in before.items() if p in self._below and p not in now})
        self._cache.answers |= self._answers

    def answers(self, question: str) -> Answers[Any]:
        """What is known of a question about groups whose answer depends on nothing but their fingerprints."""
        return Answers(
            self._cache.answers.get(question, {}),
            self._answers.setdefault(question, {}),
            self._made_from,
        )

    def _made_from(self, of: Path) -> tuple[object, ...] | None:
        """All that a function at a path is made from; None where that is not known."""
        found = self._known.get(of)
        if found is None and self._enabled:
            found = self._known[of] = (self._empty, *self._below.get(of, ()))
        return found
