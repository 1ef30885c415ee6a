"""The runtime under test: as the committed module in wasmtime, and as native C under the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import wasmtime

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "engine" / "runtime"
PAGES = 8


class Aborted(Exception):
    """opa_abort was called; the argument is its text."""


class Runtime:
    """One instance of runtime.wasm, with values as addresses. `limit` caps its memory in bytes."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, limit: int = -1) -> None:
        self.store = wasmtime.Store(engine)
        self.store.set_limits(memory_size=limit)
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(PAGES, None)))
        linker = wasmtime.Linker(engine)
        linker.define(self.store, "env", "memory", self.memory)
        for needed in module.imports:
            if needed.name == "opa_abort":
                linker.define_func("env", "opa_abort", needed.type, self._abort)
            elif needed.name != "memory":
                linker.define_func("env", needed.name, needed.type, lambda *_: 0)
        self.exports = linker.instantiate(self.store, module).exports(self.store)

    def _abort(self, address: int) -> None:
        raise Aborted(self.text(address))

    def call(self, name: str, *arguments: int) -> int:
        result = self.exports[name](self.store, *arguments)
        return 0 if result is None else result

    def text(self, address: int) -> str:
        out = bytearray()
        while True:
            chunk = bytes(self.memory.read(self.store, address, address + 4096))
            end = chunk.find(0)
            if end >= 0:
                return (out + chunk[:end]).decode()
            out += chunk
            address += 4096

    def write(self, data: bytes) -> int:
        address = self.call("opa_malloc", len(data))
        self.memory.write(self.store, data, address)
        return address

    def parse(self, text: str | bytes, how: str = "opa_json_parse") -> int:
        data = text.encode() if isinstance(text, str) else text
        return self.call(how, self.write(data), len(data))

    def value(self, text: str | bytes) -> int:
        address = self.parse(text, "opa_value_parse")
        assert address, f"not a value: {text!r}"
        return address

    def json(self, value: int) -> str:
        return self.text(self.call("opa_json_dump", value))

    def dump(self, value: int) -> str:
        return self.text(self.call("opa_value_dump", value)) if value else "undefined"

    def word(self, address: int) -> int:
        return int.from_bytes(self.memory.read(self.store, address, address + 4), "little")

    def variable(self, name: str) -> int:
        """Address of a patch point."""
        return self.exports[name].value(self.store)

    def set_word(self, address: int, word: int) -> None:
        self.memory.write(self.store, (word & 0xFFFFFFFF).to_bytes(4, "little"), address)


@pytest.fixture(scope="session")
def engine() -> wasmtime.Engine:
    return wasmtime.Engine()


@pytest.fixture(scope="session")
def module(engine: wasmtime.Engine) -> wasmtime.Module:
    return wasmtime.Module(engine, (RUNTIME / "runtime.wasm").read_bytes())


@pytest.fixture
def rt(engine: wasmtime.Engine, module: wasmtime.Module) -> Runtime:
    return Runtime(engine, module)


@pytest.fixture
def small_rt(engine: wasmtime.Engine, module: wasmtime.Module) -> Runtime:
    """At most 2 MiB of memory."""
    return Runtime(engine, module, limit=2 << 20)


Native = Callable[[Sequence[tuple[str | bytes, ...]]], list[str]]

RENAMED = ("memcpy", "memmove", "memset", "memcmp", "strlen")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    """Runs commands (word, argument ...) of native/harness.c; gives one answer each."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    folder = tmp_path_factory.mktemp("native")
    sources = sorted(p for p in RUNTIME.glob("*.c") if not p.name.startswith("b_"))
    common = [compiler, "-std=gnu11", "-O0", "-g1", *SANITIZE, f"-I{RUNTIME}"]
    renames = [f"-D{name}=rt_{name}" for name in RENAMED]
    harness = Path(__file__).parent / "native" / "harness.c"
    steps = [
        [*common, *renames, "-fno-builtin", "-c", *map(str, sources)],
        [*common, "-c", str(harness)],
        [*common, *(f"{p.stem}.o" for p in sources), "harness.o", "-o", "harness"],
    ]
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
        if "cannot find" in done.stderr and "san" in done.stderr:
            pytest.skip("the C compiler has no sanitizer libraries")
        assert done.returncode == 0, done.stderr

    def run(commands: Sequence[tuple[str | bytes, ...]]) -> list[str]:
        lines = []
        for word, *arguments in commands:
            hexed = [(a.encode() if isinstance(a, str) else a).hex() or "" for a in arguments]
            lines.append(" ".join([str(word), *hexed]))
        done = subprocess.run(
            [str(folder / "harness")],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        answers = done.stdout.split("\n")[:-1]
        assert len(answers) == len(commands)
        return answers

    yield run


@pytest.fixture(scope="session")
def session_rt(engine: wasmtime.Engine, module: wasmtime.Module) -> Runtime:
    """One instance for all examples of a property test."""
    return Runtime(engine, module)
