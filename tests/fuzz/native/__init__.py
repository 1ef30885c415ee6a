"""The C runtime's fuzzers: builds `fuzz.c` with the runtime's sources under ASan and UBSan, and runs it.

With clang it is libFuzzer, guided by coverage; with another compiler inputs are random, which goes far, because any bytes
are decoded to values. `CUPCAKE_FUZZ_32=1` builds for 32 bits, as WebAssembly is (needs the 32-bit C library).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cupcake.engine.builtins import types as ty
from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.regex.compile import compile_pattern
from cupcake.engine.regex.globs import compile_glob

HERE = Path(__file__).parent
RUNTIME = HERE.parents[2] / "engine" / "runtime"
CORPUS = HERE.parent / "corpus"
NAMES = ("native-json", "native-values", "native-numbers", "native-builtins")
RENAMED = ("memcpy", "memmove", "memset", "memcmp", "strlen")
MAX_SIZE = 4096

REGEXES = (
    *("", "a", "a+", "^a.*b$", "(a)(b)?", "(?i)k", "[a-z]+", "\\d+", "(?P<n>\\w+)-(\\d*)", "a|b|", "(a*)*", "\\bx\\b", "[^é]"),
    *("(?s).", ".*", "^$", "(a|b)*a(a|b){12}", "\\pL+", "(x{2,5}){3}", "(?m)^a$", "a??b", "\\x{1F600}", "(|a)+"),
)  # fmt: skip
GLOBS = (
    ("*", None),
    ("a*b", ["."]),
    ("**.com", ["."]),
    ("[!a-c]?", []),
    ("{a,b*}c", ["/"]),
    ("\\*", None),
    ("", None),
)
WORDS = (
    *("", "a", "b", "ab", "abc", "é", "\u20ac\U0001f600", " ", "\t\n", "0", "1", "-1", "1.5", "1e3", "0x1F", "true", "null", "{}"),
    *('{"a":1}', "[1,2]", '"x"', "%s", "%d", "%v", "%5.2f", "%-10s|", "%x", "%q", "%%", "%", "%!", "%[2]d", "%999999999d", "%*d"),
    *("%+d", "%e", "%g", "%t", "%c", "%U", "%o", "%b", "%#v", "%08.3f", "%.100f", "/", "/a", "/a/b", "/a/0", "/-", "a/b", "~0~1"),
    *("add", "remove", "replace", "move", "copy", "test", "op", "path", "value", "from", "10Ki", "1.5MiB", "100m", "2G", "1e3K"),
    *("1.2.3", "1.2.3-rc.1+b", "1.10.0", "v1", "192.168.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "256.1.1.1", "0.0.0.0/0"),
    *("aGk=", "aGk", "_-8=", "%41%zz", "a+b%20c", "a=1&b=2&a=3", "deadbeef", "zz", "$1", "${n}", "$0$$", "\\1", ".", ",", "x-12"),
    *("1h30m", "-1.5d", "0.1y2w", "9223372036854775808ns", "10.0.0.0/30", "10.0.0.4/30", "::ffff:10.0.0.8/126", "8000::/1", "::/1"),
    *("1E6", "1e-9m", ".5Ki", "1e999999", "a;b", "%e9", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8", "{000003e8-5d0e-21ee-8a01-4fd43000c8ff}"),
    *("123e4567-e89b-12d3-a456-426614174000", "2006-01-02", "ISO8601", "A\u0301", "\u017f", "\u212a", "ﬁ", "İ", "ß", "ΑΣ"),
    *("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "xxxxx", "a.b.c", "c.com", "kK"),
    *(r for r in REGEXES if r), *(g for g, _ in GLOBS if g),
)  # fmt: skip


class NoCompiler(Exception):
    """No C compiler with sanitizers on this machine."""


def _c_string(text: str) -> str:
    data = text.encode()
    return '"' + "".join(f"\\{b:03o}" for b in data) + '"'


def _type_text(kind: ty.Type) -> str:
    match kind:
        case ty.Scalar(name):
            return {"null": "z", "boolean": "b", "number": "n", "string": "s"}[name]
        case ty.Any(of) if of:
            return "(" + "".join(map(_type_text, of)) + ")"
        case ty.ArrayOf(static, rest):
            parts = [*static, *([rest] if rest is not None else [])]
            texts = list(dict.fromkeys(map(_type_text, parts))) or ["*"]
            return "[" + (texts[0] if len(texts) == 1 else "(" + "".join(texts) + ")") + "]"
        case ty.SetOf(of_one):
            return "{" + _type_text(of_one) + "}"
        case ty.ObjectOf(_, key, value):
            return "<" + _type_text(key or ty.STRING) + _type_text(value or ty.ANY) + ">"
        case _:
            return "*"


def _blob(name: str, number: int, blob: bytes) -> str:
    # Aligned as in a module, and of its very size, so that a read behind it is seen.
    return f"static const _Alignas(8) uint8_t {name}_{number}[] = {{{','.join(map(str, blob))}}};"


def _generated() -> Iterator[str]:
    """`builtins.h`: every builtin of the runtime with its types, and programs for patterns."""
    wanted = [b for b in REGISTRY.values() if b.home == "runtime"]
    for b in wanted:
        yield f"rt_v {b.symbol}({', '.join(['rt_v'] * len(b.args)) or 'void'});"
    yield "static const struct builtin { int arity; const char *types[5]; union {"
    for n in range(6):
        yield f"  rt_v (*f{n})({', '.join(['rt_v'] * n) or 'void'});"
    yield "} run; } builtins[] = {"
    for b in wanted:
        types = ", ".join(_c_string(_type_text(a)) for a in b.args) or "0"
        yield f"  {{{len(b.args)}, {{{types}}}, {{.f{len(b.args)} = {b.symbol}}}}},"
    yield "};"
    for i, pattern in enumerate(REGEXES):
        yield _blob("regex", i, compile_pattern(pattern))
    for i, (glob, delimiters) in enumerate(GLOBS):
        yield _blob("glob", i, compile_glob(glob, delimiters))
    yield f"#define REGEXES {len(REGEXES)}"
    yield f"#define GLOBS {len(GLOBS)}"
    entries = ", ".join(f"{{0, regex_{i}}}" for i in range(len(REGEXES)))
    yield f"static rt_program_entry regexes[] = {{{entries}}};"
    entries = ", ".join(f"{{0, glob_{i}}}" for i in range(len(GLOBS)))
    yield f"static rt_program_entry globs[] = {{{entries}}};"
    yield "static const char *const glob_keys[] = {"
    for glob, delimiters in GLOBS:
        yield "  " + _c_string(_json([glob, delimiters])) + ","
    yield "};"
    yield "static const char *const regex_keys[] = {" + ", ".join(map(_c_string, REGEXES)) + "};"
    # The keys outlive a run: they are made once, in memory that is never given back.
    yield "static void make_keys(void) {"
    yield "  for (size_t i = 0; i < REGEXES; i++) regexes[i].key = rt_string_c(regex_keys[i]);"
    yield "  for (size_t i = 0; i < GLOBS; i++)"
    yield "    globs[i].key = rt_json_read(glob_keys[i], strlen(glob_keys[i]), RT_JSON_PLAIN);"
    yield "  used = 0;"
    yield "}"


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def build(name: str, folder: Path, *, guided: bool) -> Path:
    """The fuzzer's executable; NoCompiler when there is none that can."""
    clang = next(
        (c for c in ("clang", *(f"clang-{n}" for n in range(22, 12, -1))) if shutil.which(c)), None
    )
    compiler = clang if guided else clang or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("no clang" if guided else "no C compiler")
    (folder / "words.h").write_text(",\n".join(map(_c_string, WORDS)))
    (folder / "builtins.h").write_text("\n".join(_generated()))
    wide = ["-m32"] if os.environ.get("CUPCAKE_FUZZ_32") else []
    sanitize = "-fsanitize=address,undefined"
    common = [
        compiler, *wide, "-std=gnu11", "-O1", "-g", sanitize, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
        f"-I{RUNTIME}", f"-I{folder}",
    ]  # fmt: skip
    if "clang" in compiler:
        common += ["-fno-sanitize=function"] if int(_version(compiler)) >= 17 else []
    own = [] if guided else ["-DOWN_MAIN"]
    coverage = ["-fsanitize=fuzzer-no-link"] if guided else []
    sources = sorted(RUNTIME.glob("*.c"))
    program = folder / name
    define = f"-DTARGET_{name.removeprefix('native-').upper()}"
    objects = [f"{p.stem}.o" for p in sources]
    renames = [f"-D{n}=rt_{n}" for n in RENAMED]
    steps = [
        [*common, define, *own, *coverage, "-c", str(HERE / "fuzz.c"), "-o", f"{name}.o"],
        [
            *common,
            f"{name}.o",
            *objects,
            *(["-fsanitize=fuzzer"] if guided else []),
            "-o",
            str(program),
        ],
    ]
    if not all((folder / o).exists() for o in objects):
        steps.insert(0, [*common, *renames, *coverage, "-fno-builtin", "-c", *map(str, sources)])
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            if "cannot find" in done.stderr and ("san" in done.stderr or "fuzzer" in done.stderr):
                raise NoCompiler(f"{compiler} has no sanitizer libraries")
            raise RuntimeError(done.stderr[-4000:])
    return program


