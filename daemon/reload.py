"""Projects and their generations: what is built when, and how engines move from one generation to the next.

It decides; processes, sockets and file watching are the supervisor's (`Host`). It never reads a policy.

A generation spreads over the engines one at a time, so that the others keep serving while one loads. The last good
generation serves until a newer one is complete, whatever happens to the files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cupcake.client import messages as m
from cupcake.daemon import wire
from cupcake.daemon.broker import Engine, Request
from cupcake.daemon.lifecycle import (
    PROJECT_TABLE,
    SERVING,
    EngineEvent,
    EngineState,
    ProjectEvent,
    ProjectState,
    step,
)
from cupcake.daemon.metrics import Counters
from cupcake.daemon.snapshot import CUPCAKE

_MOST_PARKED = 256
_LIVE = frozenset({EngineState.READY, EngineState.LOADING})
_RETRIES = 3


class Host(Protocol):
    """What the supervisor does for the projects."""

    def start_build(self, job: dict[str, Any]) -> None: ...
    def watch(self, roots: Iterable[str]) -> None: ...
    def tell(self, engine: Engine, frame: bytes) -> bool: ...
    def requeue(self, request: Request) -> None: ...
    def fail(self, request: Request, code: m.ErrorCode, message: str) -> None: ...
    def engines(self) -> Iterable[Engine]: ...
    def kill(self, engine: Engine, why: str) -> None: ...
    def generation_changed(self) -> None: ...
    def log(self, event: str, **values: object) -> None: ...


@dataclass(slots=True)
class Waiter:
    """A RELOAD that is answered when every project reached its target build. `done` is called once."""

    targets: dict[str, int]
    done: Callable[[], None]


@dataclass(slots=True)
class Project:
    root: str
    state: ProjectState = ProjectState.NEW
    generation: int = 0
    directory: str = ""
    digest: str = ""
    previous: tuple[int, str, str] = (0, "", "")
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tree: str | None = None
    """Content digest that the last build saw."""
    seen: str | None = None
    """Content digest that the watcher posted while a build ran."""
    wanted: str | None = None
    """Content digest that the next build is for, None = whatever there is."""
    used: float = 0.0
    building: bool = False
    again: bool = False
    """A build was asked for while one ran or waited."""
    started: int = 0
    """Builds started so far; `settled`: the newest of them that is over, its generation on every engine."""
    settled: int = 0
    rolling: list[bytes] = field(default_factory=list)
    """Engines that must still take the current generation; the first of them is at it."""
    rolled_to: int = 0
    """How many engines took it in this roll."""
    rebuilt_for: int = 0
    """The generation that was built again because an engine could not load it: once is enough."""
    parked: list[Request] = field(default_factory=list)
    crashes: int = 0
    retry_at: float = 0.0

    def on(self, event: ProjectEvent) -> None:
        self.state = step(PROJECT_TABLE, self.state, event)

    @property
    def serving(self) -> bool:
        return self.state in SERVING and self.generation > 0

    def status(self) -> dict[str, Any]:
        return {
            "root": self.root,
            "generation": self.generation,
            "state": str(self.state),
            "diagnostics": [dict(d) for d in self.diagnostics],
            "warnings": list(self.warnings),
        }


class Projects:
    def __init__(
        self,
        host: Host,
        counters: Counters,
        *,
        most: int,
        most_builds: int,
        idle: float,
    ) -> None:
        self._host = host
        self._count = counters
        self._most = most
        self._most_builds = most_builds
        self._idle = idle
        self._projects: dict[str, Project] = {}
        self._queue: list[str] = []
        self._running = 0
        self._waiters: list[Waiter] = []

    # -- requests ----------------------------------------------------------------------------------------

    def needed(self, engine: Engine, request: Request, root: str, now: float) -> None:
        """An engine does not have `root`: give it the generation, or park the request until there is one."""
        problem = _bad_root(root)
        if problem:
            self._host.fail(request, m.ErrorCode.BAD_REQUEST, problem)
            return
        project = self._projects.get(root)
        if project is not None and (project.serving or project.state is ProjectState.FAILED):
            project.used = now
            self._send(engine, project)
            self._host.requeue(request)
            return
        if project is None:
            if not os.path.isdir(os.path.join(root, CUPCAKE)):
                self._host.fail(request, m.ErrorCode.NO_POLICY, _no_policy(root))
                return
            if len(self._projects) >= self._most and not self._evict():
                self._host.fail(
                    request,
                    m.ErrorCode.OVERLOADED,
                    f"{self._most} projects are being built already",
                )
                return
            project = self._projects[root] = Project(root)
            self._host.watch(self._projects)
        project.used = now
        if len(project.parked) >= _MOST_PARKED:
            self._host.fail(
                request,
                m.ErrorCode.OVERLOADED,
                "too many requests wait for the first build of this project",
            )
            return
        project.parked.append(request)
        if not project.building and root not in self._queue:
            self._enqueue(project)

    def expire(self, now: float) -> None:
        """Parked requests whose time is over."""
        for project in self._projects.values():
            late = [r for r in project.parked if r.deadline <= now]
            if late:
                project.parked = [r for r in project.parked if r.deadline > now]
                self._count.expired += len(late)
                for request in late:
                    self._host.fail(
                        request,
                        m.ErrorCode.EXPIRED,
                        "the deadline passed while the policies were built",
                    )

    def fail_parked(self, code: m.ErrorCode, message: str) -> None:
        for project in self._projects.values():
            parked, project.parked = project.parked, []
            for request in parked:
                self._host.fail(request, code, message)

    def used(self, roots: Iterable[str], now: float) -> None:
        for root in roots:
            if project := self._projects.get(root):
                project.used = now

    # -- files -------------------------------------------------------------------------------------------

    def observed(self, root: str, content: str | None) -> None:
        """The watcher saw this tree (None: it is gone, and has been for a while)."""
        project = self._projects.get(root)
        if project is None:
            return
        if content is None:
            self._vanished(project)
        elif project.building:
            project.seen = content  # compared with what the build saw when it is over
        elif content != project.tree or project.state is ProjectState.REMOVED:
            project.wanted = content
            self._enqueue(project)

    def _vanished(self, project: Project) -> None:
        if project.state is ProjectState.REMOVED or project.building:
            project.again = project.again or project.building
            return
        project.on(ProjectEvent.VANISHED)
        if project.serving:
            project.tree = None
            project.diagnostics = [_diagnostic("removed", _removed(project.root))]
            self._host.log(
                "policies_removed", level="error", root=project.root, generation=project.generation
            )
            self._notify(project)
        else:
            self._forget(project)

    # -- reload ------------------------------------------------------------------------------------------

    def reload(self, root: str | None, accept_removal: bool, done: Callable[[], None]) -> None:
        """Build anew (all projects, or one); `done` when no engine judges by anything older."""
        wanted = [p for p in self._projects.values() if root is None or p.root == root]
        targets: dict[str, int] = {}
        for project in wanted:
            if (
                accept_removal
                and project.state is ProjectState.REMOVED
                and not os.path.isdir(os.path.join(project.root, CUPCAKE))
            ):
                self._host.log("removal_accepted", level="warning", root=project.root)
                self._forget(project)
                continue
            targets[project.root] = project.started + 1
            self._enqueue(project)
        self._count.reloads += 1
        self._waiters.append(Waiter(targets, done))
        self._settle()

    def _enqueue(self, project: Project) -> None:
        if project.building:
            project.again = True
        elif project.root not in self._queue:
            self._queue.append(project.root)
            self.pump()

    def _next(self) -> Project | None:
        """Whose turn it is: first whom requests wait for, then who was used last; a change of the global layer puts
        every project in line at once. None when the root is served no longer."""

        def wanted(root: str) -> tuple[bool, float]:
            project = self._projects.get(root)
            return (bool(project.parked), project.used) if project else (False, 0.0)

        root = max(self._queue, key=wanted)
        self._queue.remove(root)
        return self._projects.get(root)

    def pump(self) -> None:
        """Start the builds that wait, as many as may run at once."""
        while self._queue and self._running < self._most_builds:
            project = self._next()
            if project is None:
                continue
            project.on(ProjectEvent.BUILD)
            project.building = True
            project.again = False
            project.retry_at = 0.0
            project.started += 1
            self._running += 1
            self._count.builds += 1
            wanted, project.wanted = project.wanted, None
            self._host.start_build(
                {
                    "root": project.root,
                    "number": project.generation + 1,
                    "tree": wanted,
                    "current_digest": project.digest if project.generation else "",
                    "keep": [d for d in (project.directory, project.previous[1]) if d],
                }
            )

    def built(self, root: str, result: dict[str, Any], now: float) -> None:
        """A build ended; `result` is the builder's, or one made for a builder that crashed (`crashed`)."""
        self._running -= 1
        project = self._projects.get(root)
        if project is None:
            self.pump()
            return
        project.building = False
        tree = result.get("tree")
        project.tree = tree if isinstance(tree, str) else None
        if result.get("ok"):
            self._succeeded(project, result)
        elif result.get("vanished") and project.generation:
            project.settled = project.started
            self._vanished(project)
        else:
            self._failed(project, result, now)
        seen, project.seen = project.seen, None
        if (project.again or seen not in (None, project.tree)) and self._projects.get(
            root
        ) is project:
            self._enqueue(project)
        self.pump()
        self._settle()

    def _succeeded(self, project: Project, result: dict[str, Any]) -> None:
        project.crashes = 0
        had_notice = bool(project.diagnostics)
        project.diagnostics = []
        project.on(ProjectEvent.BUILT)
        if result.get("unchanged"):
            if had_notice:
                self._notify(project)
            if not project.rolling:
                project.settled = project.started
            return
        project.previous = (project.generation, project.directory, project.digest)
        project.generation = int(result["generation"])
        project.directory = str(result["directory"])
        project.digest = str(result["digest"])
        project.warnings = [str(w) for w in result.get("warnings", ())]
        self._host.log(
            "generation",
            root=project.root,
            generation=project.generation,
            digest=project.digest,
            timings=result.get("timings", {}),
        )
        engines = [e for e in self._host.engines() if e.state in _LIVE]
        project.rolled_to = 0
        if project.previous[0] == 0:
            # Nothing serves yet: all engines at once. Each takes it before the requests that follow.
            project.rolling = []
            for engine in engines:
                self._send(engine, project)
            self._rolled(project)
            parked, project.parked = project.parked, []
            for request in parked:
                self._host.requeue(request)
        else:
            project.rolling = [e.identity for e in engines]
            self._roll(project)

    def _failed(self, project: Project, result: dict[str, Any], now: float) -> None:
        self._count.failed_builds += 1
        project.diagnostics = [d for d in result.get("diagnostics", ()) if isinstance(d, dict)]
        project.on(ProjectEvent.BUILD_FAILED)
        self._host.log(
            "build_failed",
            level="error",
            root=project.root,
            serving_generation=project.generation,
            diagnostics=project.diagnostics[:20],
        )
        if result.get("crashed") or result.get("again"):
            project.crashes += 1
            if project.crashes <= _RETRIES:
                project.retry_at = now + 2.0**project.crashes
        if not project.rolling:
            project.settled = project.started
        self._notify(project)
        parked, project.parked = project.parked, []
        for request in parked:
            self._host.requeue(request)

    def _settle(self) -> None:
        """Answer the reloads that have what they waited for."""
        for waiter in list(self._waiters):
            open_ = [
                root
                for root, target in waiter.targets.items()
                if (p := self._projects.get(root)) is not None and p.settled < target
            ]
            if not open_:
                self._waiters.remove(waiter)
                waiter.done()

    # -- engines -------------------------------------------------------------------------------------------

    def engine_ready(self, engine: Engine, most: int) -> None:
        """A fresh engine takes what is current before its first request: the projects used last."""
        known = [p for p in self._projects.values() if p.serving or p.state is ProjectState.FAILED]
        known.sort(key=lambda p: p.used)
        for project in known[-most:]:
            self._send(engine, project)

    def taken(self, engine: Engine, given: dict[str, Any]) -> None:
        """An engine has (or could not load) a generation."""
        project = self._projects.get(str(given.get("root")))
        error = str(given.get("error") or "")
        generation = given.get("generation")
        if project is None:
            return
        if error:
            self._host.log("load_failed", level="error", root=project.root, error=error)
            if generation != project.generation:
                return
            if project.rolling and not project.rolled_to and project.previous[0]:
                self._roll_back(project, error)
                return
            if project.rolling:
                # Others have it: this one must not go on with an older one.
                self._host.kill(engine, error)
            if project.rebuilt_for != generation:
                # Somebody emptied the cache, or the disk lied: the sources still stand.
                project.rebuilt_for = project.generation
                project.digest = ""
                self._enqueue(project)
            return
        if (
            project.rolling
            and project.rolling[0] == engine.identity
            and generation == project.generation
        ):
            project.rolled_to += 1
            project.rolling.pop(0)
            self._roll(project)

    def engine_lost(self, engine: Engine) -> None:
        for project in self._projects.values():
            if engine.identity in project.rolling:
                first = project.rolling[0] == engine.identity
                project.rolling.remove(engine.identity)
                if first:
                    self._roll(project)

    def _roll(self, project: Project) -> None:
        engines = {e.identity: e for e in self._host.engines()}
        while project.rolling:
            engine = engines.get(project.rolling[0])
            if engine is not None and engine.state in _LIVE and self._send(engine, project):
                return
            project.rolling.pop(0)
        self._rolled(project)

    def _rolled(self, project: Project) -> None:
        if not project.building:
            project.settled = project.started
        else:
            project.settled = max(project.settled, project.started - 1)
        self._host.generation_changed()
        self._settle()

    def _roll_back(self, project: Project, error: str) -> None:
        """No engine can load it: it never takes effect."""
        project.rolling = []
        project.generation, project.directory, project.digest = project.previous
        project.diagnostics = [_diagnostic("load_failed", error)]
        if project.state is ProjectState.ACTIVE:
            project.on(ProjectEvent.BUILD)
        if not project.building:
            project.on(ProjectEvent.BUILD_FAILED)
            project.settled = project.started
        self._count.failed_builds += 1
        self._notify(project)
        self._settle()

    def _notify(self, project: Project) -> None:
        """Tell the engines what users must see in their answers (or why everything is denied)."""
        if project.rolling:
            return  # the roll carries it
        for engine in self._host.engines():
            if engine.state in _LIVE:
                self._send(engine, project)

    def _send(self, engine: Engine, project: Project) -> bool:
        notices: tuple[str, ...] = ()
        failure = ""
        if project.diagnostics:
            text = summary(project)
            if project.serving:
                notices = (text,)
            else:
                failure = text
        if engine.state not in _LIVE:
            return False  # it leaves: its requests go to others
        take = wire.Take(project.root, project.generation, project.directory, failure, notices)
        if not self._host.tell(engine, take.encode()):
            return False
        engine.loads += 1
        engine.on(EngineEvent.LOAD)
        return True

    # -- housekeeping ----------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        self.expire(now)
        for project in list(self._projects.values()):
            if project.retry_at and project.retry_at <= now and not project.building:
                project.retry_at = 0.0
                self._enqueue(project)
            idle = now - project.used > self._idle
            if idle and not (project.building or project.parked or project.rolling):
                self._host.log("project_idle", root=project.root)
                self._forget(project)

    def _evict(self) -> bool:
        idle = [p for p in self._projects.values() if not (p.building or p.parked or p.rolling)]
        if not idle:
            return False
        self._forget(min(idle, key=lambda p: p.used))
        return True

    def _forget(self, project: Project) -> None:
        del self._projects[project.root]
        if project.root in self._queue:
            self._queue.remove(project.root)
        for request in project.parked:
            self._host.fail(request, m.ErrorCode.NO_POLICY, _no_policy(project.root))
        frame = bytes((wire.DROP,)) + project.root.encode("utf-8", "surrogateescape")
        for engine in self._host.engines():
            if engine.state in _LIVE or engine.state is EngineState.DRAINING:
                self._host.tell(engine, frame)
        self._host.watch(self._projects)
        self._settle()

    def status(self) -> list[dict[str, Any]]:
        return [p.status() for p in sorted(self._projects.values(), key=lambda p: p.root)]

    @property
    def roots(self) -> list[str]:
        return list(self._projects)


