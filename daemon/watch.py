"""Watching policy folders: events are hints, the hash of the tree is the truth, two equal reads make a change. What has
been read once only is told too, to whoever reads again before anything comes of it.

Of the daemon, the only importer of watchfiles. It reads and hashes files in threads of its own and posts (name, digest or None);
it builds nothing and decides nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cupcake.daemon.snapshot import content_digest, stat_digest

_GONE_FOR = 0.15
"""A folder must be away for so long before it counts as removed: checkouts and renames replace folders."""
_ABSENT_POLL = 0.1
_GIT_PATIENCE = 3.0


@dataclass(slots=True)
class _Look:
    """What is known of one folder."""

    folder: str
    stat: str | None = None
    posted: str | None = ""
    """The last digest posted; "" = none yet, None = gone."""
    candidate: str | None = ""
    since: float = 0.0
    due: float = 0.0
    place: tuple[int, int] | None = None


class Watcher:
    """`post(name, digest)` is called from a thread, at least once for each folder, and then for each change that settled;
    `sight(name, digest)` for a change when it is seen first: files may still be written."""

    def __init__(
        self,
        post: Callable[[str, str | None], None],
        *,
        sight: Callable[[str, str], None],
        step: float,
        settle: float,
        poll: float,
        trouble: Callable[[str], None],
    ) -> None:
        self._post = post
        self._sight = sight
        self._step_ms = max(1, int(step * 1000))
        self._settle = settle
        self._poll = poll
        self._trouble = trouble
        self._looks: dict[str, _Look] = {}
        self._wanted: dict[str, str] | None = None
        self._wake = threading.Condition()
        self._hints: set[str] = set()
        self._stop = False
        self._native_stop: threading.Event | None = None
        self._native_works = True
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._scan, name="cupcake-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stop = True
            self._wake.notify()
        if self._native_stop is not None:
            self._native_stop.set()

    def watch(self, folders: Mapping[str, str]) -> None:
        """From now on watch exactly these: name -> folder."""
        with self._wake:
            self._wanted = dict(folders)
            self._wake.notify()

    def hint(self, names: Iterable[str]) -> None:
        with self._wake:
            self._hints.update(names)
            self._wake.notify()

    # -- the scanner's thread --------------------------------------------------------------------------

    def _scan(self) -> None:
        next_poll = time.monotonic() + self._poll
        while True:
            now = time.monotonic()
            soonest = min(
                [look.due for look in self._looks.values() if look.due], default=next_poll
            )
            with self._wake:
                if not (self._stop or self._hints or self._wanted is not None):
                    self._wake.wait(max(0.0, min(soonest, next_poll) - now))
                if self._stop:
                    return
                hints, self._hints = self._hints, set()
                wanted, self._wanted = self._wanted, None
            if wanted is not None:
                self._set(wanted)
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + (self._poll if self._native_works else min(self._poll, 0.25))
                hints.update(self._looks)
            for name in hints:
                if (look := self._looks.get(name)) is not None:
                    self._glance(look, now)
            if any(_place(look.folder) != look.place for look in self._looks.values()):
                self._restart_native()
            for name, look in list(self._looks.items()):
                if look.due and look.due <= now:
                    self._read(name, look)

    def _set(self, wanted: dict[str, str]) -> None:
        self._looks = {
            name: self._looks.get(name) or _Look(folder, due=time.monotonic())
            for name, folder in wanted.items()
        }
        self._restart_native()

    def _glance(self, look: _Look, now: float) -> None:
        """Something may have changed: look closer when the cheap digest says so."""
        if not look.due and stat_digest(look.folder) != look.stat:
            look.candidate = ""
            look.since = look.due = now

    def _read(self, name: str, look: _Look) -> None:
        look.stat = stat_digest(look.folder)
        content = content_digest(look.folder) if look.stat is not None else None
        now = time.monotonic()
        if content is None:
            if look.candidate is not None:
                look.candidate = None
                look.since = now
            if now - look.since >= _GONE_FOR and look.posted is not None:
                look.posted = None
                self._post(name, None)
            look.due = now + (_ABSENT_POLL if look.posted is None else self._settle)
            return
        if content != look.candidate:
            if look.candidate in ("", None):
                look.since = now
            look.candidate = content
            look.due = now + self._settle
            if look.posted not in ("", content) and not _git_is_busy(look.folder):
                self._sight(name, content)
            return
        if now - look.since < _GIT_PATIENCE and _git_is_busy(look.folder):
            look.due = now + self._settle
            return
        look.due = 0.0
        if content != look.posted:
            look.posted = content
            self._post(name, content)

    # -- the native watch: one thread, started again when the set of folders changes ----------------------

    def _restart_native(self) -> None:
        if self._native_stop is not None:
            self._native_stop.set()
        folders: dict[str, str] = {}
        for name, look in self._looks.items():
            look.place = _place(look.folder)
            if look.place is not None:
                folders[os.path.realpath(look.folder)] = name
        self._native_stop = threading.Event()
        if folders:
            threading.Thread(
                target=self._native,
                args=(folders, self._native_stop),
                name="cupcake-inotify",
                daemon=True,
            ).start()

    def _native(self, folders: Mapping[str, str], stop: threading.Event) -> None:
        from watchfiles import watch

        again = time.monotonic() + 0.1
        try:
            changes = watch(
                *folders,
                watch_filter=None,
                debounce=max(50, self._step_ms * 4),
                step=self._step_ms,
                stop_event=stop,
                rust_timeout=100,
                yield_on_timeout=True,
                raise_interrupt=False,
            )
            for batch in changes:
                if again and time.monotonic() >= again:
                    # What happened while the watch was being set up was not reported.
                    again = 0.0
                    self.hint(folders.values())
                names: set[str] = set()
                for _, path in batch:
                    names.update(
                        n for f, n in folders.items() if path == f or path.startswith(f + os.sep)
                    )
                if names:
                    self.hint(names)
            self._native_works = True
        except Exception as error:
            if not stop.is_set():
                # A folder vanished meanwhile, or the system has no watches left: the poll does it then.
                self._native_works = False
                self._trouble(f"{type(error).__name__}: {error}")
                self.hint(folders.values())


def _place(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _git_is_busy(folder: str) -> bool:
    """Git changes files one by one under this lock; what lies between is nobody's policy."""
    return os.path.lexists(os.path.join(os.path.dirname(folder), ".git", "index.lock"))
