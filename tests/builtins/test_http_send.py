"""http.send against servers on loopback: what is sent, what is understood, what is refused, what is kept."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from loopback import Asked, Reply, Server, as_json, serving

from cupcake.engine import compile_policy, load, query
from cupcake.engine.builtins.effects import Effects
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Limits

LOOPBACK = Effects(allow_net=("127.0.0.1",))
SLOW = Limits(seconds=10.0)


def send(request: dict[str, Any], effects: Effects = LOOPBACK, limits: Limits = SLOW) -> Any:
    """The response, strict about errors."""
    [found] = query(
        "x := http.send(input)",
        input=request,
        effects=effects,
        limits=limits,
        strict_builtin_errors=True,
    )
    return found["x"]


def problem(request: dict[str, Any], effects: Effects = LOOPBACK, limits: Limits = SLOW) -> str:
    with pytest.raises(EvaluationError) as caught:
        send(request, effects, limits)
    return f"{caught.value.code}: {caught.value.message}"


def echo(asked: Asked) -> Reply:
    return as_json({"method": asked.method, "path": asked.path, "body": asked.body.decode()})


# ---- what is sent and understood ----


def test_a_response_has_the_members_that_opa_gives_it() -> None:
    reply = as_json({"a": [1, 2.50]}, ("X-Many", "1"), ("X-Many", "2"))
    with serving(lambda _: reply) as server:
        found = send({"method": "get", "url": server.url("/x")})
    assert found["status"] == "200 OK"
    assert found["status_code"] == 200
    assert found["body"] == {"a": [1, 2.5]}
    assert found["raw_body"] == '{"a": [1, 2.5]}'
    assert found["headers"]["x-many"] == ["1", "2"]
    assert found["headers"]["content-type"] == ["application/json"]


def test_method_path_query_and_headers_arrive() -> None:
    with serving(echo) as server:
        request = {
            "method": "delete",
            "url": server.url("/a b/%2F?q=1 2#frag"),
            "headers": {"x-one": "1", "User-Agent": "mine"},
        }
        send(request)
        [asked] = server.asked
    assert (asked.method, asked.path) == ("DELETE", "/a%20b/%2F?q=1%202")
    assert asked.headers["X-One"] == "1"
    assert asked.headers["User-Agent"] == "mine"
    assert asked.headers["Host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("members", "body"),
    [
        ({"body": {"b": [1], "a": "x"}}, '{"a":"x","b":[1]}'),
        ({"body": {"b": 1}, "raw_body": "raw"}, "raw"),
        ({}, ""),
    ],
)
def test_bodies(members: dict[str, Any], body: str) -> None:
    with serving(echo) as server:
        found = send({"method": "POST", "url": server.url("/"), **members})
    assert found["body"]["body"] == body


@pytest.mark.parametrize(
    ("kind", "text", "members", "body"),
    [
        ("text/plain", '{"a": 1}', {}, None),
        ("text/plain", '{"a": 1}', {"force_json_decode": True}, {"a": 1}),
        ("text/plain", "a: [1, x]", {"force_yaml_decode": True}, {"a": [1, "x"]}),
        ("application/yaml; charset=utf-8", "a: 1", {}, {"a": 1}),
        ("application/problem+json", "[1e400]", {"force_yaml_decode": True}, None),
        ("application/json", "no json", {}, None),
        ("application/json", "12345678901234567890", {}, 12345678901234567890),
    ],
)
def test_decoding_of_bodies(kind: str, text: str, members: dict[str, Any], body: Any) -> None:
    reply = Reply(200, text.encode(), (("Content-Type", kind),))
    with serving(lambda _: reply) as server:
        found = send({"method": "get", "url": server.url("/"), **members})
    assert found["raw_body"] == text
    if text != "[1e400]":
        assert found["body"] == body


def test_statuses_are_no_errors() -> None:
    with serving(lambda _: Reply(503, b"busy")) as server:
        found = send({"method": "get", "url": server.url("/")})
    assert (found["status_code"], found["raw_body"]) == (503, "busy")


def test_user_and_password_of_an_url_are_sent_and_not_shown() -> None:
    with serving(echo) as server:
        send({"method": "get", "url": f"http://u:p@127.0.0.1:{server.port}/"})
        assert server.asked[0].headers["Authorization"] == "Basic dTpw"
    message = problem({"method": "get", "url": "http://u:secret@127.0.0.1:1/"})
    assert "secret" not in message
    assert "http://u:xxxxx@127.0.0.1:1/" in message


# ---- errors ----

ERRORS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"url": 1, "method": "get"}, 'eval_builtin_error: http.send: "url" must be a string'),
    ({"url": "x", "method": 1}, 'eval_builtin_error: http.send: "method" must be a string'),
    ({"headers": {"a": 1}}, "eval_builtin_error: http.send: invalid type for headers value 1"),
    ({"headers": 1}, "eval_builtin_error: http.send: invalid type for headers key"),
    (
        {"headers": {"a": "1\r\nb: 2"}},
        'eval_builtin_error: http.send: net/http: invalid header field value for "a"',
    ),
    ({"raise_error": 1}, "eval_builtin_error: http.send: invalid value for raise_error field"),
    ({"cache": 1}, 'eval_builtin_error: http.send: invalid value for "cache" field'),
    (
        {"force_cache": True},
        "eval_builtin_error: http.send: 'force_cache' set but 'force_cache_duration_seconds' parameter is missing",
    ),
    (
        {"timeout": "1x"},
        'eval_builtin_error: http.send: invalid timeout value "1x": time: unknown unit "x" in duration "1x"',
    ),
    (
        {"timeout": []},
        "eval_type_error: http.send: operand 1 'timeout' must be one of {string, number} but got array",
    ),
    (
        {"max_retry_attempts": -1},
        'eval_builtin_error: http.send: invalid value -1 for field "max_retry_attempts"',
    ),
    (
        {"enable_redirect": "yes"},
        r'eval_builtin_error: http.send: strconv.ParseBool: parsing "\"yes\"": invalid syntax',
    ),
    (
        {"cache_ignored_headers": "a", "headers": {}},
        "eval_builtin_error: http.send: cache_ignored_headers must be an array of strings",
    ),
)


@pytest.mark.parametrize(("members", "message"), ERRORS)
def test_bad_requests(members: dict[str, Any], message: str) -> None:
    assert problem({"method": "get", "url": "http://127.0.0.1:1/", **members}) == message


def test_a_failure_is_a_response_when_errors_are_not_to_be_raised() -> None:
    found = send({"method": "get", "url": "http://127.0.0.1:1/", "raise_error": False})
    reason = 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'
    error = {"code": "eval_http_send_network_error", "message": reason}
    assert found == {"status_code": 0, "error": error}


def test_an_error_is_undefined_unless_errors_are_strict() -> None:
    call = 'x := http.send({"method": "get", "url": "http://127.0.0.1:1/"})'
    assert query(call, effects=LOOPBACK) == []


# ---- time and size ----


@pytest.mark.parametrize("timeout", ["100ms", 100_000_000, "100000000"])
def test_a_request_ends_at_its_timeout_also_when_bytes_drip(timeout: Any) -> None:
    with serving(lambda _: Reply(200, b"x" * 1000, pause=0.02)) as server:
        message = problem({"method": "get", "url": server.url("/"), "timeout": timeout})
    assert message == (f"eval_builtin_error: http.send: Get {server.url('/')}: request timed out")


def test_the_time_limit_of_the_evaluation_bounds_a_request() -> None:
    with serving(lambda _: Reply(200, b"x" * 1000, pause=0.02)) as server:
        request = {"method": "get", "url": server.url("/"), "timeout": "1h"}
        message = problem(request, limits=Limits(seconds=0.3))
    assert message.startswith(("eval_builtin_error: http.send: Get", "eval_limit_time"))


def test_a_response_has_a_size_limit() -> None:
    effects = Effects(allow_net=("127.0.0.1",), response_bytes=1000)
    with serving(lambda _: Reply(200, b"x" * 1001)) as server:
        message = problem({"method": "get", "url": server.url("/")}, effects)
    assert message == "eval_builtin_error: http.send: the response is longer than 1000 bytes"


def test_failed_requests_are_tried_again() -> None:
    request = {"method": "get", "url": "http://127.0.0.1:1/", "max_retry_attempts": 2}
    assert "connection refused" in problem(request)


# ---- what is refused ----


def test_without_permission_nothing_is_sent_and_the_evaluation_ends() -> None:
    with serving(echo) as server:
        for effects in (Effects(), Effects(allow_net=("example.com", "127.0.0.1:1"))):
            call = f'x := http.send({{"method": "get", "url": "{server.url("/")}"}})'
            with pytest.raises(
                EvaluationError, match=r"policies may not reach the host '127\.0\.0\.1'"
            ):
                query(call, effects=effects)
        assert server.asked == []


def test_not_even_raise_error_hides_a_refusal() -> None:
    message = problem({"method": "get", "url": "http://x.invalid/", "raise_error": False})
    assert "policies may not reach the host 'x.invalid'" in message


def test_a_host_may_be_allowed_for_one_port() -> None:
    with serving(echo) as server:
        effects = Effects(allow_net=(f"127.0.0.1:{server.port}",))
        assert send({"method": "get", "url": server.url("/")}, effects)["status_code"] == 200
        assert "may not reach" in problem({"method": "get", "url": "http://127.0.0.1:1/"}, effects)


def test_an_allowed_name_does_not_lead_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the name is allowed, its address is the loopback's."""
    import socket

    answer = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answer])
    with serving(echo) as server:
        url = server.url("/", host="rebound.example")
        message = problem({"method": "get", "url": url}, Effects(allow_net=("rebound.example",)))
        assert "an address of this machine or its link" in message
        assert server.asked == []
        both = Effects(allow_net=("rebound.example", "127.0.0.1"))
        monkeypatch.undo()
        monkeypatch.setattr(
            socket, "getaddrinfo", _resolver({"rebound.example": answer}, socket.getaddrinfo)
        )
        assert send({"method": "get", "url": url}, both)["status_code"] == 200