def _version(compiler: str) -> str:
    done = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=False)
    return done.stdout.split(".")[0] or "0"


ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def run(
    program: Path, arguments: Sequence[str], **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments], env={**os.environ, **ENVIRONMENT}, text=True, errors="replace", check=False, **options
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def fuzz(name: str, seconds: float, seed: int, output: Path) -> int:
    """Runs one with libFuzzer; findings land in `output`."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cupcake-fuzz-") as temporary:
        folder = Path(temporary)
        try:
            program = build(name, folder, guided=True)
        except NoCompiler as error:
            print(f"{name}: {error}; install clang with libFuzzer", file=sys.stderr)
            return 2
        work = folder / "corpus"
        work.mkdir()
        given = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        done = run(
            program,
            [
                f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-max_len={MAX_SIZE}", "-timeout=30",
                "-rss_limit_mb=3000", "-print_final_stats=1", f"-artifact_prefix={output}/{name}-", str(work), *given,
            ],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        log = done.stderr
        keep = os.environ.get("CUPCAKE_FUZZ_KEEP")
        if keep:
            # The smallest set of inputs with the same coverage: what is worth to be committed.
            Path(keep).mkdir(parents=True, exist_ok=True)
            run(program, ["-merge=1", keep, str(work), *given], stderr=subprocess.DEVNULL)
        lines = [line for line in log.splitlines() if line.startswith("stat::number_of_executed")]
        rate = [line for line in log.splitlines() if line.startswith("stat::average_exec_per_sec")]
        print(f"{name}: {' '.join([*lines, *rate])}")
        if done.returncode:
            print(log[-6000:])
        return 1 if done.returncode else 0
