"""Asks what the explanations of failures want to know: the queries of many are compiled as one module, which is evaluated one by one.

Compiling takes far longer than evaluating, and takes nearly as long for one query as for a hundred.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cupcake.engine.compiler import Caches
from cupcake.engine.errors import EngineError
from cupcake.engine.plan import ir
from cupcake.engine.plan.planner import plan
from cupcake.engine.prints import PRINT, printer
from cupcake.engine.rego.checked import Checked, CheckedQuery
from cupcake.engine.testing.explain import Answers, Explaining, Failure
from cupcake.engine.vm import Limits, load
from cupcake.engine.wasm.assemble import assemble

# Of one module: each costs a level of nesting in the function that chooses among them.
_MOST_QUERIES = 1000


@dataclass(frozen=True, slots=True)
class Asker:
    """Evaluates queries over checked rules and a base document. `caches` are those that the rules were compiled with."""

    checked: Checked
    data: ir.Const | ir.ConstDocument
    limits: Limits
    caches: Caches

    def explain(self, explanations: Mapping[int, Explaining]) -> dict[int, Failure]:
        """Runs explanations to their ends. One that cannot be given is left out: a result must not hang on it."""
        found: dict[int, Failure] = {}
        wanted = {number: next(one) for number, one in explanations.items()}
        while wanted:
            answers = {
                number: given
                for some in _batches(wanted)
                for number, given in self._compiled(some).items()
            }
            wanted = {}
            for number, given in answers.items():
                try:
                    wanted[number] = explanations[number].send(given)
                except StopIteration as done:
                    found[number] = done.value
                except (EngineError, ValueError):
                    continue
        return found

    def _compiled(self, wanted: Mapping[int, Sequence[CheckedQuery]]) -> dict[int, Answers]:
        """The answers to those that can be compiled."""
        names = {
            f"{number}/{place}": query
            for number, queries in wanted.items()
            for place, query in enumerate(queries)
        }
        caches = self.caches.aside()
        try:
            planned = plan(self.checked, (), self.data, queries=names, cache=caches.plans)
            artifact = assemble(planned, extra_builtins=[PRINT], cache=caches.code, linked=False)
            unheard = {PRINT.name: printer(lambda line: None)}
            policy = load(artifact, limits=self.limits, builtins=unheard, quick=True)
        except (EngineError, ValueError):
            if len(wanted) == 1:
                return {}
            numbers = list(wanted)
            halves = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
            return {
                number: answers
                for half in halves
                for number, answers in self._compiled({n: wanted[n] for n in half}).items()
            }

        def answers_of(number: int) -> Answers:
            def answer(place: int) -> list[dict[str, Any]]:
                return policy.solutions(f"{number}/{place}")

            return answer

        return {number: answers_of(number) for number in wanted}


def _batches(
    wanted: Mapping[int, Sequence[CheckedQuery]],
) -> Iterator[dict[int, Sequence[CheckedQuery]]]:
    batch: dict[int, Sequence[CheckedQuery]] = {}
    size = 0
    for number, queries in wanted.items():
        if batch and size + len(queries) > _MOST_QUERIES:
            yield batch
            batch, size = {}, 0
        batch[number] = queries
        size += len(queries)
    if batch:
        yield batch
