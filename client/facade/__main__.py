"""`python -m cupcake` and the `cupcake` command: command word -> module, and only that module is imported."""

from __future__ import annotations

import sys

COMMANDS = {
    "eval": ("cupcake.daemon.cli_eval", "judge one agent event from stdin (the hook)"),
    "init": (
        "cupcake.daemon.cli_init",
        "make .cupcake/ in this project and connect an agent's hooks",
    ),
    "demo": ("cupcake.daemon.demo", "see it at work, in a temporary project"),
    "daemon": ("cupcake.daemon.cli", "start, stop, status, reload the daemon"),
    "status": ("cupcake.daemon.cli", "what the daemon is doing, and what is wrong"),
    "rego": ("cupcake.engine.cli", "eval, test, check, build, plan: Rego on its own"),
    "opa": ("cupcake.engine.cli.opa", "install, path, verify: the OPA executable, if you want it"),
    "trust": ("cupcake.trust.cli", "init, update, verify: trust only files that you signed"),
    "version": ("", "print the version"),
}

USAGE = "usage: cupcake COMMAND [...]\n\ncommands:\n" + "".join(
    f"  {word:<9}{text}\n" for word, (_, text) in COMMANDS.items()
) + (
    "\n`cupcake COMMAND --help` explains one. Exit codes: 0 done, 1 it failed or the answer is no,\n"
    "2 wrong usage (for `eval`: action blocked), 3 a daemon is running already.\n"
)  # fmt: skip


def main() -> int:
    """Runs a command; returns its exit code. Never lets a traceback out."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return 0 if argv else 2
    word = argv[0]
    if word in ("version", "--version", "-V"):
        from cupcake import __version__

        sys.stdout.write(f"cupcake {__version__}\n")
        return 0
    if word not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(word, COMMANDS, 1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        sys.stderr.write(
            f"cupcake: there is no command `{word}`.{hint} `cupcake --help` lists them.\n"
        )
        return 2
    import importlib

    try:
        module = importlib.import_module(COMMANDS[word][0])
        return int(module.main(argv))
    except KeyboardInterrupt:
        return 2 if word == "eval" else 130
    except BrokenPipeError:
        # The reader went away (`| head`): not an error, but stdout must not be flushed again.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 2 if word == "eval" else 1
    except Exception as error:  # the last line of defence: one message, no traceback
        import os

        if os.environ.get("CUPCAKE_TRACEBACK") and word != "eval":
            raise
        if sys.stderr is not None:  # None: it was closed before we started
            sys.stderr.write(f"cupcake {word}: internal error: {type(error).__name__}: {error}\n")
            sys.stderr.write(
                "Set CUPCAKE_TRACEBACK=1 and run it again to see where; please report it.\n"
            )
            if os.environ.get("CUPCAKE_TRACEBACK"):
                sys.excepthook(type(error), error, error.__traceback__)
        return 2 if word == "eval" else 1


if __name__ == "__main__":
    sys.exit(main())
