"""The builder: one process for one build. Verify trust, compile, canary, compile ahead, publish, say so, end.

It reads one JSON job from standard input and writes one JSON result to standard output. Until the job comes it waits with
everything imported: so a build starts in milliseconds. What it is fed may be hostile; its limits are its walls.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from cupcake.daemon import snapshot
from cupcake.daemon.errors import SnapshotError
from cupcake.daemon.worker import die_with_parent, load_module
from cupcake.trust import store
from cupcake.trust.errors import TrustError

_DATA_LIMIT = 4 << 30
# The pool of the VM alone reserves 320 GB of it (engine/vm/pool.py); reserved is not used.
_QUIET = 1.0
_ADDRESS_LIMIT = 1 << 40
# How often files are compiled that change all the time; what was found last takes effect, and the watcher tells of more.
_ATTEMPTS = 8


class Untrusted(Exception):
    """The project's files are not what was signed; the message names file, expected and actual."""


def verify_trust(sources: Any, state_dir: Path | None = None) -> bool:
    """Is trust on for the project? Raises Untrusted unless the very bytes in `sources` may be used: with trust on,
    all that it reads must be what was signed; without, everything may. The history outside the project says which."""
    files = {file.path: file.data for file in sources.files if file.layer == "project"}
    try:
        folder = state_dir or store.state_dir()
        return store.verify_sources(sources.root, files, folder, now=time.time()) is not None
    except TrustError as error:
        raise Untrusted(str(error)) from error
    except OSError as error:
        raise Untrusted(f"{error.filename}: cannot be verified: {error.strerror}") from error


def build(module: ModuleType, job: dict[str, Any], compilers: Any = None) -> dict[str, Any]:
    """The result as the supervisor reads it: `ok`, and either the generation or the diagnostics. `compilers` are those of
    an earlier compile, to start from.

    The job may come while files are being written. So they are read again when they have been compiled, and nothing comes
    of what was found first, neither a generation nor diagnostics, unless they are the same."""
    root = str(job["root"])
    folder = snapshot.folder_of(root)
    tree = job.get("tree") or snapshot.content_digest(folder)
    result: dict[str, Any] = {"ok": False, "root": root, "tree": tree, "diagnostics": []}
    if tree is None:
        return _vanished(result)
    timings: dict[str, int] = {}
    begin = time.perf_counter()

    def lap(name: str) -> None:
        timings[name] = int((time.perf_counter() - begin) * 1000)

    try:
        sources = _read(module, job)
        lap("read_ms")
        for left in reversed(range(_ATTEMPTS)):
            if job.get("current_digest") and sources.digest == job["current_digest"]:
                return {**result, "ok": True, "unchanged": True, "digest": sources.digest}
            compiled: Any = None
            failed: Exception | None = None
            try:
                compiled = module.compile_project(sources, compilers)
                lap("compiled_ms")
                module.canary(compiled, Path(job["cache_dir"]))
            except module.EngineError as error:
                failed = error
            lap("canary_ms")
            if not left or _read(module, job).digest == sources.digest:
                break
            # The digest before the files: what changes in between is then found to differ, and built again.
            result["tree"] = snapshot.content_digest(folder)
            sources = _read(module, job)
        if failed is not None:
            raise failed
        generation = _publish(job, root, sources.digest, compiled)
        lap("published_ms")
    except module.BuildFailed as error:
        result["diagnostics"] = [_as_dict(d) for d in error.diagnostics]
    except module.ProjectError as error:
        if snapshot.content_digest(folder) is None:
            return _vanished(result)
        result["diagnostics"] = [diagnostic("project_error", str(error))]
    except Untrusted as error:
        result["diagnostics"] = [diagnostic("untrusted", str(error))]
    except SnapshotError as error:
        result["diagnostics"] = [diagnostic("publish_failed", str(error))]
        result["again"] = True
    except module.EngineError as error:
        message = f"the policies cannot judge a harmless event: {error}"
        result["diagnostics"] = [diagnostic("canary_failed", message)]
    except MemoryError:
        result["diagnostics"] = [
            diagnostic("build_limit", "the build needs more memory than a build may have")
        ]
    else:
        result.update(
            ok=True,
            generation=generation.number,
            directory=str(generation.directory),
            digest=generation.digest,
            warnings=[w.render() for w in compiled.warnings],
            timings=timings,
        )
    return result


