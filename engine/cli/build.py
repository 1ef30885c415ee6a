"""`cupcake rego build`: policies and data to an OPA bundle, a plan bundle or a bare module. Equal input gives equal bytes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.options import (
    DONE,
    Parser,
    UsageError,
    Version,
    allowed_builtins,
    common,
    compiling,
    ignoring,
    load_given,
    switch,
    version_of,
)
from cupcake.engine.cli.schema_files import load_schemas
from cupcake.engine.cli.verifying import verifying
from cupcake.engine.errors import EngineError

if TYPE_CHECKING:
    from cupcake.engine.bundle import Manifest
    from cupcake.engine.cli.files import Loaded
    from cupcake.engine.cli.signing import Signing
    from cupcake.engine.rego.checked import Checked

_BARE = {".wasm": "wasm", ".json": "plan"}
_REFUSED = {
    "prune_unused": "--prune-unused: policies go into a bundle as they are; -t wasm and -t plan hold what the "
    "entrypoints need, and nothing else",
    "follow_symlinks": "--follow-symlinks: a bundle's folder holds the files themselves; without -b, links are followed",
    "signing_plugin": "--signing-plugin: there are none",
    "plan_addons": "--plan-addons: plans hold what the entrypoints need, and nothing else",
}


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "build",
        parents=[common(), ignoring(), compiling(), verifying()],
        help=help,
        description="Compile policies and data. The output is reproducible: equal input, equal bytes.",
        epilog="Exit codes: 0 done, 1 errors, 2 wrong usage. For opa's sake, without effect: --optimize (the compiler "
        "always does), --debug, --partial-namespace, --format json.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy or data file, or folder")
    parser.add_argument(
        "-e",
        "--entrypoint",
        action="append",
        default=[],
        help="rule or package to evaluate, a/b/c; may be repeated. Those with `entrypoint: true` in their METADATA count too",
    )
    switch(parser, "-b", "--bundle", help="read each PATH as a bundle's file or folder")
    parser.add_argument(
        "-t",
        "--target",
        choices=["rego", "wasm", "plan"],
        help="what the bundle holds: the policies (default, as with `opa`), a WebAssembly module, or OPA's intermediate "
        "representation beside the policies. -o FILE.wasm means wasm, -o FILE.json plan",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="bundle.tar.gz",
        help="FILE.tar.gz, or FILE.wasm or FILE.json for the bare module or plan (default bundle.tar.gz)",
    )
    parser.add_argument("-r", "--revision", help="revision for the bundle's manifest")
    switch(parser, "-S", "--strict", help="strict mode of the compiler")
    switch(
        parser,
        "--wasm-include-print",
        help="-t wasm: keep print(...), as calls of internal.print, which the host must serve",
    )
    signing = parser.add_argument_group("signing")
    signing.add_argument(
        "--signing-key",
        metavar="KEY",
        help="sign the bundle: a secret for HS256, HS384 or HS512, else a PEM file with a private key",
    )
    signing.add_argument(
        "--claims-file", default="", metavar="FILE", help="JSON file of further claims"
    )
    _for_opas_sake(parser)
    return parser


def _for_opas_sake(parser: Parser) -> None:
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS}
    parser.add_argument("-O", "--optimize", type=int, **hidden)
    parser.add_argument("--partial-namespace", **hidden)
    parser.add_argument("--format", dest="plan_format", choices=["json"], **hidden)
    for name in "--plan-addons", "--signing-plugin":
        parser.add_argument(name, **hidden)
    for name in "--debug", "--prune-unused", "--follow-symlinks":
        switch(parser, name, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Builds and writes by a temporary file, so that a reader never sees half of it."""
    from cupcake.engine.cli.plan import checked_policy
    from cupcake.engine.entrypoints import known_entrypoints

    for name, why in _REFUSED.items():
        if getattr(options, name):
            raise UsageError(why)
    output = Path(options.output)
    target = _target(options, output)
    signing = _signing(options, output)
    loaded = load_given(options)
    version = version_of(options)
    checked = checked_policy(
        loaded,
        version,
        strict=options.strict,
        allowed=allowed_builtins(options),
        schemas=load_schemas(options.schema),
        prints=options.wasm_include_print and target == "wasm",
    )
    marked = _marked(checked)
    entrypoints = known_entrypoints(checked, options.entrypoint)
    entrypoints += [e for e in marked if e not in entrypoints]
    if target != "rego" and not entrypoints:
        raise UsageError(
            f"-t {target} needs an entrypoint: give one, such as -e example/allow, or mark a rule with "
            "`entrypoint: true` in its METADATA"
        )
    manifest = _manifest(loaded, version, options.revision)
    made = _Made(loaded, checked, entrypoints, marked, manifest, signing)
    content = made.content(target, bare=output.suffix in _BARE)
    _write(output, content)
    names = ", entrypoints " + ", ".join(entrypoints) if entrypoints else ""
    print(f"{output}: {len(content)} bytes{names}", file=sys.stderr)
    return DONE


