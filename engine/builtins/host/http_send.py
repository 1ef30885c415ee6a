"""`http.send`: the builtin over its parts: what is asked (`http_request`), how (`http_wire`), and what is kept (`http_cache`).

Imported only when it is called.
"""

from __future__ import annotations

from collections.abc import Callable

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.http_cache import ResponseCache, through_cache
from cupcake.engine.builtins.host.http_request import (
    Request,
    cache_key,
    members_of,
    raises,
    read_request,
)
from cupcake.engine.builtins.host.http_wire import NAME, Response, check_host, exchange
from cupcake.engine.builtins.host.network import NetworkError, NetworkTimeoutError
from cupcake.engine.builtins.host.operands import failed, mapping
from cupcake.engine.builtins.host.tokens import json_value
from cupcake.engine.builtins.host.yamls import load_yaml
from cupcake.engine.builtins.texts import from_bytes
from cupcake.engine.builtins.values import BuiltinError, Value

_INTERNAL, _NETWORK = "eval_http_send_internal_error", "eval_http_send_network_error"


def _send(gate: Gate, request: Value) -> Value:
    mapping(NAME, 1, request)
    raise_error = raises(NAME, request)
    try:
        return _answer(gate, request)
    except NetworkTimeoutError as error:
        if raise_error:
            method_and_url = str(error).partition('": ')[0].replace('"', "")
            raise failed(NAME, f"{method_and_url}: request timed out") from None
        return _failure(_NETWORK, str(error))
    except NetworkError as error:
        if raise_error:
            raise failed(NAME, str(error)) from None
        return _failure(_NETWORK, str(error))
    except BuiltinError as error:
        if raise_error:
            raise
        code = "eval_type_error" if error.kind == "type" else "eval_builtin_error"
        return _failure(_INTERNAL, f"{code}: {error.message}")


def _failure(code: str, message: str) -> Value:
    return {"status_code": 0, "error": {"code": code, "message": message}}


def _answer(gate: Gate, request: Value) -> Value:
    members = members_of(NAME, request)
    key = cache_key(NAME, members)
    wanted = read_request(gate, NAME, members)
    # Before the caches: what is not allowed is not answered from there either.
    check_host(gate, wanted.url)
    # Requests that differ in headers to ignore only are one within an evaluation.
    known: dict[str, Value | Exception] = gate.memory.setdefault(NAME, {})
    if key not in known:
        try:
            known[key] = _shown(_performed(gate, wanted, key), wanted)
        except (NetworkError, BuiltinError) as error:
            known[key] = error
    found = known[key]
    if isinstance(found, Exception):
        raise found
    return found


def _performed(gate: Gate, wanted: Request, key: str) -> Response:
    if not wanted.cached:
        return exchange(gate, wanted)
    cache: ResponseCache = gate.shared.setdefault(NAME, ResponseCache())
    return through_cache(cache, key, wanted, gate.now_ns(), lambda r: exchange(gate, r))


def _shown(response: Response, request: Request) -> Value:
    headers: dict[str, Value] = {}
    for name, text in response.headers:
        texts = headers.setdefault(name.lower(), [])
        assert isinstance(texts, list)
        texts.append(text)
    return {
        "status": f"{response.code} {response.reason}".strip(),
        "status_code": response.code,
        "body": _decoded(response, request),
        "raw_body": from_bytes(response.body),
        "headers": headers,
    }


def _decoded(response: Response, request: Request) -> Value:
    """The body if it is JSON or YAML, null where it should be and is not."""
    text = from_bytes(response.body)
    kind = response.header("content-type")
    media = kind.partition(";")[0].strip().lower()
    is_json = media == "application/json" or (
        media.startswith("application/") and media.endswith("+json")
    )
    try:
        if request.force_json or is_json:
            return json_value(text)
        if request.force_yaml or "application/yaml" in kind or "application/x-yaml" in kind:
            return load_yaml(NAME, text)
    except (ValueError, BuiltinError):
        pass
    return None


GATED: tuple[tuple[str, Callable[..., Value]], ...] = ((NAME, _send),)
