"""From an event to a ready answer: route, preprocess, run signals, evaluate both layers, synthesise, speak the
harness's language. Everything that goes wrong ends in a refusal in the harness's own terms, never in an allow.

This is the engine's front door for the daemon and for in-process use. No sockets, no watching, no building of its own.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.effects import Effects
from cupcake.engine.compiled import CompiledLayer, CompiledProject, load_compiled
from cupcake.engine.errors import (
    BadEvent,
    BuildFailed,
    CompileErrors,
    Diagnostic,
    EngineError,
    EvaluationError,
    OpaError,
)
from cupcake.engine.harness.adapters import Adapter, adapter_for, harness_name, refuse_plainly
from cupcake.engine.harness.answer import HarnessAnswer, encode, make_answer
from cupcake.engine.harness.event import event_names, guess_event_name, parse_event
from cupcake.engine.policy.builtin_config import builtin_signals, reads_params
from cupcake.engine.policy.decision import (
    Decision,
    DecisionSet,
    Modification,
    read_decision_set,
)
from cupcake.engine.policy.discovery import CONFIG_DIR, HARNESSES, ProjectSources
from cupcake.engine.policy.routing import RoutedPolicy
from cupcake.engine.policy.synthesis import NO_OPINION, FinalDecision, merge_layers, synthesise
from cupcake.engine.preprocess.event import clean_event, enrich_event
from cupcake.engine.signals import Command, run_signals
from cupcake.engine.vm import Limits, Policy, load

if TYPE_CHECKING:
    from cupcake.engine.compiler import Compiler
    from cupcake.engine.policy.assemble import LayerPlan

__all__ = [
    "BuildFailed",
    "CompiledProject",
    "Evaluator",
    "HarnessAnswer",
    "compile_project",
    "failure_answer",
    "load_compiled",
]


# What one compile of a project leaves for the next: a compiler for each layer and harness.
Compilers: TypeAlias = "dict[tuple[str, str], Compiler]"


def compile_project(sources: ProjectSources, before: Compilers | None = None) -> CompiledProject:
    """Compile every layer for every harness that has policies; raises BuildFailed with all diagnostics.

    `before`: what an earlier call was given, to work on nothing but what has changed since."""
    # Only a builder compiles; an engine process starts without the compiler and the YAML reader.
    from cupcake.engine.compiler import Compiler, compile_policy
    from cupcake.engine.policy.assemble import assemble

    compilers = {} if before is None else before

    plans, findings = assemble(sources)
    errors = list(findings.errors)
    layers: list[CompiledLayer] = []
    for plan in plans:
        artifact = None
        if plan.modules:
            try:
                if plan.rulebook.compiler == "opa":
                    artifact = compile_policy(
                        plan.modules, entrypoints=(plan.entrypoint,), compiler="opa"
                    )
                else:
                    compiler = compilers.setdefault(
                        (plan.layer, plan.harness), Compiler(linked=False)
                    )
                    compiler.effects = plan.rulebook.effects
                    artifact = compiler.compile(plan.modules, entrypoints=(plan.entrypoint,))
            except OpaError as failed:
                errors.append(Diagnostic("opa_error", str(failed)))
                continue
            except CompileErrors as failed:
                errors.extend(d for d in failed.diagnostics if d not in errors)
                continue
        layers.append(_compiled_layer(plan, artifact))
    if errors:
        raise BuildFailed(tuple(errors))
    return CompiledProject(
        root=sources.root,
        digest=sources.digest,
        global_root=sources.global_root,
        layers=tuple(layers),
        warnings=tuple(findings.warnings),
    )


def _load(
    artifact: Artifact,
    cache_dir: Path | None,
    limits: Limits | None,
    effects: Effects,
    *,
    quick_first: bool,
) -> Policy:
    if not artifact.foreign:
        return load(
            artifact, cache_dir=cache_dir, limits=limits, effects=effects, quick_first=quick_first
        )
    # OPA leaves most builtins to the host; ours come from the runtime, through the compiler.
    from cupcake.engine.bridge import runtime_builtins

    return load(
        artifact,
        cache_dir=cache_dir,
        limits=limits,
        builtins=runtime_builtins(),
        effects=effects,
    )


def _compiled_layer(plan: LayerPlan, artifact: Any) -> CompiledLayer:
    return CompiledLayer(
        layer=plan.layer,
        harness=plan.harness,
        artifact=artifact,
        entrypoint=plan.entrypoint,
        policies=plan.policies,
        signals=plan.rulebook.signals,
        builtin_config=plan.rulebook.builtins.injected,
        effects=plan.rulebook.effects,
        origins=plan.origins,
    )


def failure_answer(harness: str, event: bytes | None, reason: str) -> HarnessAnswer:
    """The refusal of `harness` for an event that could not be judged. Total: never raises."""
    adapter = adapter_for(harness_name(harness))
    try:
        name: str | None = event_names(parse_event(event or b""))[0]
    except BadEvent:
        name = guess_event_name(event)
    return _failure(adapter, name, reason)


def _failure(
    adapter: Adapter | None, name: str | None, reason: str, warnings: tuple[str, ...] = ()
) -> HarnessAnswer:
    text = reason if reason.startswith("Cupcake") else f"Cupcake: {reason}"
    wire = refuse_plainly(text) if adapter is None else adapter.fail(name, text)
    return make_answer(FinalDecision("deny", text), wire, warnings=warnings)


@dataclass(slots=True)
class _Judged:
    """What one event came to, before a harness's words are put on it."""

    final: FinalDecision
    warnings: tuple[str, ...]
    matched: tuple[str, ...]
    timings: dict[str, int]


