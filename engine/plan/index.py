"""Rule index: runs, of many pieces of code, those whose guards on `input` can be met.

Code size stays linear: each piece is emitted once. Pieces are run in no particular order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cupcake.engine.plan import ir
from cupcake.engine.plan.emitter import Emitter
from cupcake.engine.plan.guards import Guards, InputPath

_WORTH_A_SWITCH = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Code that has an effect only where `guards` are met; `emit` plans it (called once)."""

    guards: Guards
    emit: Callable[[], ir.Block]


def indexed_blocks(emitter: Emitter, pieces: Sequence[Piece]) -> list[ir.Block]:
    """Blocks that have the effect of all pieces."""
    return _blocks(emitter, [p for p in pieces if all(p.guards.values())], frozenset())


def _blocks(
    emitter: Emitter, pieces: Sequence[Piece], used: frozenset[InputPath]
) -> list[ir.Block]:
    path = _best_path(pieces, used)
    if path is None:
        return [piece.emit() for piece in pieces]
    guarded = [piece for piece in pieces if path in piece.guards]
    rest = [piece for piece in pieces if path not in piece.guards]
    blocks = _blocks(emitter, rest, used | {path})
    mark = emitter.capture()
    source: ir.Operand = ir.LocalOperand(0)
    for key in path:
        source = emitter.dot(source, emitter.pool.operand(key))
    local = emitter.as_local(source)
    for layer in _layers(guarded, path):
        cases = []
        for values, members in layer:
            inner = _blocks(emitter, members, used | {path})
            strings = tuple(emitter.pool.string(value) for value in sorted(values))
            stmt = ir.BlockStmt(tuple(inner), emitter.place)
            cases.append((strings, ir.Block((stmt,))))
        emitter.emit(ir.SwitchStmt(local, tuple(cases), ir.Block(()), emitter.place))
    blocks.append(emitter.finish(mark))
    return blocks


def _best_path(pieces: Sequence[Piece], used: frozenset[InputPath]) -> InputPath | None:
    """The part of input that rules out most pieces; None when no switch is worth its cost."""
    counts = Counter(path for piece in pieces for path in piece.guards if path not in used)
    if not counts:
        return None
    path = min(counts, key=lambda p: (-counts[p], p))
    return path if counts[path] >= _WORTH_A_SWITCH else None


def _layers(
    pieces: Sequence[Piece], path: InputPath
) -> list[list[tuple[frozenset[str], list[Piece]]]]:
    """Pieces by their value sets, the sets put in layers of disjoint ones: one switch a layer."""
    by_values: dict[frozenset[str], list[Piece]] = {}
    for piece in pieces:
        by_values.setdefault(piece.guards[path], []).append(piece)
    layers: list[list[tuple[frozenset[str], list[Piece]]]] = []
    taken: list[set[str]] = []
    for values, members in by_values.items():
        for layer, seen in zip(layers, taken, strict=True):
            if seen.isdisjoint(values):
                layer.append((values, members))
                seen |= values
                break
        else:
            layers.append([(values, members)])
            taken.append(set(values))
    return layers
