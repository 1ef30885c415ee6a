"""Effects through one gate: what they are, that they happen once an evaluation, that a record repeats them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine import compile_policy, load, query
from cupcake.engine.builtins.effects import Effects, Record, Recorder, RecordError
from cupcake.engine.errors import CompileErrors, EvaluationError

ALL = """package t
import rego.v1
now := time.now_ns()
again := time.now_ns()
dice := [rand.intn("a", 1000000000), rand.intn("b", 1000000000)]
id := uuid.rfc4122("k")
where := net.lookup_ip_addr("localhost")
shown := opa.runtime()
signed := io.jwt.encode_sign({"alg": "ES256"}, {}, input.key)
token := io.jwt.decode_verify(input.token, {"secret": "s"})
everything := [now, again, dice, id, where, shown, signed, token]
"""
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}


@pytest.fixture(scope="module")
def token() -> str:
    key = {"kty": "oct", "k": "cw"}
    text = f'x := io.jwt.encode_sign({{"alg": "HS256"}}, {{"nbf": 1000, "exp": 2000}}, {json.dumps(key)})'
    return str(query(text)[0]["x"])


@pytest.fixture(scope="module")
def policy() -> Any:
    return load(compile_policy({"t.rego": ALL}, entrypoints=["t/everything", "t/dice", "t/now"]))


def test_an_evaluation_has_one_clock_and_each_its_own(policy: Any, token: str) -> None:
    first = policy.evaluate("t/everything", {"key": KEY, "token": token})
    second = policy.evaluate("t/everything", {"key": KEY, "token": token})
    assert first[0] == first[1]
    assert first[2] != second[2]
    assert first[3] != second[3]
    assert first[4] == ["127.0.0.1", "::1"]
    assert first[5] == {}


def test_clock_and_seed_can_be_fixed(policy: Any, token: str) -> None:
    fixed = Effects(time_ns=1500 * 10**9, seed=7)
    runs = [
        policy.evaluate("t/everything", {"key": KEY, "token": token}, effects=fixed)
        for _ in range(2)
    ]
    assert runs[0][:6] == runs[1][:6]
    assert runs[0][0] == 1500 * 10**9
    assert runs[0][7][0] is True  # the token is valid at that time only


def test_a_record_repeats_an_evaluation_without_its_effects(policy: Any, token: str) -> None:
    given = {"key": KEY, "token": token}
    recorder = Recorder()
    first = policy.evaluate("t/everything", given, recorder=recorder)
    record = Record.from_json(recorder.record.to_json())
    assert record == recorder.record
    forbidden = Effects(time_ns=1, seed=1)
    assert policy.evaluate("t/everything", given, effects=forbidden, replay=record) == first
    assert set(record.calls) == {
        "io.jwt.decode_verify",
        "io.jwt.encode_sign",
        "net.lookup_ip_addr",
        "opa.runtime",
        "rand.intn",
        "time.now_ns",
        "uuid.rfc4122",
    }


def test_a_call_that_the_record_lacks_ends_the_evaluation(policy: Any) -> None:
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("t/dice", replay=Record())
    assert caught.value.code == "eval_replay_error"
    assert caught.value.message == 'the record has no call rand.intn("a", 1000000000)'


def test_errors_are_recorded_too() -> None:
    text = 'x := http.send({"method": "get", "url": "http://127.0.0.1:1/"})'
    allowed = Effects(allow_net=("127.0.0.1",))
    recorder = Recorder()
    assert query(text, effects=allowed, recorder=recorder) == []
    record = Record.from_json(recorder.record.to_json())
    assert query(text, replay=record) == []
    with pytest.raises(EvaluationError, match="connection refused"):
        query(text, replay=record, strict_builtin_errors=True)


def test_a_refusal_is_a_refusal_in_the_replay() -> None:
    text = 'x := http.send({"method": "get", "url": "http://example.com/"})'
    recorder = Recorder()
    with pytest.raises(EvaluationError):
        query(text, recorder=recorder)
    with pytest.raises(EvaluationError, match=r"may not reach the host 'example\.com'"):
        query(text, replay=recorder.record, effects=Effects(allow_net=None))


def test_functions_of_the_caller_are_effects() -> None:
    calls: list[int] = []

    def count(step: Any) -> int:
        calls.append(step)
        return sum(calls)

    recorder = Recorder()
    text = "x := [my.count(1), my.count(1), my.count(2)]"
    first = query(text, builtins={"my.count": count}, recorder=recorder)
    assert first == [{"x": [1, 1, 3]}]
    assert query(text, builtins={"my.count": count}, replay=recorder.record) == first
    assert calls == [1, 2]


def test_a_decision_log_of_opa_is_a_record() -> None:
    cache = {
        "time.now_ns": {"[]": 1663803565571081429},
        "rand.intn": {'["z", 15]': 8},
        "net.lookup_ip_addr": {'["localhost"]': ["127.0.0.1", "::1"]},
    }
    for document in (cache, {"nd_builtin_cache": cache}):
        record = Record.from_json(json.dumps(document))
        [found] = query(
            'x := [time.now_ns(), rand.intn("z", 15), is_set(net.lookup_ip_addr("localhost"))]',
            replay=record,
        )
        assert found["x"] == [1663803565571081429, 8, True]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"format": 2, "calls": {}}', '{"format": 1}', '{"a": 1}',
     '{"format": 1, "calls": {"a": {"[]": {"value": 1}}}}',
     '{"format": 1, "calls": {"a": {"[]": {}}}}', '{"format": 1, "calls": {"a": 1}}',
     '{"a": {"no json": 1}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        Record.from_json(text)


def test_a_record_with_a_bad_value_is_an_error_of_the_evaluation() -> None:
    record = Record.from_json('{"format": 1, "calls": {"time.now_ns": {"[]": {"value": "}"}}}}')
    with pytest.raises(EvaluationError):
        query("x := time.now_ns()", replay=record)


# ---- the environment ----


def test_the_environment_shows_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPCAKE_TEST_ONE", "1")
    monkeypatch.setenv("CUPCAKE_TEST_TWO", "2")
    text = "x := opa.runtime()"
    assert query(text) == [{"x": {}}]
    one = Effects(env=("CUPCAKE_TEST_ONE", "CUPCAKE_TEST_NONE"))
    assert query(text, effects=one) == [{"x": {"env": {"CUPCAKE_TEST_ONE": "1"}}}]
    [found] = query(text, effects=Effects(env=None, config={"labels": {"id": "x"}}))
    assert found["x"]["env"] == dict(os.environ)
    assert found["x"]["config"] == {"labels": {"id": "x"}}


# ---- names ----


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("example.com", "example.com", 443, True),
        ("Example.com", "EXAMPLE.com.", 443, True),
        ("example.com", "www.example.com", 443, False),
        ("example.com", "example.com.evil.org", 443, False),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("::1", "::1", 80, True),
        ("[::1]", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("127.0.0.1", "127.0.0.1", None, True),
        ("*", "example.com", 443, False),
    ],
)
def test_hosts_are_allowed_by_name(entry: str, host: str, port: int | None, allowed: bool) -> None:
    assert Effects(allow_net=(entry,)).allows_host(host, port) is allowed


def test_a_name_that_may_not_be_looked_up_ends_the_evaluation() -> None:
    with pytest.raises(EvaluationError, match=r"may not reach the host 'example\.com'"):
        query('x := net.lookup_ip_addr("example.com")')
    assert query('x := net.lookup_ip_addr("192.0.2.1")') == [{"x": ["192.0.2.1"]}]
    nowhere = Effects(allow_net=("does-not-exist.invalid",))
    with pytest.raises(EvaluationError) as caught:
        query(
            'x := net.lookup_ip_addr("does-not-exist.invalid")',
            effects=nowhere,
            strict_builtin_errors=True,
        )
    assert caught.value.code == "eval_builtin_error"


# ---- at compile time ----


def test_with_effects_what_is_never_allowed_does_not_compile() -> None:
    text = 'package t\nimport rego.v1\nr := http.send({"method": "get", "url": "http://a/"})\n'
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"t.rego": text}, entrypoints=["t/r"], effects=Effects())
    [found] = caught.value.diagnostics
    assert (found.row, found.code) == (3, "rego_type_error")
    assert "no access to the network" in found.message
    compile_policy({"t.rego": text}, entrypoints=["t/r"], effects=Effects(allow_net=("a",)))
    policy = load(compile_policy({"t.rego": text}, entrypoints=["t/r"]))
    with pytest.raises(EvaluationError, match="may not reach the host 'a'"):
        policy.evaluate("t/r")


# ---- on the command line ----


def test_eval_records_and_replays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cupcake.engine.cli import main

    record = tmp_path / "record.json"
    asked = ["eval", "--format", "raw", '[time.now_ns(), rand.intn("a", 1000000000)]']
    assert main(["rego", *asked, "--record", str(record)]) == 0
    first = capsys.readouterr().out
    assert main(["rego", *asked, "--replay", str(record)]) == 0
    assert capsys.readouterr().out == first
    assert main(["rego", "eval", 'uuid.rfc4122("a")', "--replay", str(record)]) == 2
    assert 'the record has no call uuid.rfc4122(\\"a\\")' in capsys.readouterr().out
    assert main(["rego", *asked, "--replay", str(record), "--record", "x"]) == 2
    assert main(["rego", *asked, "--replay", str(tmp_path / "none")]) == 2


def test_eval_reaches_what_it_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    from cupcake.engine.cli import main

    call = 'http.send({"method": "get", "url": "http://127.0.0.1:1/", "raise_error": false}).status_code'
    assert main(["rego", "eval", "--format", "raw", call]) == 2
    assert "policies may not reach the host '127.0.0.1'" in capsys.readouterr().err
    for allowed in ("127.0.0.1", "x,127.0.0.1:1", "*"):
        assert main(["rego", "eval", "--format", "raw", call, "--allow-net", allowed]) == 0
        assert capsys.readouterr().out == "0\n"
    os.environ["CUPCAKE_TEST_ONE"] = "1"
    try:
        assert (
            main(
                [
                    "rego",
                    "eval",
                    "-f",
                    "raw",
                    "opa.runtime().env",
                    "--allow-env",
                    "CUPCAKE_TEST_ONE",
                ]
            )
            == 0
        )
    finally:
        del os.environ["CUPCAKE_TEST_ONE"]
    assert json.loads(capsys.readouterr().out) == {"CUPCAKE_TEST_ONE": "1"}