class Evaluator:
    """Answers events for one compiled project. Thread-safe as far as the VM's policies are; holds no event state."""

    def __init__(
        self,
        compiled: CompiledProject,
        *,
        cache_dir: Path | None = None,
        limits: Limits | None = None,
        quick_first: bool = False,
    ) -> None:
        """Loads every module at once, so that a broken one is found here (LoadError) and not by an event.

        `cache_dir`: folder of compiled machine code. `limits`: memory and time of each evaluation. `quick_first`: begin with
        code that is compiled fast; for a server that calls `prepare`, which changes to the better code."""
        self.root = compiled.root
        self.project = compiled
        self._layers: dict[str, tuple[_LoadedLayer, ...]] = {}
        for harness in HARNESSES:
            # The global layer first: its refusals end the evaluation.
            found = [compiled.layer("global", harness), compiled.layer("project", harness)]
            loaded = tuple(
                _LoadedLayer(
                    layer,
                    None
                    if layer.artifact is None
                    else _load(
                        layer.artifact, cache_dir, limits, layer.effects, quick_first=quick_first
                    ),
                    compiled,
                )
                for layer in found
                if layer is not None
            )
            if loaded:
                self._layers[harness] = loaded

    def answer(self, harness: str, event: bytes) -> HarnessAnswer:
        """Judge one event as the harness sent it. Never raises: every fault is a refusal with its reason."""
        started = time.perf_counter_ns()
        adapter: Adapter | None = None
        name: str | None = None
        try:
            harness = harness_name(harness)
            adapter = adapter_for(harness)
            if adapter is None:
                known = harness in HARNESSES
                return _failure(
                    None,
                    None,
                    f"the harness {harness!r} is not {'supported by this version' if known else 'known'}; "
                    "use --harness claude",
                )
            parsed = parse_event(event)
            names = event_names(parsed)
            name = names[0]
            judged = self._judge(harness, parsed, names)
            wire = adapter.respond(parsed, judged.final)
            judged.timings["total"] = (time.perf_counter_ns() - started) // 1000
            return make_answer(
                judged.final,
                wire,
                timings=judged.timings,
                warnings=judged.warnings,
                matched=judged.matched,
            )
        except BadEvent as error:
            return _failure(
                adapter,
                name or guess_event_name(event),
                f"{error}; nothing was evaluated, so it is refused",
            )
        except EvaluationError as error:
            return _failure(
                adapter,
                name,
                f"the policies could not be evaluated ({error.code}: {error.message}); refused",
            )
        except EngineError as error:
            return _failure(adapter, name, f"{error}; refused")
        except MemoryError:
            return _failure(adapter, name, "out of memory while evaluating; refused")
        except Exception as error:
            # The last line of defence: a fault of ours must not become an allow.
            return _failure(
                adapter, name, f"internal error ({type(error).__name__}: {error}); refused"
            )

    def decide(self, event: dict[str, Any], harness: str | None = None) -> dict[str, Any]:
        """The tagged FinalDecision for an untyped event (the original library's call).

        Raises BadEvent or EvaluationError: an in-process caller is told, it does not get a wire form."""
        chosen = harness or (
            "claude" if "claude" in self._layers else next(iter(self._layers), "claude")
        )
        try:
            parsed = parse_event(encode(event))
        except ValueError as error:
            raise BadEvent(f"the event is not JSON: {error}") from None
        return self._judge(chosen, parsed, event_names(parsed)).final.tagged()

    def prepare(self) -> None:
        """Do ahead what the next event needs; for an engine, after it has answered."""
        for layers in self._layers.values():
            for layer in layers:
                if layer.policy is not None:
                    layer.policy.prepare()

    def rehearse(self, event: bytes) -> None:
        """Evaluate every layer of every harness on `event`, routed or not and without running signals.

        For a builder, before a build takes effect: raises EvaluationError when a module cannot judge at all
        (limits, conflicts, no result). What it decides does not matter."""
        parsed = parse_event(event)
        for harness, layers in self._layers.items():
            enriched = enrich_event(harness, clean_event(harness, parsed)[0], self.root)
            for layer in layers:
                if layer.policy is not None:
                    layer.judge(enriched)

    def _judge(self, harness: str, parsed: dict[str, Any], names: tuple[str, ...]) -> _Judged:
        layers = self._layers.get(harness)
        if layers is None:
            raise EngineError(
                f"this project has no policies for {harness} ({CONFIG_DIR}/policies/{harness}); "
                f"run `cupcake init --harness {harness}`"
            )
        clock = time.perf_counter_ns
        begin = clock()
        cleaned, warnings = clean_event(harness, parsed)
        tool = cleaned.get("tool_name")
        if tool is not None and not isinstance(tool, str):
            # It would be routed to no policy for a tool, and so judged by none.
            raise BadEvent("tool_name is not a string")
        routes = [
            (layer, layer.routing.route(names, tool) if layer.policy is not None else ())
            for layer in layers
        ]
        timings = {"route": (clock() - begin) // 1000}
        if not any(routed for _, routed in routes):
            return _Judged(NO_OPINION, tuple(warnings), (), timings)
        begin = clock()
        enriched = enrich_event(harness, cleaned, self.root)
        timings["preprocess"] = (clock() - begin) // 1000
        found: DecisionSet | None = None
        matched: tuple[str, ...] = ()
        for layer, routed in routes:
            if not routed:
                continue
            matched += tuple(policy.package for policy in routed)
            decisions = layer.evaluate(enriched, routed, timings)
            warnings.extend(decisions.faults)
            if not decisions.is_empty:
                warnings.extend(layer.unrouted(decisions, routed))
            found = decisions if found is None else merge_layers(found, decisions)
            if layer.is_global and (found.halts or found.denials or found.blocks):
                break
        final = synthesise(found) if found is not None else NO_OPINION
        return _Judged(final, tuple(warnings), matched, timings)


class _LoadedLayer:
    """A layer with its module loaded and its look-ups made."""

    def __init__(
        self, layer: CompiledLayer, policy: Policy | None, project: CompiledProject
    ) -> None:
        self.policy = policy
        self.routing = layer.routing()
        self.is_global = layer.layer == "global"
        self._layer = layer
        self._root = project.root
        self._nothing = b""
        config = (
            Path(project.global_root)
            if self.is_global and project.global_root
            else Path(project.root) / CONFIG_DIR
        )
        self._commands = {
            name: Command(
                shlex.quote(str(config / signal.script)) if signal.script else signal.command,
                signal.timeout,
                signal.content,
            )
            for name, signal in layer.signals.items()
        }
        self._params = any(reads_params(policy.package) for policy in layer.policies)
        self._builtin_config = dict(layer.builtin_config)
        if not self.is_global:
            # Upstream's overlay: what the global rulebook configures wins over the project's, builtin by builtin.
            above = project.layer("global", layer.harness)
            if above is not None:
                self._builtin_config.update(above.builtin_config)

    def evaluate(
        self, enriched: dict[str, Any], routed: tuple[RoutedPolicy, ...], timings: dict[str, int]
    ) -> DecisionSet:
        """Signals, then the module; a result that is no decision set becomes a denial."""
        document = enriched
        needed = self._needed_signals(enriched, routed)
        if needed:
            begin = time.perf_counter_ns()
            values = run_signals(
                {name: self._commands.get(name) for name in needed}, encode(enriched), self._root
            )
            document = {**document, "signals": values}
            timings["signals"] = (
                timings.get("signals", 0) + (time.perf_counter_ns() - begin) // 1000
            )
        begin = time.perf_counter_ns()
        decisions = self.judge(document)
        timings["evaluate"] = timings.get("evaluate", 0) + (time.perf_counter_ns() - begin) // 1000
        return decisions

    def judge(self, document: dict[str, Any]) -> DecisionSet:
        """One run of the module over an input that is complete but for the configuration."""
        if self._params and "tool_input" in document:
            document = {**document, "params": document["tool_input"]}
        if self._builtin_config:
            document = {**document, "builtin_config": self._builtin_config}
        assert self.policy is not None
        return self._read(self.policy.evaluate_json(self._layer.entrypoint, encode(document)))

    def unrouted(self, decisions: DecisionSet, routed: tuple[RoutedPolicy, ...]) -> list[str]:
        """One warning for each decision of a policy that was not routed for this event."""
        here = {policy.package for policy in routed}
        told: list[str] = []
        decided: tuple[Decision | Modification, ...] = (
            *decisions.halts,
            *decisions.denials,
            *decisions.blocks,
            *decisions.asks,
            *decisions.modifications,
        )
        for decision in decided:
            packages = self._layer.origins.packages(decision.rule_id)
            if packages and packages.isdisjoint(here):
                text = (
                    f"{decision.rule_id} of {', '.join(sorted(packages))} decided, "
                    "though the policy is not routed for this event: test the event in its rules, or route it"
                )
                if text not in told:
                    told.append(text)
        return told

    def _needed_signals(
        self, enriched: Mapping[str, Any], routed: tuple[RoutedPolicy, ...]
    ) -> list[str]:
        needed: dict[str, None] = {}
        arguments = enriched.get("tool_input")
        for policy in routed:
            needed.update(dict.fromkeys(policy.routing.signals))
            if self._commands:
                own = builtin_signals(
                    policy.package, self._commands, arguments if isinstance(arguments, dict) else {}
                )
                needed.update(dict.fromkeys(own))
        return list(needed)

    def _read(self, raw: bytes) -> DecisionSet:
        if raw == self._nothing:
            return DecisionSet()
        try:
            results = json.loads(raw.decode())
        except (ValueError, RecursionError):
            raise EvaluationError("eval_internal_error", "the module did not return JSON") from None
        if not isinstance(results, list) or not results:
            # Upstream takes "no result" for "nothing decided". A stock entrypoint always has one.
            raise EvaluationError(
                "eval_undefined",
                f"{self._layer.entrypoint} has no result; give `evaluate` a value for every event",
            )
        first = results[0]
        value = first["result"] if isinstance(first, dict) and "result" in first else first
        decisions = read_decision_set(value, self._layer.origins.locate)
        if decisions.is_empty and not decisions.faults:
            # Most events give this very text, which need not be read again.
            self._nothing = raw
        return decisions