def _resolver(known: dict[str, Any], real: Any) -> Any:
    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        return [known[host]] if host in known else real(host, *rest, **more)

    return resolve


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://[::1]:1/", "http://2130706433:1/"])
def test_other_spellings_of_an_address_are_other_hosts(url: str) -> None:
    assert "may not reach" in problem({"method": "get", "url": url})


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "unsupported protocol scheme"),
        ("ftp://127.0.0.1/", "unsupported protocol scheme"),
        ("unix://localhost/x?socket=%2Ftmp%2Fs", "sockets of the file system are not served"),
        ("http://", "no Host in request URL"),
        ("", "unsupported protocol scheme"),
        ("http://127.0.0.1:x/", "invalid port"),
        ("http://127.0.0.1:99999/", "dial tcp"),
    ],
)
def test_urls_that_lead_nowhere(url: str, reason: str) -> None:
    everything = Effects(allow_net=None)
    assert reason in problem({"method": "get", "url": url}, everything)


def test_variables_with_certificates_need_permission_too() -> None:
    request = {
        "method": "get",
        "url": "https://127.0.0.1:1/",
        "tls_ca_cert_env_variable": "HOME",
    }
    assert "may not read the variable 'HOME'" in problem(request)


# ---- redirects ----


def test_redirects_are_responses_unless_the_request_follows_them() -> None:
    def serve(asked: Asked) -> Reply:
        return echo(asked) if asked.path == "/b" else Reply(302, b"", (("Location", "/b"),))

    with serving(serve) as server:
        request = {"method": "post", "url": server.url("/a"), "body": 1}
        assert send(request)["status_code"] == 302
        followed = send({**request, "enable_redirect": True})
    assert followed["body"] == {"method": "GET", "path": "/b", "body": ""}


