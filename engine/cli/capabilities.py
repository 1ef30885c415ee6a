"""`cupcake rego capabilities`, and what `--capabilities` of the other commands means: which builtins a policy may call."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cupcake.engine.cli.files import LoadProblem, parse_json, read_text
from cupcake.engine.cli.options import DONE, Parser, Version, common
from cupcake.engine.errors import CompileErrors, Diagnostic, did_you_mean

# In which version of OPA a builtin came, as far as it was not in the first one listed; none ever went.
_SINCE: Final = """
0.17.2 object.filter object.remove object.union
0.18.0 bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor json.remove
0.19.0 net.cidr_contains_matches time.add_date
0.20.0 graph.reachable io.jwt.verify_es384 io.jwt.verify_es512 io.jwt.verify_hs384 io.jwt.verify_hs512
0.20.0 io.jwt.verify_ps384 io.jwt.verify_ps512 io.jwt.verify_rs384 io.jwt.verify_rs512 uuid.rfc4122
0.21.0 crypto.x509.parse_certificate_request
0.22.0 numbers.range semver.compare semver.is_valid
0.23.0 regex.is_valid regex.match
0.24.0 base64.is_valid net.cidr_merge urlquery.decode_object
0.25.0 base64url.encode_no_pad hex.decode hex.encode json.is_valid json.patch yaml.is_valid
0.26.0 ceil floor
0.28.0 time.diff
0.31.0 crypto.x509.parse_and_verify_certificates rand.intn
0.33.0 crypto.x509.parse_rsa_private_key
0.34.0 internal.member_2 internal.member_3 internal.print print
0.35.0 net.lookup_ip_addr
0.36.0 array.reverse crypto.hmac.md5 crypto.hmac.sha1 crypto.hmac.sha256 crypto.hmac.sha512 strings.reverse
0.37.0 graph.reachable_paths indexof_n object.union_n
0.40.0 rego.metadata.chain rego.metadata.rule
0.41.0 graphql.is_valid graphql.parse graphql.parse_and_verify graphql.parse_query graphql.parse_schema units.parse
0.42.0 object.subset
0.44.0 strings.any_prefix_match strings.any_suffix_match
0.45.0 regex.replace
0.46.0 graphql.schema_is_valid net.cidr_is_valid
0.47.0 object.keys providers.aws.sign_req
0.48.0 time.format
0.50.0 json.match_schema json.verify_schema
0.52.0 crypto.hmac.equal
0.53.0 crypto.x509.parse_keypair
0.55.0 crypto.parse_private_keys
0.56.0 numbers.range_step
0.57.0 uuid.parse
0.59.0 strings.render_template
0.63.0 crypto.x509.parse_and_verify_certificates_with_options
0.64.0 json.marshal_with_options
0.67.0 strings.count
1.2.0 internal.test_case
1.8.0 io.jwt.verify_eddsa
1.12.0 internal.template_string
1.13.0 array.flatten
1.16.0 uri.is_valid uri.parse
1.19.0 strings.split_n
"""
_FIRST, _NEWEST = (0, 17, 0), (1, 22, 4)
_REGO_V1 = (1, 0, 0)


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "capabilities",
        parents=[common()],
        help=help,
        description="Print what policies may use, in the form of OPA's capabilities.json.",
        epilog="Exit codes: 0 done, 1 the file cannot be used, 2 wrong usage.",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--current", action="store_true", help="those of this version: also the default"
    )
    chosen.add_argument(
        "--version",
        metavar="VERSION",
        help="those that OPA of a version such as v1.7.0 has too",
    )
    chosen.add_argument("--file", metavar="FILE", help="those that a file allows too")
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints the file."""
    from cupcake.engine.builtins.registry import capabilities

    shape = capabilities()
    chosen = options.version or options.file
    if chosen:
        allowed = read_builtins(chosen)
        listed = shape["builtins"]
        assert isinstance(listed, list)
        shape["builtins"] = [b for b in listed if b["name"] in allowed]
    print(json.dumps(shape, indent=2))
    return DONE


def read_builtins(given: str, version: Version = "v0") -> frozenset[str]:
    """Names of the builtins that a file or a version of OPA has; LoadProblem when there is no such thing,
    CompileErrors when Rego v1 is wanted and not among its features."""
    number = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", given)
    if number:
        return _of_version(given, (int(number[1]), int(number[2]), int(number[3])), version)
    path = Path(given)
    if not path.is_file():
        raise LoadProblem(
            f"--capabilities {given}: neither a file nor a version of OPA, such as v1.7.0"
        )
    document = parse_json(read_text(path), given)
    listed = document.get("builtins") if isinstance(document, Mapping) else None
    if not isinstance(listed, list) or not all(
        isinstance(b, Mapping) and isinstance(b.get("name"), str) for b in listed
    ):
        raise LoadProblem(f'{given}: no capabilities file: "builtins" must be a list of {{"name"}}')
    if "rego_v1" not in (document.get("features") or ()):
        _refuse_v1(given, version)
    return frozenset(b["name"] for b in listed)


def _of_version(given: str, number: tuple[int, int, int], version: Version) -> frozenset[str]:
    from cupcake.engine.builtins.registry import REGISTRY

    if not _FIRST <= number <= _NEWEST:
        close = did_you_mean(given, ["v1.7.0", "v1.7.1", "v1.22.4"])
        raise LoadProblem(
            f"--capabilities {given}: versions v0.17.0 to v1.22.4 of OPA are known{close}"
        )
    if number < _REGO_V1:
        _refuse_v1(given, version)
    later: set[str] = set()
    for line in _SINCE.strip().splitlines():
        since, *names = line.split()
        if tuple(map(int, since.split("."))) > number:
            later.update(names)
    return frozenset(REGISTRY) - later


def _refuse_v1(given: str, version: Version) -> None:
    if version == "v1":
        message = f"illegal capabilities: the features of {given} lack rego_v1, which Rego v1 needs"
        hint = "use --v0-compatible for policies in Rego v0"
        raise CompileErrors((Diagnostic("rego_parse_error", message, hint=hint),))
