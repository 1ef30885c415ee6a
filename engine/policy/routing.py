"""The routing map: is any policy of a layer interested in this event, and which signals do those policies need?

Routing is a gate, not a filter: when one policy is routed, the aggregation entrypoint evaluates all of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Routing:
    """`custom.routing` of a policy. Empty `events` = never routed by itself."""

    events: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.tools or self.signals)


@dataclass(frozen=True, slots=True)
class RoutedPolicy:
    """One compiled policy: its package, where it stands, and its routing."""

    package: str
    file: str
    routing: Routing


@dataclass(frozen=True, slots=True)
class RoutingMap:
    """`any_tool`: event -> policies for every tool and for events without one; `by_tool`: (event, tool) -> policies."""

    any_tool: Mapping[str, tuple[RoutedPolicy, ...]] = field(default_factory=dict)
    by_tool: Mapping[tuple[str, str], tuple[RoutedPolicy, ...]] = field(default_factory=dict)

    def route(self, names: Iterable[str], tool: str | None) -> tuple[RoutedPolicy, ...]:
        """Policies routed for an event. `names`: the event's names in both spellings (normally one)."""
        found: tuple[RoutedPolicy, ...] = ()
        for name in names:
            found += self.any_tool.get(name, ())
            if tool is not None:
                found += self.by_tool.get((name, tool), ())
        return found


def build_routing(policies: Iterable[RoutedPolicy]) -> RoutingMap:
    """`*` among the tools, and no tools at all, both mean any tool."""
    any_tool: dict[str, tuple[RoutedPolicy, ...]] = {}
    by_tool: dict[tuple[str, str], tuple[RoutedPolicy, ...]] = {}
    for policy in policies:
        tools = policy.routing.tools
        for event in policy.routing.events:
            if not tools or "*" in tools:
                any_tool[event] = (*any_tool.get(event, ()), policy)
                continue
            for tool in tools:
                by_tool[event, tool] = (*by_tool.get((event, tool), ()), policy)
    return RoutingMap(any_tool, by_tool)
