"""Requests are signed and never sent; builtins whose library is absent are refused when a policy is compiled."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest
from calling import call
from test_calls import needs_opa

from cupcake.engine import compile_policy, query
from cupcake.engine.builtins import libraries
from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.host import lazy
from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.values import BuiltinError, RegoSet
from cupcake.engine.errors import CompileErrors, EvaluationError
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module

OPA = shutil.which("opa")
SIGN = "providers.aws.sign_req"
AWS = {
    "aws_access_key": "ACCESS",
    "aws_secret_access_key": "SECRET",
    "aws_service": "s3",
    "aws_region": "eu-north-1",
}
TIME = 1_700_000_000 * 10**9
CALLS = """package t
r0 := providers.aws.sign_req({"method": "get", "url": "https://u:p@h.example:8443/a b/c%20d?x=1&y#f"}, aws, time)
r1 := providers.aws.sign_req({"method": "POST", "url": "https://h.example", "body": {"a": [1, {2}], "<": "\\u2028"},
  "headers": {"X-One": "1", "authorization": "old", "user-agent": "me"}}, aws, time)
r2 := providers.aws.sign_req({"method": "PUT", "url": "https://h.example/", "raw_body": "raw", "body": 1},
  object.union(aws, {"aws_service": "ec2", "aws_session_token": "T"}), time)
r3 := providers.aws.sign_req({"method": "PUT", "url": "https://h.example/"},
  object.union(aws, {"disable_payload_signing": true}), time)