def _target(options: argparse.Namespace, output: Path) -> str:
    bare = _BARE.get(output.suffix)
    target: str = options.target or bare or "rego"
    if bare is not None and bare != target:
        right = "a .tar.gz" if target == "rego" else f"a .tar.gz or {_suffix(target)}"
        raise UsageError(f"-t {target} makes no {output.suffix}: name {right}")
    return target


def _signing(options: argparse.Namespace, output: Path) -> Signing | None:
    from cupcake.engine.cli.signing import Signing

    if options.signing_key is None:
        if options.claims_file:
            raise UsageError("--claims-file goes into a signature: give --signing-key too")
        return None
    if not options.bundle:
        raise UsageError("only bundles are signed: give -b, and PATHs in the layout of a bundle")
    if output.suffix in _BARE:
        raise UsageError(f"only bundles are signed: name a .tar.gz, not {output}")
    return Signing(
        options.signing_key, options.signing_alg, options.verification_key_id, options.claims_file
    )


def _suffix(target: str) -> str:
    return next(suffix for suffix, made in _BARE.items() if made == target)


def _marked(checked: Checked) -> dict[str, list[Mapping[str, Any]]]:
    """Paths of packages and rules that METADATA marks as entrypoints -> annotations to show with them."""
    from cupcake.engine.plan.terms import data_path
    from cupcake.engine.rego.compile import ground_prefix
    from cupcake.engine.rego.metadata import shown_annotations

    found: dict[str, list[Mapping[str, Any]]] = {}
    for module in checked.modules:
        package = "/".join(map(str, data_path(module.package) or ()))
        if any(one.values.get("entrypoint") is True for one in module.annotations):
            found.setdefault(package, [])  # OPA shows those of rules only
        for rule in module.rules:
            for one in rule.annotations:
                if one.values.get("entrypoint") is True:
                    path = "/".join(map(str, ground_prefix(rule.head.ref)))
                    found.setdefault(path, []).append(shown_annotations(one))
    return {path: found[path] for path in sorted(found)}


def _manifest(loaded: Loaded, version: Version, revision: str | None) -> Manifest:
    """Of the input's manifest when there is one; the roots of all when there are several."""
    from cupcake.engine.bundle import Manifest, inside

    roots = {root for stated in loaded.manifests for root in stated.get("roots", [""])}
    made = Manifest(
        revision=revision or "",
        roots=tuple(sorted(roots)) or ("",),
        rego_version=version,
        file_versions={inside(n): v for n, v in loaded.versions.items() if v != version},
    )
    if len(loaded.manifests) != 1:
        return made
    (stated,) = loaded.manifests
    before = stated.get("revision", "") if revision is None else revision
    return replace(made, revision=before, metadata=stated.get("metadata") or {})


@dataclass(frozen=True, slots=True)
class _Made:
    """All that an output is made from."""

    loaded: Loaded
    checked: Checked
    entrypoints: list[str]
    marked: Mapping[str, list[Mapping[str, Any]]]
    manifest: Manifest
    signing: Signing | None

    def content(self, target: str, *, bare: bool) -> bytes:
        """The bytes of the bundle, or of the `bare` module or plan."""
        from cupcake.engine.bundle import module_files, source_files
        from cupcake.engine.cli.plan import plain_form, planned
        from cupcake.engine.documents import document
        from cupcake.engine.prints import PRINT
        from cupcake.engine.wasm.assemble import assemble, document_json

        base = document(self.loaded.data)
        if target == "wasm":
            policy = replace(planned(self.checked, self.entrypoints), data=base)
            artifact = assemble(policy, extra_builtins=[PRINT])
            if bare:
                return artifact.wasm
            files = module_files(artifact, manifest=self.manifest, annotations=self.marked)
            return self._archive(files)
        plan = None
        if target == "plan":
            form = plain_form(planned(self.checked, self.entrypoints))
            plan = json.dumps(form, separators=(",", ":")).encode()
            if bare:
                return plan
        data = document_json(base).encode()
        return self._archive(
            source_files(data, self.loaded.modules, plan=plan, manifest=self.manifest)
        )

    def _archive(self, files: Mapping[str, bytes]) -> bytes:
        from cupcake.engine.bundle import archive
        from cupcake.engine.cli.signing import sign

        return archive(files if self.signing is None else sign(files, self.signing))


def _write(output: Path, content: bytes) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(output)
    except OSError as error:
        raise EngineError(f"{output}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
