"""The host builtins that need an optional library, or the compiler: imported when the first of them is called.

The tables name what each module serves, so that a policy can be linked without importing it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from cupcake.engine.builtins.gate import Gated
from cupcake.engine.errors import EvaluationError

_HERE = "cupcake.engine.builtins.host."

# module -> the names of its FUNCTIONS and GATED
SERVED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "certificates",
        (
            "crypto.parse_private_keys",
            "crypto.x509.parse_and_verify_certificates",
            "crypto.x509.parse_and_verify_certificates_with_options",
            "crypto.x509.parse_certificate_request",
            "crypto.x509.parse_certificates",
            "crypto.x509.parse_keypair",
            "crypto.x509.parse_rsa_private_key",
        ),
    ),
    (
        "graphql_rules",
        (
            "graphql.is_valid",
            "graphql.parse",
            "graphql.parse_and_verify",
            "graphql.parse_query",
            "graphql.parse_schema",
            "graphql.schema_is_valid",
        ),
    ),
    ("http_send", ("http.send",)),
    ("network", ("net.lookup_ip_addr",)),
    ("rego_modules", ("rego.parse_module",)),
    ("schemas", ("json.match_schema", "json.verify_schema")),
    (
        "signatures",
        (
            "io.jwt.decode_verify",
            "io.jwt.encode_sign",
            "io.jwt.encode_sign_raw",
            "io.jwt.verify_eddsa",
            *(f"io.jwt.verify_{kind}{n}" for kind in ("es", "ps", "rs") for n in (256, 384, 512)),
        ),
    ),
)


# Of these, the ones that take the evaluation's gate.
_GATED = frozenset(
    {
        "graphql.is_valid",
        "graphql.parse",
        "graphql.parse_and_verify",
        "graphql.parse_query",
        "graphql.parse_schema",
        "graphql.schema_is_valid",
        "http.send",
        "io.jwt.decode_verify",
        "io.jwt.encode_sign",
        "io.jwt.encode_sign_raw",
        "net.lookup_ip_addr",
        "rego.parse_module",
    }
)


def _late(module: str, name: str) -> Callable[..., Any] | Gated:
    def call(*operands: Any) -> Any:
        try:
            family = importlib.import_module(_HERE + module)
        except ModuleNotFoundError as error:
            # No BuiltinError: the rule would become undefined, which may mean "allowed".
            raise EvaluationError(
                "eval_internal_error",
                f"{name} needs the library {error.name}, which is not installed; "
                "install it: pip install 'cupcake-policy[full]'",
            ) from None
        return dict(family.GATED if name in _GATED else family.FUNCTIONS)[name](*operands)

    return Gated(call) if name in _GATED else call


def functions() -> Iterator[tuple[str, Callable[..., Any] | Gated]]:
    """(name, function) of every builtin in `SERVED`."""
    for module, names in SERVED:
        for name in names:
            yield name, _late(module, name)
