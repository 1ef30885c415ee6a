"""Every builtin against the real OPA, with generated operands: the value, undefined, or the error of each call.

    python tests/builtins/against_opa.py [--opa PATH] [--calls N] [--seed N] [--only NAME] [--messages] [--allow FILE]

Calls run with strict builtin errors. Exits 1 when something differs that `DIFFERENCES.md` does not explain (`KNOWN`).
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "differential")]

from calling import call  # noqa: E402
from comparison import canonical  # noqa: E402
from operand_pools import ANYTHING, NUMBERS, SPECIAL, STRINGS  # noqa: E402
from reference import TOO_SLOW, Opa, Reference, running  # noqa: E402
from source import Module, Program  # noqa: E402

from cupcake.engine.bridge import _policy  # noqa: E402
from cupcake.engine.builtins import types as t  # noqa: E402
from cupcake.engine.builtins.registry import REGISTRY  # noqa: E402
from cupcake.engine.builtins.values import (  # noqa: E402
    BuiltinError,
    RegoObject,
    RegoSet,
    pairs,
)
from cupcake.engine.errors import EvaluationError  # noqa: E402
from cupcake.engine.plan.constants import constant  # noqa: E402
from cupcake.engine.rego.parser import parse_term  # noqa: E402
from cupcake.engine.vm.text import dump_value, parse_value  # noqa: E402

BATCH = 100
# No operands, no values, or effects: other tests.
SKIPPED = frozenset(
    {
        *("eq", "assign", "print", "internal.print", "trace", "walk", "opa.runtime", "time.now_ns"),
        *("http.send", "net.lookup_ip_addr", "rand.intn", "uuid.rfc4122", "internal.regex_compile"),
        *("rego.metadata.chain", "rego.metadata.rule", "internal.member_2", "internal.member_3"),
        "internal.template_string",
    }
)


def pool(kind: t.Type) -> tuple[str, ...]:
    """Terms of a type."""
    match kind:
        case t.Scalar("number"):
            return NUMBERS
        case t.Scalar("string"):
            return STRINGS
        case t.Scalar("boolean"):
            return ("true", "false")
        case t.Scalar("null"):
            return ("null",)
        case t.Any(()):
            return (*ANYTHING, *NUMBERS[:8], *STRINGS[:8])
        case t.Any(of):
            return tuple(term for one in of for term in pool(one))
        case t.ArrayOf() | t.SetOf() | t.ObjectOf():
            wanted = {t.ArrayOf: "[", t.SetOf: "{s", t.ObjectOf: "{"}[type(kind)]
            found = [a for a in ANYTHING if shape(a).startswith(wanted)]
            inner = getattr(kind, "rest", None) or getattr(kind, "of", None)
            if inner is not None:
                few = pool(inner)[:30]
                marks = "[]" if isinstance(kind, t.ArrayOf) else "{}"
                found += [f"{marks[0]}{a}, {b}{marks[1]}" for a, b in itertools.pairwise(few)]
            return tuple(found)
    return ANYTHING


def shape(term: str) -> str:
    value = value_of(term)
    return "[" if isinstance(value, list) else "{s" if isinstance(value, RegoSet) else "{" if isinstance(value, dict | RegoObject) else ""  # fmt: skip


def value_of(term: str) -> Any:
    from cupcake.engine.api import to_value

    return to_value(constant(parse_term(term, "<operand>")))


def operands(name: str, choose: random.Random) -> tuple[str, ...]:
    builtin = REGISTRY[name]
    pools = SPECIAL.get(name) or tuple(pool(kind) for kind in builtin.args)
    chosen = []
    for one in pools:
        wrong = choose.random() < 0.06
        # A range of 1e20 numbers, or a shift by as many bits, would be OPA's last.
        numbers = () if name.startswith(("bits.", "numbers.range")) else NUMBERS
        chosen.append(choose.choice((*ANYTHING, *numbers, *STRINGS) if wrong else one))
    return tuple(chosen)


def plain(value: Any) -> Any:
    """As OPA's answer has it: sets as arrays, keys as texts."""
    match value:
        case list() | RegoSet():
            return [plain(item) for item in value]
        case dict() | RegoObject():
            return {
                k if isinstance(k, str) else dump_value(plain(k)): plain(v) for k, v in pairs(value)
            }
    return value


