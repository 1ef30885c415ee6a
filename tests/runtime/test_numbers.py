"""Numbers: exact integers, decimals as OPA computes and prints them, doubles."""

from __future__ import annotations

import math
import random
import re
import shutil
import struct
import subprocess
from decimal import Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Native

# operation, operands, result; checked with OPA v1.7.1
CASES = [
    ("add", "0.1", "0.2", "0.3"),
    ("sub", "1", "0.9", "0.10000000000000000002"),
    ("sub", "0.3", "0.1", "0.20000000000000000002"),
    ("mul", "0.1", "3", "0.3"),
    ("mul", "1.1", "1.1", "1.21"),
    ("mul", "2.5", "2", "5"),
    ("mul", "123456.789", "10", "1.23456789e+06"),
    ("add", "123456789.123456789", "0", "1.23456789123456789e+08"),
    ("mul", "1e22", "1.5", "15000000000000000000000"),
    ("mul", "0.00001", "1", "1e-05"),
    ("mul", "0.0001", "1", "0.0001"),
    ("mul", "123456.5", "1", "123456.5"),
    ("mul", "1234567.5", "1", "1.2345675e+06"),
    ("add", "1e-7", "1e-8", "1.1e-07"),
    ("div", "10", "3", "3.3333333333333333333"),
    ("div", "1", "3", "0.33333333333333333334"),
    ("div", "2", "3", "0.6666666666666666667"),
    ("div", "10", "4", "2.5"),
    ("div", "4", "2", "2"),
    ("div", "1", "3000000", "3.3333333333333333333e-07"),
    ("div", "1e19", "3", "3.3333333333333333332e+18"),
    ("div", "100000000000000000000", "3", "33333333333333333334"),
    ("div", "1e109", "1e100", "1000000000"),
    ("div", "0", "3", "0"),
    ("div", "1", "0", "undefined"),
    ("div", "1", "-0.0", "undefined"),
    ("rem", "7", "3", "1"),
    ("rem", "-7", "3", "-1"),
    ("rem", "7", "-3", "1"),
    ("rem", "7", "0", "undefined"),
    ("rem", "7.5", "2", "undefined"),
    ("rem", "7.0", "4", "3"),
    ("rem", "-9223372036854775808", "-1", "0"),
    ("div", "-9223372036854775808", "-1", "9223372036854775808"),
    ("add", "9223372036854775807", "1", "9223372036854775808"),
    ("sub", "-9223372036854775808", "1", "-9223372036854775809"),
    ("sub", "9223372036854775808", "1", "9223372036854775807"),
    ("mul", "3.0", "1", "3"),
    ("mul", "-0", "5", "0"),
    ("add", "1.0", "0", "1"),
    ("add", "1e2", "0", "100"),
]

UNARY = [
    ("floor", "2.5", "2"),
    ("floor", "-2.5", "-3"),
    ("floor", "-0.5", "-1"),
    ("floor", "1e2", "100"),
    ("floor", "7", "7"),
    ("ceil", "2.1", "3"),
    ("ceil", "-2.1", "-2"),
    ("ceil", "-0.5", "0"),
    ("ceil", "0.0000001", "1"),
    ("ceil", "99999999999999999999.5", "100000000000000000000"),
    ("round", "2.5", "3"),
    ("round", "-2.5", "-3"),
    ("round", "2.4999", "2"),
    ("round", "-0.4", "0"),
    ("round", "0.5", "1"),
    ("round", "0.05", "0"),
    ("round", "9.5", "10"),
    ("abs", "-1e2", "100"),
    ("abs", "-0.50", "0.5"),
    ("abs", "1.50", "1.5"),
    ("abs", "-9223372036854775808", "9223372036854775808"),
    ("neg", "-9223372036854775808", "9223372036854775808"),
    ("neg", "1.5", "-1.5"),
]


@pytest.mark.parametrize(("operation", "a", "b", "want"), CASES)
def test_arithmetic(native: Native, operation: str, a: str, b: str, want: str) -> None:
    assert native([(operation, a, b)]) == [want]


@pytest.mark.parametrize(("operation", "a", "want"), UNARY)
def test_rounding_and_sign(native: Native, operation: str, a: str, want: str) -> None:
    assert native([(operation, a)]) == [want]


def big_pairs(count: int) -> list[tuple[int, int]]:
    source = random.Random(7)
    edges = [
        0,
        1,
        -1,
        2**31,
        -(2**31),
        2**32 - 1,
        2**32,
        2**63 - 1,
        -(2**63),
        2**64 - 1,
        2**64,
        10**19,
    ]
    edges += [2**96 - 1, 2**96, 2**128 - 2**32, (2**64 - 1) << 64]
    pairs = [(a, b) for a in edges for b in edges]
    for _ in range(count):
        a, b = (
            source.randint(-(10**d), 10**d) for d in source.choices((3, 10, 19, 20, 40, 300), k=2)
        )
        pairs.append((a, b))
    return pairs


def test_integers_of_any_size_are_exact(native: Native) -> None:
    commands, want = [], []
    for a, b in big_pairs(600):
        for word, result in (("add", a + b), ("sub", a - b), ("mul", a * b)):
            commands.append((word, str(a), str(b)))
            want.append(str(result))
        if b:
            remainder = abs(a) % abs(b) * (-1 if a < 0 else 1)
            commands += [("rem", str(a), str(b)), ("div", str(a * b), str(b))]
            want += [str(remainder), str(a)]
    assert native(commands) == want


