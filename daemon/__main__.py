"""`cupcaked`, or `python -m cupcake.daemon`: run a daemon in the foreground.

Exit codes: 0 stopped as asked, 1 failed, 2 a bad option, 3 another daemon runs already, 4 an unsafe directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cupcake.daemon.config import Config, load
from cupcake.daemon.errors import DaemonError


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        config = load(sys.argv[1:] if arguments is None else arguments, os.environ)
        return serve(config)
    except DaemonError as error:
        print(f"cupcaked: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(
            f"cupcaked: {error.strerror or error}: {error.filename or ''}".rstrip(": "),
            file=sys.stderr,
        )
        return 1


def serve(config: Config) -> int:
    """Take the lock, serve until told to stop. Raises DaemonError when it cannot begin."""
    from cupcake.daemon import endpoint

    endpoint.prepare_directory(config.runtime_dir, config.group)
    lock = endpoint.Lock(config.lock)
    try:
        from cupcake.daemon.logs import Log
        from cupcake.daemon.notify import Notifier
        from cupcake.daemon.supervisor import Supervisor

        os.chdir("/")
        log = Log(config.log_file, verbose=config.verbose)
        try:
            Supervisor(config, log, Notifier(os.environ)).run()
        finally:
            log.close()
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
