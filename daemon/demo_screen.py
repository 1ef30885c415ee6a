"""How the demo looks: a pleasure in a terminal, plain text when piped. The only importer of rich; it decides nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

_COLOURS = {
    "deny": "red",
    "block": "red",
    "halt": "red",
    "ask": "yellow",
    "context": "cyan",
    "allow": "green",
}


class Screen:
    """Writes to stdout. `ok` is False as soon as one check failed."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self.ok = True
        self._step = 0

    def title(self, text: str, subtitle: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/bold]\n[dim]{escape(subtitle)}[/dim]")

    def step(self, text: str) -> None:
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}[/bold cyan] [bold]{escape(text)}[/bold]")

    def note(self, text: str) -> None:
        self._console.print(f"  [dim]{escape(text)}[/dim]")

    def event(
        self, what: str, detail: str, decision: str, reason: str, milliseconds: float
    ) -> None:
        """One event and its decision on a line, the reason below it."""
        line = Text("  ")
        line.append(f"{what:<17}")
        line.append(f"{detail:<36}", style="dim")
        line.append(f"{decision:<8}", style=f"bold {_COLOURS.get(decision, 'white')}")
        line.append(f"{milliseconds:6.1f} ms", style="dim")
        self._console.print(line)
        if reason:
            self._console.print(f"  {'':17}[italic]{escape(reason)}[/italic]")

    def code(self, text: str) -> None:
        for line in text.splitlines():
            self._console.print(f"    {escape(line)}", style="magenta")

    def answer(self, response: dict[str, Any]) -> None:
        """The JSON that Claude Code reads."""
        self._console.print(f"  {'':17}[dim]{escape(json.dumps(response))}[/dim]")

    def check(self, holds: bool, text: str) -> None:
        mark = "[green]✓[/green]" if holds else "[bold red]✗ NOT SO:[/bold red]"
        self._console.print(f"  {mark} {escape(text)}")
        self.ok = self.ok and holds

    def close(self, seconds: float) -> None:
        if self.ok:
            self._console.print(
                f"\n[bold green]All of it held.[/bold green] [dim]{seconds:.1f} s[/dim]"
            )
            self._console.print(
                "Next: [bold]cupcake init --harness claude[/bold] in a project of yours.\n"
            )
        else:
            self._console.print(
                "\n[bold red]Something is not as it should be; see the ✗ above.[/bold red]\n"
            )
