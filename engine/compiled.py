"""`CompiledProject`: all that an evaluation needs, in memory and as plain files in a directory.

It holds no source text but that of the signal scripts of a project with trust. Loading trusts the directory (the builder that wrote it owns it) but not its shape: anything
missing or malformed is a LoadError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.effects import Effects
from cupcake.engine.errors import Diagnostic, LoadError
from cupcake.engine.policy.discovery import Layer
from cupcake.engine.policy.origins import Origin, Origins
from cupcake.engine.policy.routing import RoutedPolicy, Routing, RoutingMap, build_routing
from cupcake.engine.policy.signal import Signal

FORMAT = 3
_MANIFEST = "project.json"


@dataclass(frozen=True, slots=True)
class CompiledLayer:
    """One layer for one harness. `artifact` is None when nothing in the layer could decide."""

    layer: Layer
    harness: str
    artifact: Artifact | None
    entrypoint: str
    policies: tuple[RoutedPolicy, ...]
    signals: Mapping[str, Signal]
    builtin_config: Mapping[str, Any]
    origins: Origins
    effects: Effects = field(default_factory=Effects)

    def routing(self) -> RoutingMap:
        """The routing map, built anew: keep it."""
        return build_routing(self.policies)


@dataclass(frozen=True, slots=True)
class CompiledProject:
    """A whole project, ready to evaluate. `digest` is that of the sources; `warnings` are for people."""

    root: str
    digest: str
    global_root: str | None
    layers: tuple[CompiledLayer, ...]
    warnings: tuple[Diagnostic, ...] = field(default=())

    def layer(self, layer: Layer, harness: str) -> CompiledLayer | None:
        """The layer for a harness, None when there is none."""
        for one in self.layers:
            if one.layer == layer and one.harness == harness:
                return one
        return None

    def save(self, directory: Path) -> None:
        """Write the project into `directory` (made if missing). The manifest is written last."""
        directory.mkdir(parents=True, exist_ok=True)
        layers = [_layer_to_json(one, directory) for one in self.layers]
        manifest = {
            "format": FORMAT,
            "root": self.root,
            "digest": self.digest,
            "global_root": self.global_root,
            "warnings": [asdict(warning) for warning in self.warnings],
            "layers": layers,
        }
        text = json.dumps(manifest, ensure_ascii=True, separators=(",", ":"))
        (directory / _MANIFEST).write_text(text, encoding="ascii")


def load_compiled(directory: Path) -> CompiledProject:
    """Read what `CompiledProject.save` wrote; raises LoadError naming the file."""
    file = directory / _MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
        if manifest["format"] != FORMAT:
            raise LoadError(
                f"{file}: format {manifest['format']} is not {FORMAT}; build the project again"
            )
        return CompiledProject(
            root=manifest["root"],
            digest=manifest["digest"],
            global_root=manifest["global_root"],
            layers=_layers_from_json(manifest["layers"], directory),
            warnings=tuple(Diagnostic(**warning) for warning in manifest["warnings"]),
        )
    except OSError as error:
        raise LoadError(
            f"{error.filename or file}: {error.strerror}; build the project again"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(
            f"{file}: damaged ({type(error).__name__}: {error}); build the project again"
        ) from None


def _layer_to_json(one: CompiledLayer, directory: Path) -> dict[str, Any]:
    artifact: dict[str, Any] | None = None
    if one.artifact is not None:
        name = f"{one.layer}-{one.harness}"
        (directory / f"{name}.wasm").write_bytes(one.artifact.wasm)
        (directory / f"{name}.owned.wasm").write_bytes(one.artifact.wasm_owned)
        (directory / f"{name}.data.json").write_bytes(one.artifact.data)
        # All layers of a build run on one core: it is written once.
        core = f"core-{one.artifact.core_digest}.wasm"
        if not (directory / core).exists():
            (directory / core).write_bytes(one.artifact.core)
        artifact = {
            "entrypoints": list(one.artifact.entrypoints),
            "builtins": dict(one.artifact.builtins),
            "source_map": one.artifact.source_map,
            "capabilities": list(one.artifact.capabilities),
            "core": core,
            "rego_version": one.artifact.rego_version,
        }
    return {
        "layer": one.layer,
        "harness": one.harness,
        "artifact": artifact,
        "entrypoint": one.entrypoint,
        "policies": [
            [
                p.package,
                p.file,
                list(p.routing.events),
                list(p.routing.tools),
                list(p.routing.signals),
            ]
            for p in one.policies
        ],
        "signals": {name: _signal_to_json(s, directory) for name, s in one.signals.items()},
        "builtin_config": dict(one.builtin_config),
        "origins": {
            text: [[o.package, o.file, o.row] for o in found]
            for text, found in one.origins.literals.items()
        },
        "context_packages": list(one.origins.context_packages),
        "effects": {
            "allow_net": list(one.effects.allow_net or ()),
            "env": list(one.effects.env or ()),
        },
    }


def _signal_to_json(signal: Signal, directory: Path) -> list[Any]:
    """Command, timeout, script and the SHA-256 of the script's bytes, which lie in a file of that name."""
    digest: str | None = None
    if signal.content is not None:
        digest = hashlib.sha256(signal.content).hexdigest()
        (directory / f"script-{digest}").write_bytes(signal.content)
    return [signal.command, signal.timeout, signal.script, digest]


def _signal_from_json(fields: list[Any], directory: Path) -> Signal:
    command, timeout, script, digest = fields
    content: bytes | None = None
    if digest is not None:
        content = (directory / f"script-{digest.replace('/', '')}").read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{script} is not what was built")
    return Signal(command, timeout, script, content)


def _layers_from_json(layers: list[dict[str, Any]], directory: Path) -> tuple[CompiledLayer, ...]:
    cores = {one["artifact"]["core"] for one in layers if one["artifact"] is not None}
    if any("/" in core for core in cores):
        raise ValueError("a core outside of the directory")
    read = {core: (directory / core).read_bytes() for core in cores}
    return tuple(_layer_from_json(one, directory, read) for one in layers)


def _layer_from_json(
    one: dict[str, Any], directory: Path, cores: Mapping[str, bytes]
) -> CompiledLayer:
    artifact: Artifact | None = None
    if one["artifact"] is not None:
        name = f"{one['layer']}-{one['harness']}"
        meta = one["artifact"]
        artifact = Artifact(
            wasm=(directory / f"{name}.wasm").read_bytes(),
            wasm_owned=(directory / f"{name}.owned.wasm").read_bytes(),
            entrypoints=tuple(meta["entrypoints"]),
            builtins=meta["builtins"],
            data=(directory / f"{name}.data.json").read_bytes(),
            source_map=meta["source_map"],
            capabilities=tuple(meta["capabilities"]),
            core=cores[meta["core"]],
            rego_version=meta["rego_version"],
        )
    return CompiledLayer(
        layer=one["layer"],
        harness=one["harness"],
        artifact=artifact,
        entrypoint=one["entrypoint"],
        policies=tuple(
            RoutedPolicy(package, file, Routing(tuple(events), tuple(tools), tuple(signals)))
            for package, file, events, tools, signals in one["policies"]
        ),
        signals={
            name: _signal_from_json(fields, directory) for name, fields in one["signals"].items()
        },
        builtin_config=one["builtin_config"],
        origins=Origins(
            {text: tuple(Origin(*o) for o in found) for text, found in one["origins"].items()},
            tuple(one["context_packages"]),
        ),
        effects=Effects(tuple(one["effects"]["allow_net"]), tuple(one["effects"]["env"])),
    )
