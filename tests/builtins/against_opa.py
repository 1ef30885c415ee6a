"""Every builtin against the real OPA, with generated operands: the value, undefined, or the error of each call.

    python tests/builtins/against_opa.py [--opa PATH] [--calls N] [--seed N] [--only NAME] [--messages] [--all]

Calls run with strict builtin errors. Exits 1 when something differs that `DIFFERENCES.md` does not explain.
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


Terms = tuple[str, ...]
Answer = tuple[Any, ...]
Difference = tuple[str, Terms, Answer, Answer]

# Explained in engine/builtins/DIFFERENCES.md: numbers beyond floating point or its rounding, words of other libraries.
_EXACT = frozenset({"div", "ceil", "floor", "round", "format_int", "units.parse_bytes"})
_BETWEEN_LETTERS = frozenset({"replace", "strings.replace_n"})


def compare(
    reference: Reference, name: str, calls: list[tuple[str, Terms]], *, messages: bool = False
) -> list[Difference]:
    """The calls of one builtin that differ: name, operands, our answer, OPA's."""
    found: list[Difference] = []
    for at in range(0, len(calls), BATCH):
        batch = calls[at : at + BATCH]
        for (_, terms), answer in zip(batch, theirs(reference, batch), strict=True):
            if answer == TOO_SLOW:
                continue
            try:
                mine = ours(name, terms)
            except Exception as e:
                mine = ("crash", f"{type(e).__name__}: {e}")
            if not same(mine, answer, messages):
                found.append((name, terms, mine, answer))
    return found


def explained(name: str, terms: Terms, mine: Answer, answer: Answer) -> bool:
    """Whether the difference is one that we mean to have."""
    if answer[1] == "internal_error":  # an answer that OPA itself cannot write
        return True
    values = mine[0] == answer[0] == "value"
    if name in _EXACT:
        return values
    if name in _BETWEEN_LETTERS:
        return values and "\ufffd" in str(answer[1])
    if name == "json.match_schema" and values:  # the order of the problems is OPA's map's
        return canonical(sorted(mine[1][1], key=str)) == canonical(sorted(answer[1][1], key=str))
    if name in ("yaml.marshal", "yaml.unmarshal"):
        return values
    return name.startswith("graphql.") and values


def main(argv: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--opa", default=shutil.which("opa"))
    options.add_argument("--calls", type=int, default=200, help="of each builtin")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="", help="a builtin, or a beginning with *")
    options.add_argument("--messages", action="store_true", help="errors must have OPA's words")
    options.add_argument("--show", type=int, default=5, help="differences of each builtin")
    options.add_argument("--all", action="store_true", help="also what DIFFERENCES.md explains")
    chosen = options.parse_args(argv)
    if chosen.opa is None:
        print("the opa executable is not on the PATH")
        return 2
    total = wrong = 0
    with running(Opa(chosen.opa, (1, 22))) as reference:
        for name in names(chosen.only):
            calls = list(cases(name, chosen.calls, random.Random(f"{chosen.seed}:{name}")))
            found = compare(reference, name, calls, messages=chosen.messages)
            if not chosen.all:
                found = [one for one in found if not explained(*one)]
            total += len(calls)
            wrong += len(found)
            if found:
                print(f"== {name}: {len(found)} of {len(calls)} differ")
            for _, terms, mine, answer in found[: chosen.show]:
                print(f"   {name}({', '.join(terms)})\n      ours   {mine}\n      theirs {answer}")
    print(f"{total} calls, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