def _vanished(result: dict[str, Any]) -> dict[str, Any]:
    message = f"there is no {snapshot.CUPCAKE} folder with policies; run `cupcake init` there"
    return {**result, "vanished": True, "diagnostics": [diagnostic("no_policy", message)]}


def _read(module: ModuleType, job: dict[str, Any]) -> Any:
    """The project's files, and the user's own, as far as they may be used."""
    global_dir = Path(job["global_dir"]) if job.get("global_dir") else None
    sources = module.read_sources(str(job["root"]), global_dir=global_dir)
    if verify_trust(sources, Path(job["state_dir"])):
        sources = replace(sources, trusted=True)
    return sources


def _publish(job: dict[str, Any], root: str, digest: str, compiled: Any) -> snapshot.Generation:
    """To the first of the given places that takes it, the cache usually."""
    problem: SnapshotError | None = None
    keep = frozenset(str(k) for k in job["keep"])
    for place in job["places"]:
        base = Path(place)
        number = max(int(job["number"]), snapshot.highest_number(base, root) + 1)
        try:
            snapshot.sweep(base, root, keep)
            return snapshot.publish(base, root, number, digest, compiled.save)
        except SnapshotError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def diagnostic(code: str, message: str, file: str = "") -> dict[str, Any]:
    return {"code": code, "message": message, "file": file, "row": 0, "col": 0}


def _as_dict(d: Any) -> dict[str, Any]:
    return {
        "code": d.code,
        "message": d.message,
        "file": d.file,
        "row": d.row,
        "col": d.col,
        "rendered": d.render() if hasattr(d, "render") else "",
    }


def _is_wanted() -> bool:
    """Whether the job has come."""
    return bool(select.select([0], [], [], 0)[0])


def _optimise(module: ModuleType, compiled: Any, cache_dir: Path) -> None:
    # Beside waiting, so that no build waits for it; not at once, because where files are saved one after the other the next
    # build comes soon and makes it useless. A help, never a need: engines that find nothing compile it themselves.
    time.sleep(_QUIET)
    with contextlib.suppress(Exception):
        module.optimise(compiled, cache_dir)


def limit_resources(seconds: float, *, final: bool = True) -> None:
    """Hard walls: processor time, data (which the kernel counts without the VM's reserved address space), no core file.

    Of processor time `seconds` more than was used; when not `final`, that may be raised again."""
    used = time.process_time()
    bounds = [(resource.RLIMIT_CPU, int(used + seconds) + 1), (resource.RLIMIT_CORE, 0)]
    if sys.platform == "linux":
        bounds += [(resource.RLIMIT_DATA, _DATA_LIMIT), (resource.RLIMIT_AS, _ADDRESS_LIMIT)]
    for which, most in bounds:
        hard = resource.getrlimit(which)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (bound, bound if final else hard))


def main() -> int:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    start = json.loads(sys.stdin.buffer.readline())
    die_with_parent(start["parent"])
    module = load_module(start["engine_module"])
    # One short life with a memory limit: collecting cycles would only cost time.
    gc.disable()
    limit_resources(float(start["seconds"]), final=False)
    compilers = None
    # Whatever goes wrong here goes wrong again in the build, which reports it.
    with contextlib.suppress(Exception):
        cache_dir = Path(start["cache_dir"])
        global_dir = Path(start["global_dir"]) if start.get("global_dir") else None
        compilers, found = module.warm_up(cache_dir, start.get("root"), global_dir, _is_wanted)
        if found is not None:
            threading.Thread(target=_optimise, args=(module, found, cache_dir), daemon=True).start()
    os.write(1, b"\n")  # an empty line: ready
    line = sys.stdin.buffer.readline()
    if not line.strip():
        os._exit(0)  # never needed
    job = json.loads(line)
    limit_resources(float(job["seconds"]))
    result = build(module, job, compilers)
    sys.stdout.buffer.write(json.dumps(result).encode() + b"\n")
    sys.stdout.buffer.flush()
    # The VM's threads and caches need no tidy end, and the supervisor waits for ours.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