def test_307_keeps_method_and_body() -> None:
    def serve(asked: Asked) -> Reply:
        return echo(asked) if asked.path == "/b" else Reply(307, b"", (("Location", "/b"),))

    with serving(serve) as server:
        request = {"method": "post", "url": server.url("/a"), "body": 1, "enable_redirect": True}
        assert send(request)["body"] == {"method": "POST", "path": "/b", "body": "1"}


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused() -> None:
    with serving(echo) as inner:
        target = inner.url("/secret", host="localhost")
        with serving(lambda _: Reply(302, b"", (("Location", target),))) as server:
            request = {"method": "get", "url": server.url("/"), "enable_redirect": True}
            assert "may not reach the host 'localhost'" in problem(request)
        assert inner.asked == []


def test_credentials_do_not_follow_to_another_host() -> None:
    with serving(echo) as inner:
        target = inner.url("/", host="localhost")
        with serving(lambda _: Reply(302, b"", (("Location", target),))) as server:
            request = {
                "method": "get",
                "url": server.url("/"),
                "enable_redirect": True,
                "headers": {"Authorization": "Bearer x", "Cookie": "c", "X-Other": "o"},
            }
            send(request, Effects(allow_net=("127.0.0.1", "localhost")))
        headers = inner.asked[0].headers
    assert "Authorization" not in headers and "Cookie" not in headers
    assert headers["X-Other"] == "o"