def ours(name: str, terms: tuple[str, ...]) -> tuple[Any, ...]:
    try:
        if REGISTRY[name].home == "runtime":
            # Texts go in, so that numbers stay as they are written.
            text = "[" + ", ".join(terms) + "]"
            found = _policy(name, len(terms)).evaluate_value("call", text.encode())
            results = parse_value(found.decode("utf-8", "replace"))
            assert isinstance(results, RegoSet)
            if not results.items:
                return ("undefined", None)
            first = results.items[0]
            assert isinstance(first, dict)
            return ("value", plain(first["result"]))
        values = [parse_value(dump_value(value_of(term))) for term in terms]
        return ("value", plain(call(name, *values)))
    except BuiltinError as e:
        if e.kind == "undefined":
            return ("undefined", None)
        return ("error", "eval_type_error" if e.kind == "type" else "eval_builtin_error", e.message)
    except EvaluationError as e:
        return ("error", e.code, e.message)


def module(batch: list[tuple[str, tuple[str, ...]]]) -> Module:
    rules = []
    for i, (name, terms) in enumerate(batch):
        # Behind object.get an operand has no type that the compiler could object to.
        hidden = ", ".join(f'object.get({{"v": {term}}}, "v", input)' for term in terms)
        rules.append(f"r{i} := {name}({hidden})")
    return Module("t", (), tuple(rules))


def theirs(reference: Reference, batch: list[tuple[str, tuple[str, ...]]]) -> list[tuple[Any, ...]]:
    paths = tuple(f"t/r{i}" for i in range(len(batch)))
    program = Program(
        (module(batch),), {}, {}, paths, strict=True, v0=REGISTRY[batch[0][0]].deprecated
    )
    try:
        found = reference.run(program)
    except (http.client.HTTPException, TimeoutError):
        # Some operands make OPA panic: then each call alone.
        if len(batch) == 1:
            return [TOO_SLOW]
        return [theirs(reference, [one])[0] for one in batch]
    if isinstance(found, list):
        raise AssertionError(f"OPA refuses the module: {found[:3]}")
    return [found[path] for path in paths]


def same(a: tuple[Any, ...], b: tuple[Any, ...], messages: bool) -> bool:
    if a[0] != b[0]:
        return False
    if a[0] == "error":
        return a[1] == b[1] and (not messages or a[2] == b[2])
    return canonical(a[1]) == canonical(b[1])


def names(only: str) -> list[str]:
    found = [n for n, b in REGISTRY.items() if n not in SKIPPED and b.home != "compiler"]
    return [n for n in found if not only or n == only or (only.endswith("*") and n.startswith(only[:-1]))]  # fmt: skip


def cases(name: str, count: int, choose: random.Random) -> Iterator[tuple[str, tuple[str, ...]]]:
    seen = set()
    for _ in range(count * 3):
        terms = operands(name, choose)
        if terms not in seen:
            seen.add(terms)
            yield name, terms
        if len(seen) >= count:
            return


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--opa", default=shutil.which("opa"))
    options.add_argument("--calls", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="")
    options.add_argument("--messages", action="store_true")
    options.add_argument("--show", type=int, default=5)
    chosen = options.parse_args(argv)
    if chosen.opa is None:
        print("the opa executable is not on the PATH")
        return 2
    total = wrong = 0
    with running(Opa(chosen.opa, (1, 0))) as reference:
        for name in names(chosen.only):
            choose = random.Random(f"{chosen.seed}:{name}")
            calls = list(cases(name, chosen.calls, choose))
            found = []
            for at in range(0, len(calls), BATCH):
                batch = calls[at : at + BATCH]
                try:
                    answers = theirs(reference, batch)
                except AssertionError as e:
                    print(f"{name}: {e}")
                    continue
                for (_, terms), answer in zip(batch, answers, strict=True):
                    if answer[0] == "slow":
                        continue
                    total += 1
                    try:
                        mine = ours(name, terms)
                    except Exception as e:
                        mine = ("crash", f"{type(e).__name__}: {e}")
                    if not same(mine, answer, chosen.messages):
                        found.append((terms, mine, answer))
            wrong += len(found)
            if found:
                print(f"== {name}: {len(found)} of {len(calls)} differ")
                for terms, mine, answer in found[: chosen.show]:
                    print(
                        f"   {name}({', '.join(terms)})\n      ours   {mine}\n      theirs {answer}"
                    )
    print(f"{total} calls, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
