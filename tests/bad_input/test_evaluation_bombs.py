"""Policies that ask for more than they may have: a limit with its code, or a builtin's own error; the process stays small."""

from __future__ import annotations

import resource
import threading

import pytest

from cupcake.engine import EvaluationError, Limits, compile_policy, load

LIMITS = Limits(memory_bytes=16 << 20, seconds=0.4)
DEEP: list[object] = []
_level = DEEP
for _ in range(400):
    _level.append(_level := [])
INPUT = {
    "big": 10**12,
    "deep": DEEP,
    "wide": [{"a": i} for i in range(2000)],
    "open": "[" * 100_000,
}
STRING = 'concat("", ["a" | some i in numbers.range(1, {})])'


def string(length: int) -> str:
    return STRING.replace("{}", str(length))


def doubled(rule: str, first: str, last: str) -> str:
    """Rules x0, x1 ... of which each holds the one before twice."""
    rules = [f"x{i + 1} := {rule.replace('$', f'x{i}')}" for i in range(40)]
    return "\n".join([f"x0 := {first}", *rules, f"p := {last}"])


TIME, MEMORY, BUILTIN, DEPTH = (
    "eval_limit_time",
    "eval_limit_memory",
    "eval_builtin_error",
    "eval_limit_depth",
)
BOMBS = {
    "a product of ranges": ("p := count({[a, b] | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000)})", MEMORY),
    "loops that find nothing": (
        "p if { some a in input.wide; some b in input.wide; some c in input.wide; a.a + b.a + c.a == -1 }", f"{TIME}|{MEMORY}"
    ),
    "walks of a document": ("p := count([1 | some x in numbers.range(1, 1000); walk(input.wide, [_, _])])", f"{TIME}|{MEMORY}"),
    "a string that doubles": (doubled('concat("", [$, $])', '"xxxxxxxx"', "count(x40)"), MEMORY),
    "an array that doubles, as JSON": (doubled("[$, $]", "[input.big]", "x40"), f"{TIME}|{MEMORY}"),
    "an array that doubles, walked": (doubled("[$, $]", "[input.big]", "count([1 | walk(x40, _)])"), f"{TIME}|{MEMORY}"),
    "an array that doubles, for the host": (doubled("[$, $]", "[input.big]", "yaml.marshal(x40)"), f"{TIME}|{MEMORY}"),
    "a document that patches itself": (
        doubled('json.patch($, [{"op": "copy", "from": "/a", "path": "/a/-"}, {"op": "copy", "from": "/a", "path": "/a/-"}])', '{"a": [1]}', "json.marshal(x40)"),
        f"{TIME}|{MEMORY}",
    ),
    "functions that call twice": ("f0(x) := x + 1\n" + "\n".join(f"f{i + 1}(x) := f{i}(x) + f{i}(x + 1)" for i in range(40)) + "\np := f40(1)", f"{TIME}|{MEMORY}"),
    "a range": ("p := numbers.range(1, input.big)", MEMORY),
    "a range of steps": ("p := numbers.range_step(1, input.big, 1)", MEMORY),
    "a range beyond 64 bits": ("p := numbers.range(1, 1e30)", f"{TIME}|{MEMORY}"),
    "widths": ('p := sprintf("%9999999d%9999999d", [1, 2])', MEMORY),
    "replacements of replacements": (f'p := count(replace({string(5000)}, "a", {string(10_000)}))', MEMORY),
    "a replacement of matches": (f'p := count(regex.replace({string(20_000)}, "a", concat("", ["$0" | some i in numbers.range(1, 2000)])))', MEMORY),
    "patterns that are made": ('p := count([1 | some i in numbers.range(1, 100000); regex.match(sprintf("(a|b)*a(a|b){12}%d", [i]), "x")])', f"{TIME}|{MEMORY}"),
    "powers of a number": (doubled("$ * $", "99999999999999999999", "x40"), BUILTIN),
    "a shift": ("p := bits.lsh(1, 1000000000)", BUILTIN),
    "a number of a million digits": ('p := to_number(concat("", ["9" | some i in numbers.range(1, 100000)])) + 1', BUILTIN),
    "brackets without end": ("p := json.unmarshal(input.open)", BUILTIN),
    "addresses of a network": ('p := net.cidr_expand("10.0.0.0/8")', BUILTIN),
    "indents": (f'p := json.marshal_with_options(input.wide, {{"indent": {string(50_000)}}})', f"{TIME}|{MEMORY}"),
    "a template of loops": (
        'p := strings.render_template("{{range .a}}{{range $.a}}{{range $.a}}xxxxxxxx{{end}}{{end}}{{end}}", {"a": numbers.range(1, 1000)})', BUILTIN
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_meets_a_limit(name: str) -> None:
    rules, codes = BOMBS[name]
    policy = load(
        compile_policy({"a.rego": "package a\n" + rules}, entrypoints=["a/p"]), limits=LIMITS
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", INPUT, strict_builtin_errors=True)
    assert caught.value.code in codes.split("|")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10


HARMLESS = {
    "a pattern that explodes elsewhere": f"p := regex.match(`(x+x+)+y`, {string(100_000)})",
    "a glob that explodes elsewhere": 'p := glob.match(concat("", ["{a*," | some i in numbers.range(1, 40)]), [], "aaaa")',
    "a width that is none": 'p := sprintf("%999999999d", [1])',
    "a document as deep as may be": "p := count([1 | walk(input.deep, _)])",
    "a digest of a long text": f"p := crypto.sha256({string(100_000)})",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_one_is_answered(name: str) -> None:
    artifact = compile_policy({"a.rego": "package a\n" + HARMLESS[name]}, entrypoints=["a/p"])
    load(artifact, limits=Limits(memory_bytes=32 << 20, seconds=5.0)).evaluate("a/p", INPUT)


INPUTS = {
    "too large": (b'"' + b"x" * 2_000_000 + b'"', "eval_limit_input"),
    "too deep": (b"[" * 600 + b"]" * 600, "eval_input_error"),
    "no JSON": (b'{"a": }', "eval_input_error"),
    "not a number": (b"NaN", "eval_input_error"),
    "two documents": (b"{} {}", "eval_input_error"),
    "cut off": (b'{"a": "', "eval_input_error"),
    "NUL": (b'{"a": 1}\0', "eval_input_error"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_that_cannot_be_read_is_a_typed_error(name: str) -> None:
    data, code = INPUTS[name]
    policy = load(
        compile_policy({"a.rego": "package a\np := input"}, entrypoints=["a/p"]),
        limits=Limits(input_bytes=1_000_000),
    )
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate_json("a/p", data)
    assert caught.value.code == code


MIXED = """package a
p := count(numbers.range(1, input.n))
p := 2 if input.conflict
"""


def test_threads_meet_limits_and_traps_of_their_own() -> None:
    policy = load(compile_policy({"a.rego": MIXED}, entrypoints=["a/p"]), limits=LIMITS)
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(30):
            kind = (number + turn) % 3
            given = {"n": 10**9 if kind == 1 else turn + 3, "conflict": kind == 2}
            try:
                found: object = policy.evaluate("a/p", given)
            except EvaluationError as error:
                found = error.code
            wanted = ((turn + 3,), (MEMORY, TIME), ("eval_conflict_error",))
            if found not in wanted[kind]:
                wrong.append((kind, turn, found))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_threads_run_while_a_module_does() -> None:
    """An evaluation that only ends by its time limit must not hold the interpreter."""
    rules = "p if { some a in input; some b in input; some c in input; a + b + c == -1 }"
    policy = load(
        compile_policy({"a.rego": "package a\n" + rules}, entrypoints=["a/p"]),
        limits=Limits(memory_bytes=2 << 30, seconds=0.5),
    )
    ended = threading.Event()
    codes: list[str] = []

    def evaluate() -> None:
        try:
            policy.evaluate("a/p", list(range(3000)))
        except EvaluationError as error:
            codes.append(error.code)
        finally:
            ended.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    turns = 0
    while not ended.is_set():
        turns += 1
    thread.join()
    assert codes == [TIME]
    assert turns > 1000


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    "value", [{"n": 1, "conflict": True}, {"n": 10**9}], ids=["a conflict", "a memory limit"]
)
def test_errors_leave_nothing_behind(value: object) -> None:
    policy = load(
        compile_policy({"a.rego": MIXED}, entrypoints=["a/p"]), limits=Limits(memory_bytes=4 << 20)
    )
    turns = 1500 if isinstance(value, dict) and "conflict" in value else 150

    def run(count: int) -> None:
        for _ in range(count):
            with pytest.raises(EvaluationError):
                policy.evaluate("a/p", value)

    run(turns)
    before = resident()
    run(turns)
    assert resident() - before < 2 << 20