def rounded(value: Decimal) -> Decimal:
    """The nearest number with a mantissa of 64 bits."""
    with localcontext() as context:
        context.prec = 200
        if value == 0:
            return value
        numerator, denominator = abs(value).as_integer_ratio()
        shift = 64 - (numerator.bit_length() - denominator.bit_length())
        scaled_up = numerator << max(shift + 1, 0)
        scaled_down = denominator << max(-shift - 1, 0)
        if scaled_up // scaled_down >= 1 << 65:
            shift -= 1
            scaled_up = numerator << max(shift + 1, 0)
            scaled_down = denominator << max(-shift - 1, 0)
        whole, rest = divmod(scaled_up, scaled_down)
        half = whole & 1
        mantissa = whole >> 1
        if half and (rest or mantissa & 1):
            mantissa += 1
        return Decimal(mantissa) * Decimal(2) ** -shift * (-1 if value < 0 else 1)


def test_decimals_are_rounded_to_64_bits_and_print_the_shortest_text_that_reads_back(
    native: Native,
) -> None:
    source = random.Random(11)
    commands, operands = [], []
    for _ in range(400):
        a, b = (f"{source.randint(1, 10**9)}.{source.randint(1, 10**6):06d}1" for _ in range(2))
        word = source.choice(("add", "sub", "mul", "div"))
        commands.append((word, a, b))
        operands.append((word, rounded(Decimal(a)), rounded(Decimal(b))))
    with localcontext() as context:
        context.prec = 400
        for answer, (word, a, b) in zip(native(commands), operands, strict=True):
            exact = {"add": a + b, "sub": a - b, "mul": a * b, "div": a / b}[word]
            got = Decimal(answer)
            assert rounded(got) == rounded(exact), (word, a, b)
            digits = re.sub(r"e.*|[-.]", "", answer).strip("0")
            if len(digits) > 1:
                shorter = got.quantize(Decimal(1).scaleb(got.normalize().as_tuple().exponent + 1))
                assert rounded(shorter) != rounded(exact), (word, a, b)


DOUBLES = [
    "0.1",
    "1e23",
    "5e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "9007199254740993",
    "9007199254740992.9999999999999999999999999999999",
    "123456789012345678901234567890",
    "-1.5",
    "0",
    "1e-400",
    "1e999999999999",
    "0." + "1" * 900,
]


@pytest.mark.parametrize("text", DOUBLES)
def test_conversion_to_double_is_correctly_rounded(native: Native, text: str) -> None:
    assert float(native([("double", text)])[0]) == float(text)


def test_conversion_to_double_of_random_texts(native: Native) -> None:
    source = random.Random(3)
    texts = [
        f"{source.randint(-(10**17), 10**17)}.{source.randint(0, 10**9)}e{source.randint(-330, 290)}"
        for _ in range(500)
    ]
    answers = native([("double", text) for text in texts])
    assert [float(answer) for answer in answers] == [float(text) for text in texts]


def test_shortest_text_of_a_double_reads_back(native: Native) -> None:
    source = random.Random(5)
    values = [struct.unpack("<d", source.randbytes(8))[0] for _ in range(400)]
    values = [v for v in values if math.isfinite(v)] + [0.1, 1e21, 5e-324]
    values += [2.0**n for n in range(-1074, 1024, 7)] + [2.0**-1022, 2.0**-1021, 2.0**1023]
    answers = native([("from_double", repr(v)) for v in values])
    for value, answer in zip(values, answers, strict=True):
        assert float(answer) == value, (value, answer)
        shortest = repr(value).lower().split("e")[0].replace(".", "").replace("-", "").strip("0")
        assert len(answer.split("e")[0].replace(".", "").replace("-", "").strip("0")) <= len(
            shortest
        )


def test_an_exponent_beyond_all_reason_is_a_typed_error(native: Native) -> None:
    (answer,) = native([("add", "1e999999999", "1")])
    assert answer.startswith("abort eval_builtin_error: ")
    assert native([("compare", "1e999999999", "1e999999998")]) == ["1 0 0"]


OPA = shutil.which("opa") or str(Path.home() / "go" / "bin" / "opa")


@pytest.mark.skipif(not Path(OPA).exists(), reason="the opa executable is not installed")
def test_results_print_as_opa_prints_them(native: Native, tmp_path: Path) -> None:
    source = random.Random(13)

    def number() -> str:
        kind = source.random()
        if kind < 0.4:
            return str(source.randint(-(10**6), 10**6))
        if kind < 0.8:
            return f"{source.randint(-(10**6), 10**6)}.{source.randint(0, 999):03d}"
        return f"{source.randint(1, 10**5)}e{source.randint(-12, 9)}"

    names = {"add": "plus", "sub": "minus", "mul": "mul", "div": "div"}
    commands = []
    while len(commands) < 400:
        command = (source.choice(list(names)), number(), number())
        if command[0] != "div" or Decimal(command[2]) != 0:
            commands.append(command)
    calls = ",\n".join(f"{names[word]}({a}, {b})" for word, a, b in commands)
    policy = tmp_path / "p.rego"
    policy.write_text(f"package t\nr := [{calls}]\n")
    done = subprocess.run(
        [OPA, "eval", "-f", "raw", "-d", str(policy), "data.t.r"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert native(commands) == re.findall(r"[^\[\],\s]+", done.stdout)
