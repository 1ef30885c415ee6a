"""`cupcake eval` in full: arguments with their help, `--no-daemon`, and the hook when the fast start was not taken.

It must fail closed like the hook: exit 2 (or a deny in JSON), never 1.
"""

from __future__ import annotations

import argparse
import sys

from cupcake.client import hook
from cupcake.client.hook_fallback import block


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= hook.MAX_TIMEOUT:
        raise argparse.ArgumentTypeError(f"more than 0 and at most {hook.MAX_TIMEOUT} seconds")
    return value


def main(argv: list[str]) -> int:
    """`argv` starts with the word `eval`."""
    parser = argparse.ArgumentParser(
        prog="cupcake eval",
        description="Judge one agent event: JSON on stdin, one line of JSON on stdout. Exit 0: answered "
        "(also a deny); 2: blocked, the reason is on stderr.",
        allow_abbrev=False,
    )
    parser.add_argument("--harness", required=True, choices=["claude"], help="whose event it is")
    parser.add_argument(
        "--policy-dir", help="the project's .cupcake, or the project (default: here)"
    )
    parser.add_argument("--socket", help="the daemon's socket (default: found, or CUPCAKE_SOCKET)")
    parser.add_argument(
        "--timeout", type=_seconds, default=None, metavar="SECONDS", help="default 5"
    )
    parser.add_argument("--strict", action="store_true", help="exit 2 when the answer is a deny")
    parser.add_argument(
        "--debug", action="store_true", help="accepted for compatibility; no effect"
    )
    parser.add_argument(
        "--no-daemon", action="store_true", help="compile and judge in this process"
    )
    options = parser.parse_args(argv[1:])
    if not options.no_daemon:
        # In the hook's own spelling: what it does not understand it hands to this program, without end.
        plain = [f"--harness={options.harness}"]
        for name in ("policy_dir", "socket", "timeout"):
            value = getattr(options, name)
            if value is not None:
                plain.append(f"--{name.replace('_', '-')}={value}")
        plain += [f"--{name}" for name in ("strict", "debug") if getattr(options, name)]
        return hook.main(plain)
    try:
        event = hook.read_event()
    except hook.Trouble as trouble:
        return block(
            None, f"Cupcake could not decide, so the action is blocked: {trouble.message}."
        )
    try:
        from cupcake.daemon.embedded import load_root

        answer = load_root(hook.project_root(options.policy_dir)).answer(options.harness, event)
    except Exception as error:
        return block(event, f"Cupcake could not decide, so the action is blocked: {error}")
    if answer.stderr:
        sys.stderr.write(answer.stderr + "\n")
    hook.write_all(1, answer.response + b"\n")
    if options.strict and answer.verdict in ("halt", "deny", "block"):
        return 2
    return answer.exit_code