aws := {"aws_access_key": "ACCESS", "aws_secret_access_key": "SECRET", "aws_service": "s3", "aws_region": "eu-north-1"}
time := 1700000000000000000
"""


@needs_opa
def test_opa_signs_the_same() -> None:
    done = subprocess.run(
        [str(OPA), "eval", "--format", "json", "--data", "/dev/stdin", "data.t"],
        input=CALLS,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    theirs = json.loads(done.stdout)["result"][0]["expressions"][0]["value"]
    [found] = query("x = data.t", {"t.rego": CALLS})
    assert found["x"] == theirs


def test_a_signature_covers_all_but_what_proxies_change() -> None:
    [found] = query("x = data.t", {"t.rego": CALLS})
    signed = found["x"]["r1"]["headers"]["Authorization"].split("SignedHeaders=")[1].split(",")[0]
    assert signed == "host;x-amz-content-sha256;x-amz-date;x-one"
    assert found["x"]["r2"]["headers"]["x-amz-security-token"] == "T"
    assert found["x"]["r3"]["headers"]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize(
    ("request_", "config", "time", "message"),
    [
        ({}, AWS, TIME, 'operand 1 missing required request parameters(s): {"method", "url"}'),
        ({"x": 1}, AWS, TIME, 'operand 1 invalid request parameters(s): {"x"}'),
        (
            {"method": RegoSet(), "url": 1},
            AWS,
            TIME,
            'operand 1 invalid values for required request parameters(s): {"method", "url"}',
        ),
        ({"method": "get", "url": "x"}, {}, TIME, "operand 2 missing required AWS config"),
        ({"method": "get", "url": "x"}, {**AWS, "aws_region": 1}, TIME, "operand 2 invalid values"),
        ({"method": "get", "url": "x"}, AWS, -1, "operand 3 could not convert time_ns"),
        ({"method": "get", "url": "x"}, AWS, 10**40, "operand 3 could not convert time_ns"),
        ({"method": "get", "url": "x\ny"}, AWS, TIME, "invalid control character in URL"),
        ([], AWS, TIME, "operand 1 must be object but got array"),
    ],
)
def test_wrong_requests(request_: Any, config: Any, time: int, message: str) -> None:
    with pytest.raises(BuiltinError) as raised:
        call(SIGN, request_, config, time)
    assert message in raised.value.message


@pytest.mark.parametrize("name", sorted(n for n, b in REGISTRY.items() if b.requires == "network"))
def test_the_network_is_refused_at_compile_time(name: str) -> None:
    operand = '{"method": "get", "url": "http://127.0.0.1"}' if name == "http.send" else '"a.b"'
    module = f"package t\nx := {name}({operand})"
    with pytest.raises(CompileErrors) as raised:
        compile_policy({"t.rego": module}, entrypoints=["t/x"], effects=Effects())
    [diagnostic] = raised.value.diagnostics
    assert (diagnostic.code, diagnostic.row) == ("rego_type_error", 2)
    assert name in diagnostic.message and "signal" in diagnostic.hint
    # A query (as `opa eval`) compiles, for mocks; a real call ends it even when errors are not strict.
    with pytest.raises(EvaluationError, match="policies may not reach"):
        query("x = data.t.x", {"t.rego": module})
    assert query(f"x = data.t.x with {name} as 1", {"t.rego": module}) == [{"x": 1}]


def test_names_that_need_no_network_have_addresses() -> None:
    assert call("net.lookup_ip_addr", "localhost").items == ("127.0.0.1", "::1")
    assert call("net.lookup_ip_addr", "10.0.0.1").items == ("10.0.0.1",)


def test_wrong_requests_to_send_have_the_errors_of_opa() -> None:
    for request, message in (
        ({"method": "get"}, 'missing required request parameters(s): {"url"}'),
        ({"method": "get", "url": "x", "bad": 1}, 'invalid request parameters(s): {"bad"}'),
    ):
        with pytest.raises(BuiltinError) as raised:
            call("http.send", request)
        assert message in raised.value.message


def served(family: Any) -> list[str]:
    pairs = (*getattr(family, "FUNCTIONS", ()), *getattr(family, "GATED", ()))
    return [name for name, _ in pairs]


def test_each_family_serves_what_its_table_says() -> None:
    for module, names in lazy.SERVED:
        family = importlib.import_module(f"cupcake.engine.builtins.host.{module}")
        assert sorted(served(family)) == sorted(names)


EXAMPLES = {
    "cryptography": 'x := io.jwt.verify_rs256("a.b.c", "key")',
    "graphql": 'x if graphql.schema_is_valid("")',
    "jsonschema": 'x := json.verify_schema("{}")',
}


def test_every_optional_library_has_an_example() -> None:
    assert {b.requires for b in REGISTRY.values()} == {"", "network", *EXAMPLES}
    assert libraries.absent_libraries() == frozenset()


@pytest.mark.parametrize("library", EXAMPLES)
def test_a_policy_that_needs_an_absent_library_is_refused(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = libraries.find_spec
    monkeypatch.setattr(libraries, "find_spec", lambda n: None if n == library else real(n))
    assert libraries.absent_libraries() == {library}
    with pytest.raises(CompileErrors) as raised:
        compile_policy({"t.rego": f"package t\n{EXAMPLES[library]}"}, entrypoints=["t/x"])
    [diagnostic] = raised.value.diagnostics
    assert library in diagnostic.message and "builtin " in diagnostic.message
    assert diagnostic.hint == "install it: pip install 'cupcake-policy[full]'"
    others = [text for name, text in EXAMPLES.items() if name != library]
    for text in others:
        compile_policy({"t.rego": f"package t\n{text}"}, entrypoints=["t/x"])


def test_a_function_given_to_with_counts_as_called() -> None:
    module = parse_module(
        "package t\nx if is_string(1) with is_string as json.verify_schema", "t.rego"
    )
    with pytest.raises(CompileErrors, match="needs the library jsonschema"):
        check([module], absent=frozenset({"jsonschema"}))


def test_a_library_that_is_gone_at_run_time_ends_the_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "cupcake.engine.builtins.host.schemas", raising=False)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(EvaluationError, match=r"pip install 'cupcake-policy\[full\]'"):
        call("json.verify_schema", "{}")