def test_endless_redirects_end() -> None:
    with serving(lambda _: Reply(302, b"", (("Location", "/"),))) as server:
        request = {"method": "get", "url": server.url("/"), "enable_redirect": True}
        assert "stopped after 10 redirects" in problem(request)
        assert len(server.asked) == 10


# ---- caches ----

POLICY = """package t
r := http.send(object.union({"method": "get", "url": input.url}, input.more)).body
twice := [http.send(object.union(q, {"headers": {"n": n}})).body | some n in ["1", "2"]] if {
    q := {"method": "get", "url": input.url, "cache_ignored_headers": ["n"]}
}
"""


def counting(*headers: tuple[str, str], code: int = 200) -> Any:
    counted: list[int] = []

    def serve(asked: Asked) -> Reply:
        counted.append(1)
        return as_json(len(counted), *headers, code=code)

    return serve


def ask(policy: Any, server: Server, at: int, **more: Any) -> Any:
    """The answer at a second of a clock of ours."""
    effects = Effects(allow_net=("127.0.0.1",), time_ns=(START + at) * 10**9)
    return policy.evaluate("t/r", {"url": server.url("/"), "more": more}, effects=effects)


START = 1_700_000_000
DATE = ("Date", format_datetime(datetime.fromtimestamp(START, UTC), usegmt=True))


@pytest.fixture
def policy() -> Any:
    return load(compile_policy({"t.rego": POLICY}, entrypoints=["t/r", "t/twice"]), limits=SLOW)


def test_each_evaluation_asks_anew(policy: Any) -> None:
    with serving(counting(("Cache-Control", "max-age=9999"), DATE)) as server:
        assert [ask(policy, server, at) for at in (0, 1)] == [1, 2]


def test_equal_requests_of_an_evaluation_are_one_ignored_headers_aside(policy: Any) -> None:
    with serving(counting()) as server:
        url = {"url": server.url("/")}
        assert policy.evaluate("t/twice", url, effects=LOOPBACK) == [1, 1]


def test_cache_keeps_a_response_as_long_as_it_says(policy: Any) -> None:
    with serving(counting(("Cache-Control", "public, max-age=10"), DATE)) as server:
        assert [ask(policy, server, at, cache=True) for at in (0, 9, 11)] == [1, 1, 2]
    expires = ("Expires", format_datetime(datetime.fromtimestamp(START + 10, UTC), usegmt=True))
    with serving(counting(expires)) as server:
        assert [ask(policy, server, at, cache=True) for at in (0, 9, 11)] == [1, 1, 2]
    with serving(counting(("Cache-Control", "no-store"), expires)) as server:
        assert [ask(policy, server, at, cache=True) for at in (0, 1)] == [1, 2]


def test_force_cache_keeps_it_as_long_as_the_policy_says(policy: Any) -> None:
    forced = {"force_cache": True, "force_cache_duration_seconds": 10}
    with serving(counting(("Cache-Control", "no-store"))) as server:
        assert [ask(policy, server, at, **forced) for at in (0, 9, 11, 12)] == [1, 1, 2, 2]


def test_errors_of_a_server_are_not_kept(policy: Any) -> None:
    forced = {"force_cache": True, "force_cache_duration_seconds": 10}
    with serving(counting(code=500)) as server:
        assert [ask(policy, server, at, **forced) for at in (0, 1)] == [1, 2]


def test_what_is_no_longer_fresh_is_asked_again_with_its_tag(policy: Any) -> None:
    def serve(asked: Asked) -> Reply:
        if asked.headers.get("If-None-Match") == '"v1"':
            return Reply(304, b"", (("Etag", '"v1"'),))
        return as_json("once", ("Etag", '"v1"'))

    forced = {"force_cache": True, "force_cache_duration_seconds": 10}
    with serving(serve) as server:
        assert [ask(policy, server, at, **forced) for at in (0, 11, 20)] == ["once"] * 3
        assert [a.headers.get("If-None-Match") for a in server.asked] == [None, '"v1"']


