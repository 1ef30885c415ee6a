"""Builder processes as the supervisor sees them: one a build, one kept warm, killed at their time limit.

It knows jobs and results as maps; what a build does is `builder`'s, in its own process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from cupcake.daemon.config import Config
from cupcake.daemon.process import Child

_WARM_WITHIN = 10.0
_Attach = Callable[[Child, Callable[[], None]], None]


class _Build:
    """One builder process and, once it has one, its job."""

    __slots__ = ("child", "deadline", "done", "root")

    def __init__(self, child: Child) -> None:
        self.child = child
        self.root: str | None = None
        self.deadline = 0.0
        self.done = False


class Builds:
    def __init__(
        self,
        config: Config,
        attach: _Attach,
        detach: Callable[[Child], None],
        built: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._config = config
        self._attach = attach
        self._detach = detach
        self._built = built
        self._standby: _Build | None = None
        self._all: list[_Build] = []
        self._last_root: str | None = None

    def warm(self, now: float) -> None:
        """Have one process waiting with everything imported, and the project of the last build compiled."""
        if self._config.standby_builder and self._standby is None:
            try:
                self._standby = self._spawn(now)
            except OSError:
                self._standby = None  # the next build tries, and reports

    def start(self, job: dict[str, Any], now: float) -> None:
        """Calls `built(root, result)` exactly once, later or at once."""
        config = self._config
        root = str(job["root"])
        build, self._standby = self._standby, None
        if (
            build is not None
            and not build.child.output
            and now - build.child.started > _WARM_WITHIN
        ):
            build.child.kill()  # whatever it warms itself with, it does not come to an end
            build = None
        if build is None:
            try:
                build = self._spawn(now)
            except OSError as error:
                self._built(root, _crashed(f"cannot start a build process: {error.strerror}"))
                return
        build.root = self._last_root = root
        build.deadline = now + config.timing.build
        build.child.tell(
            {
                **job,
                "global_dir": str(config.global_dir) if config.global_dir else None,
                "cache_dir": str(config.cache_dir),
                "state_dir": str(config.state_dir),
                "places": [str(config.cache_dir), str(config.runtime_dir)],
                "seconds": config.timing.build,
            },
            last=True,
        )

    def _spawn(self, now: float) -> _Build:
        build = _Build(Child("cupcake.daemon.builder", now, capture=True))
        self._all.append(build)
        self._attach(build.child, lambda: self._heard(build))
        build.child.tell(
            {
                "parent": os.getpid(),
                "engine_module": self._config.engine_module,
                "cache_dir": str(self._config.cache_dir),
                "global_dir": str(self._config.global_dir) if self._config.global_dir else None,
                "root": self._last_root,
                "seconds": self._config.timing.build,
            },
            last=False,
        )
        return build

    def _heard(self, build: _Build) -> None:
        """The result is a line: no need to wait for the end of the process."""
        if not build.done and build.root is not None and _has_result(build.child):
            self._over(build, "")

    def _over(self, build: _Build, why: str) -> None:
        build.done = True
        assert build.root is not None
        result: dict[str, Any] | None = None
        try:
            given = json.loads(bytes(build.child.output)) if not why else None
            if isinstance(given, dict) and given.get("root") == build.root:
                result = given
        except ValueError:
            pass
        self._built(
            build.root,
            result if result is not None else _crashed(why or "the build process wrote no result"),
        )

    def tick(self, now: float) -> None:
        for build in self._all:
            if build.deadline and now >= build.deadline and not build.done:
                build.deadline = 0.0
                build.child.kill()
                self._over(
                    build,
                    f"the build took longer than {self._config.timing.build:g} seconds and was ended",
                )

    def reap(self, now: float) -> None:
        """After SIGCHLD."""
        for build in [b for b in self._all if b.child.poll()]:
            self._all.remove(build)
            self._detach(build.child)
            build.child.finish()
            if build is self._standby:
                self._standby = None
            elif not build.done and build.root is not None:
                self._over(
                    build,
                    "" if _has_result(build.child) else f"the build process {build.child.why}",
                )
            if build.root is not None:
                self.warm(now)

    def stop(self) -> None:
        for build in self._all:
            build.child.kill()
        for build in self._all:
            build.child.wait(5.0)
            build.child.finish()
        self._all.clear()
        self._standby = None


def _has_result(child: Child) -> bool:
    """An empty line says that the builder is warm; the line after it is the result."""
    return child.output.endswith(b"\n") and bool(child.output.strip())


def _crashed(why: str) -> dict[str, Any]:
    return {
        "ok": False,
        "crashed": True,
        "tree": None,
        "diagnostics": [{"code": "build_crashed", "message": why, "file": "", "row": 0, "col": 0}],
    }