def summary(project: Project) -> str:
    """What the user reads in an answer: the first faults, and what serves meanwhile."""
    shown = []
    for d in project.diagnostics[:3]:
        place = f"{d.get('file')}:{d.get('row')}: " if d.get("file") else ""
        shown.append(f"{place}{d.get('message')}")
    more = len(project.diagnostics) - len(shown)
    faults = "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
    if project.state is ProjectState.REMOVED:
        return faults
    if project.serving:
        return f"Cupcake: the last edit of the policies is not in effect ({faults}); the previous ones still guard"
    return (
        f"Cupcake: the policies of {project.root} do not build, so everything is denied: {faults}"
    )


def _bad_root(root: str) -> str:
    if (
        not root.startswith("/")
        or "\0" in root
        or len(root) > 4096
        or root != os.path.normpath(root)
    ):
        return "root must be an absolute, normal path of at most 4096 characters"
    return ""


def _no_policy(root: str) -> str:
    return f"there is no {CUPCAKE} folder in {root}; run `cupcake init` there, or remove the hook"


def _removed(root: str) -> str:
    return (
        f"Cupcake: {root}/{CUPCAKE} was removed while the daemon runs; its last policies still guard. Put it back, "
        "or accept with `cupcake daemon reload --accept-removal`"
    )


def _diagnostic(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "file": "", "row": 0, "col": 0}