def test_a_cached_response_is_not_for_those_who_may_not_ask(policy: Any) -> None:
    forced = {"force_cache": True, "force_cache_duration_seconds": 10}
    with serving(counting()) as server:
        assert ask(policy, server, 0, **forced) == 1
        with pytest.raises(EvaluationError, match="may not reach"):
            policy.evaluate("t/r", {"url": server.url("/"), "more": forced})


# ---- TLS ----


class _Certificates:
    """An authority, a server's certificate for 127.0.0.1 and localhost, a client's."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._signed("ca", self.key.public_key(), authority=True)
        self.server_pair = self._pair(folder, "server")
        self.client_pair = self._pair(folder, "client")
        self.ca_file = folder / "ca.pem"
        self.ca_text = self.ca.public_bytes(serialization.Encoding.PEM).decode()
        self.ca_file.write_text(self.ca_text)

    def _pair(self, folder: Path, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        cert = self._signed(name, key.public_key(), authority=False)
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, *, authority: bool) -> Any:
        from ipaddress import ip_address

        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=authority,
                    crl_sign=authority,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> _Certificates:
    return _Certificates(tmp_path_factory.mktemp("tls"))


def server_context(certificates: _Certificates, *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server_pair)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates.ca_file)
    return context


def test_a_server_is_verified(certificates: _Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPCAKE_TEST_CA", certificates.ca_text)
    shown = Effects(allow_net=("127.0.0.1",), env=("CUPCAKE_TEST_CA",))
    with serving(echo, server_context(certificates)) as server:
        request = {"method": "get", "url": server.url("/", scheme="https")}
        assert "tls: failed to verify certificate" in problem(request)
        for trusting in (
            {"tls_ca_cert": certificates.ca_text},
            {"tls_ca_cert": certificates.ca_text.replace("\n", "\\n")},
            {"tls_ca_cert_file": str(certificates.ca_file)},
            {"tls_ca_cert_env_variable": "CUPCAKE_TEST_CA"},
            {"tls_insecure_skip_verify": True},
            {"tls_ca_cert": certificates.ca_text, "tls_server_name": "localhost"},
        ):
            assert send({**request, **trusting}, shown)["status_code"] == 200
        other_name = {"tls_ca_cert": certificates.ca_text, "tls_server_name": "example.com"}
        assert "tls: failed to verify certificate" in problem({**request, **other_name})


def test_a_client_shows_its_certificate(certificates: _Certificates) -> None:
    cert, key = certificates.client_pair
    with serving(echo, server_context(certificates, mutual=True)) as server:
        request = {
            "method": "get",
            "url": server.url("/", scheme="https"),
            "tls_ca_cert": certificates.ca_text,
        }
        assert "eval_builtin_error: http.send: Get" in problem(request)
        for pair in (
            {"tls_client_cert_file": str(cert), "tls_client_key_file": str(key)},
            {"tls_client_cert": cert.read_text(), "tls_client_key": key.read_text()},
        ):
            assert send({**request, **pair})["status_code"] == 200


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"tls_ca_cert": "no certificate"}, "could not append certificates"),
        ({"tls_ca_cert_file": "/no/such/file"}, "open /no/such/file: no such file or directory"),
        ({"tls_ca_cert_file": "/dev/zero"}, "not a regular file"),
        ({"tls_client_cert": "x", "tls_client_key": "y"}, "cannot use the client's certificate"),
    ],
)
def test_bad_certificates(members: dict[str, Any], reason: str) -> None:
    assert reason in problem({"method": "get", "url": "https://127.0.0.1:1/", **members})


def test_keys_of_requests_are_json_of_their_members() -> None:
    """Members of a response survive the way through the module: big numbers, other alphabets."""
    with serving(lambda _: as_json({"é": 2**70})) as server:
        found = send({"method": "get", "url": server.url("/é")})
        assert server.asked[0].path == "/%C3%A9"
    assert json.dumps(found["body"]) == json.dumps({"é": 2**70})
