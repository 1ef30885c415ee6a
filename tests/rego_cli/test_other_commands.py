"""`cupcake rego check`, `build` and `plan`, and what all commands have in common."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.api import load
from cupcake.engine.cli import COMMANDS
from cupcake.engine.errors import LoadError
from cupcake.engine.plan.json_form import from_json
from cupcake.engine.prints import printer
from cupcake.engine.wasm.assemble import assemble

HERE = Path(__file__).parent
Run = Callable[..., tuple[int, str, str]]


def members(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            found["/" + member.name.lstrip("/")] = content.read()
    return found


# -- check ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "policy.rego",
        "data policy.rego",
        "v0.rego",
        "v0.rego --v0-compatible",
        "broken/cut.rego",
        "broken/unsafe.rego",
        "broken/unused.rego",
        "broken/unused.rego -S",
        "broken/unused_var.rego -S",
        "nowhere",
        "tests",
        "tests -b",
    ],
)
def test_check_gives_opas_codes_places_and_exit_code(rego: Run, opa: Run, line: str) -> None:
    code, out, _ = rego(f"check --format json {line}")
    wanted_code, wanted, stderr = opa(f"check --format json {line}")
    # OPA prints its JSON on stderr.
    assert faults(out) == faults(wanted or stderr)
    assert code == wanted_code


def faults(text: str) -> set[tuple[str, str, int]]:
    if not text.strip():
        return set()
    errors: list[dict[str, Any]] = json.loads(text)["errors"]
    assert all(set(e) <= {"message", "code", "location", "details", "hint"} for e in errors)
    places = [(e.get("code", ""), e.get("location", {})) for e in errors]
    return {(code, place.get("file", ""), place.get("row", 0)) for code, place in places}


def test_check_shows_the_line_and_a_caret(rego: Run) -> None:
    code, out, err = rego("check broken/unsafe.rego")
    assert (code, out) == (1, "")
    assert err == (
        "broken/unsafe.rego:5:6: rego_unsafe_var_error: var x is unsafe\n"
        "    p if x == 1\n"
        "         ^\n"
        "1 error\n"
    )


def test_check_without_policies_is_an_error(rego: Run) -> None:
    code, _, err = rego("check data")
    assert (code, "no .rego file in data" in err) == (1, True)


# -- build ---------------------------------------------------------------------------------------

BUILD = "build policy.rego data/users.json -e a/b/allow -e a/b/s -t wasm"


def test_a_bundle_is_reproducible_and_evaluates(rego: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert rego(f"{BUILD} -o {tmp_path}/{name}.tar.gz")[0] == 0
    bundle = tmp_path / "one.tar.gz"
    assert bundle.read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    policy = load(bundle)
    assert policy.entrypoints == ("a/b/allow", "a/b/s")
    assert policy.evaluate("a/b/allow", {"x": 2}) is True
    assert policy.evaluate("a/b/s") == [1, 2, 3]


def test_a_bundle_holds_manifest_data_and_revision(rego: Run, tmp_path: Path) -> None:
    assert rego(f"{BUILD} -r v7 -O 1 -o {tmp_path}/b.tar.gz")[0] == 0
    found = members(tmp_path / "b.tar.gz")
    manifest = json.loads(found["/.manifest"])
    assert manifest["revision"] == "v7"
    assert [w["entrypoint"] for w in manifest["wasm"]] == ["a/b/allow", "a/b/s"]
    assert json.loads(found["/data.json"])["users"] == ["bob", "al"]


def test_a_bare_module_and_a_bundle_hold_the_same_bytes(rego: Run, tmp_path: Path) -> None:
    rego(f"{BUILD} -o {tmp_path}/b.tar.gz")
    rego(f"{BUILD} -o {tmp_path}/b.wasm")
    assert members(tmp_path / "b.tar.gz")["/policy.wasm"] == (tmp_path / "b.wasm").read_bytes()


def test_opa_reads_our_bundles_policies_and_data(rego: Run, opa: Run, tmp_path: Path) -> None:
    rego(f"{BUILD.replace('wasm', 'plan')} -o {tmp_path}/b.tar.gz")
    code, out, err = opa(f"eval -b {tmp_path}/b.tar.gz -f raw '[data.users, data.a.b.s]'")
    assert (code, json.loads(out)) == (0, [["bob", "al"], [1, 2, 3]]), err


def test_bundles_are_read_again_with_b(rego: Run, tmp_path: Path) -> None:
    rego(f"{BUILD.replace('wasm', 'plan')} -o {tmp_path}/b.tar.gz")
    assert rego(f"eval -b {tmp_path}/b.tar.gz -f raw data.a.b.s") == (0, "[1,2,3]\n", "")
    code, _, _ = rego(f"build -b {tmp_path}/b.tar.gz -e a/b/s -t wasm -o {tmp_path}/again.tar.gz")
    assert (code, load(tmp_path / "again.tar.gz").evaluate("a/b/s")) == (0, [1, 2, 3])


def test_a_failed_build_leaves_the_output_as_it_was(rego: Run, tmp_path: Path) -> None:
    output = tmp_path / "b.tar.gz"
    output.write_bytes(b"older")
    code, _, err = rego(f"build broken/unsafe.rego -e broken/p -o {output}")
    assert (code, "rego_unsafe_var_error" in err) == (1, True)
    assert output.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("build policy.rego -t wasm", 2, "-t wasm needs an entrypoint"),
        ("build policy.rego -e a/b/s -t plan -o x.wasm", 2, "-t plan makes no .wasm"),
        ("build policy.rego -t rego -o x.json", 2, "-t rego makes no .json"),
        ("build policy.rego -e a/b/alow -o {}/b.tar.gz", 1, "did you mean a/b/allow?"),
        ("build policy.rego --prune-unused", 2, "go into a bundle as they are"),
        ("build nowhere -e a/b", 1, "nowhere: no such file or folder"),
        ("build policy.rego -e a/b/s -o no/such/folder/b.tar.gz", 1, "No such file"),
        ("build policy.rego -e a/b/nope -o {}/b.tar.gz", 1, "a/b/nope"),
        ("build -b broken/cut.json -e a/b", 1, "cannot read the bundle"),
        ("plan policy.rego", 2, "-e"),
        ("frobnicate", 2, "invalid choice"),
        ("", 2, "required"),
    ],
)
def test_mistakes_are_named(rego: Run, tmp_path: Path, line: str, code: int, says: str) -> None:
    found, _, err = rego(line.format(tmp_path))
    assert (found, says in err) == (code, True), err
    assert "Traceback" not in err


MARKED = """# METADATA
# entrypoint: true
package marked

# METADATA
# title: may it?
# entrypoint: true
allow if input.x == 1
"""


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    (folder / "sub").mkdir(parents=True)
    (folder / "marked.rego").write_text(MARKED, encoding="utf-8")
    (folder / "data.json").write_text('{"a": {"b": 1}}', encoding="utf-8")
    (folder / "sub" / "data.yaml").write_text("k: 1\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("target", ["rego", "wasm", "plan"])
def test_manifest_and_data_are_those_of_opa_build(
    rego: Run, opa: Run, marked: Path, tmp_path: Path, target: str
) -> None:
    line = f"build -b {marked} -t {target} -r r1 -o {tmp_path}"
    assert rego(f"{line}/ours.tar.gz")[0] == opa(f"{line}/theirs.tar.gz")[0] == 0
    ours, theirs = members(tmp_path / "ours.tar.gz"), members(tmp_path / "theirs.tar.gz")
    for name in ("/.manifest", "/data.json"):
        assert json.loads(ours[name]) == json.loads(theirs[name])
    # Into a bundle of a module OPA also puts the policies' shells.
    assert set(theirs) - set(ours) == ({f"{marked}/marked.rego"} if target == "wasm" else set())


def test_the_default_is_a_bundle_of_policies_as_with_opa(
    rego: Run, opa: Run, marked: Path, tmp_path: Path
) -> None:
    assert rego(f"build -b {marked} -o {tmp_path}/b.tar.gz")[0] == 0
    for run in (rego, opa):
        line = f"eval -b {tmp_path}/b.tar.gz -f raw '[data.marked.allow, data.sub]' -I"
        assert run(line, '{"x": 1}')[:2] == (0, '[true,{"k":1}]\n')


def test_a_manifest_of_the_input_is_kept(rego: Run, marked: Path, tmp_path: Path) -> None:
    stated = {"revision": "old", "roots": ["a", "marked", "sub"], "metadata": {"by": "me"}}
    (marked / ".manifest").write_text(json.dumps(stated), encoding="utf-8")
    assert rego(f"build -b {marked} -o {tmp_path}/b.tar.gz")[0] == 0
    assert json.loads(members(tmp_path / "b.tar.gz")["/.manifest"]) == {**stated, "rego_version": 1}


def v0_bundle(folder: Path, manifest: str) -> Path:
    folder.mkdir()
    (folder / "old.rego").write_text("package old\n\np[x] { x := 1 }\n", encoding="utf-8")
    (folder / "new.rego").write_text("package new\n\np contains 2 if true\n", encoding="utf-8")
    (folder / ".manifest").write_text(manifest, encoding="utf-8")
    return folder


def test_a_manifest_states_the_version_of_its_policies(rego: Run, opa: Run, tmp_path: Path) -> None:
    stated = '{"rego_version": 1, "file_rego_versions": {"*old.rego": 0}}'
    folder = v0_bundle(tmp_path / "b", stated)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    wanted = (0, '{"new":{"p":[2]},"old":{"p":[1]}}\n', "")
    assert rego(f"eval -b {folder} -f raw data") == wanted
    line = f"eval -b {tmp_path}/b.tar.gz -f raw data"
    assert rego(line) == opa(line) == wanted


def test_a_manifest_may_state_rego_v2(rego: Run, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    text = "package p\n\nallow if input.a == 1 or input.b == 2\n"
    (folder / "p.rego").write_text(text, encoding="utf-8")
    (folder / ".manifest").write_text('{"rego_version": 2}', encoding="utf-8")
    line = "-f raw data.p.allow -I"
    assert rego(f"eval -b {folder} {line}", '{"b": 2}')[:2] == (0, "true\n")
    assert rego(f"build -b {folder} -o {tmp_path}/b.tar.gz")[0] == 0
    assert rego(f"eval -b {tmp_path}/b.tar.gz {line}", '{"a": 1}')[:2] == (0, "true\n")
    needed = json.loads(rego(f"inspect -f json {tmp_path}/b.tar.gz")[1])["capabilities"]
    assert needed["features"] == ["rego_v2"]


def test_under_rego_v2_an_import_must_not_end_with_or(rego: Run, tmp_path: Path) -> None:
    text = "package p\n\nimport data.or\n"
    for version, code in ((1, 0), (2, 1)):
        folder = tmp_path / str(version)
        folder.mkdir()
        (folder / "p.rego").write_text(text, encoding="utf-8")
        stated = json.dumps({"rego_version": version})
        (folder / ".manifest").write_text(stated, encoding="utf-8")
        assert rego(f"check -b {folder}")[0] == code


@pytest.mark.parametrize(
    "patterns",
    [
        {"/old.rego": 0},
        {"*/old.rego": 0},
        {"/{new,old}.rego": 0, "/new.rego": 1, "/[!o]*": 1},
        {"/*d.rego": 0, "/old.rego": 1},
    ],
)
def test_the_first_pattern_for_a_file_states_its_version(
    rego: Run, opa: Run, tmp_path: Path, patterns: dict[str, int]
) -> None:
    stated = json.dumps({"rego_version": 1, "file_rego_versions": patterns})
    line = f"eval -b {v0_bundle(tmp_path / 'b', stated)} -f raw data.old.p"
    assert rego(line)[:2] == (0, "[1]\n")
    if "Version: 1.7." not in opa("version")[1]:  # which takes the patterns of several in any order
        assert opa(line)[:2] == (0, "[1]\n")


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ('{"rego_version": 7}', "not 0, 1 or 2"),
        ("[]", "must be an object"),
        ('{"file_rego_versions": 1}', "file_rego_versions must be an object"),
        ('{"file_rego_versions": {"%s": 0}}' % ("{a,b}" * 40), "more than 1000 patterns"),
        ("{", "not JSON"),
    ],
)
def test_a_wrong_manifest_is_an_error(rego: Run, tmp_path: Path, manifest: str, says: str) -> None:
    code, _, err = rego(f"eval -b {v0_bundle(tmp_path / 'b', manifest)} -f raw data")
    assert (code, ".manifest" in err, says in err) == (2, True, True)


# -- archives that mean harm ---------------------------------------------------------------------


def archive(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(raw.getvalue()))
    return path


def test_a_member_that_climbs_out_is_an_error_that_names_it(rego: Run, tmp_path: Path) -> None:
    path = archive(
        tmp_path / "b.tar.gz",
        (tarfile.TarInfo("../../data.json"), b'{"evil": 1}'),
        (tarfile.TarInfo("data.json"), b'{"good": 1}'),
    )
    code, _, err = rego(f"eval -b {path} -f raw data")
    assert (code, "'../../data.json'" in err, "leads out of the bundle" in err) == (2, True, True)


@pytest.mark.parametrize(
    ("flag", "printed"),
    [("", []), ("--wasm-include-print", ['a 1 {"b"} <undefined> [1, "q"] null', "in f 3"])],
)
def test_a_module_prints_by_way_of_its_host_if_it_is_asked_to(
    rego: Run, tmp_path: Path, flag: str, printed: list[str]
) -> None:
    path = tmp_path / "p.tar.gz"
    assert rego(f"build print.rego -t wasm -e printing/p -o {path} {flag}")[0] == 0
    lines: list[str] = []
    policy = load(path, builtins={"internal.print": printer(lines.append)})
    policy.evaluate("printing/p")
    assert lines == printed


def test_links_are_not_followed(rego: Run, tmp_path: Path) -> None:
    link = tarfile.TarInfo("data.json")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/hostname"
    path = archive(tmp_path / "b.tar.gz", (link, b""))
    code, _, err = rego(f"eval -b {path} -f raw data")
    assert (code, "data.json is a link" in err) == (2, True)


def test_a_cut_archive_is_an_error_that_names_it(rego: Run, tmp_path: Path) -> None:
    path = archive(tmp_path / "b.tar.gz", (tarfile.TarInfo("data.json"), b'{"good": 1}' * 99))
    path.write_bytes(path.read_bytes()[:40])
    code, out, _ = rego(f"eval -b {path} data")
    assert (code, f"{path}: cannot read the bundle" in out) == (2, True)


# -- plan ----------------------------------------------------------------------------------------


def test_a_plan_for_people(rego: Run) -> None:
    code, out, _ = rego("plan policy.rego -e a/b/allow --places")
    assert code == 0
    assert out.startswith("plan a/b/allow\n")
    assert "@policy.rego:5:" in out


def test_a_plan_as_json_is_read_back_and_evaluates(rego: Run) -> None:
    code, out, _ = rego("plan policy.rego -e a/b/allow --format json")
    assert code == 0
    assert "cupcake:" not in out
    policy = load(assemble(from_json(json.loads(out))))
    assert policy.evaluate("a/b/allow", {"x": 2}) is True


def test_a_plan_has_the_shape_of_opas(rego: Run, opa: Run, tmp_path: Path) -> None:
    opa(f"build policy.rego -t plan -e a/b/allow -o {tmp_path}/opa.tar.gz")
    theirs = json.loads(members(tmp_path / "opa.tar.gz")["/plan.json"])
    ours = json.loads(rego("plan policy.rego -e a/b/allow --format json")[1])
    assert set(ours) == set(theirs)
    assert set(ours["static"]) == set(theirs["static"])
    assert set(ours["plans"]["plans"][0]) == set(theirs["plans"]["plans"][0])
    assert set(ours["funcs"]["funcs"][0]) == set(theirs["funcs"]["funcs"][0])
    by_name = {b["name"]: b["decl"] for b in theirs["static"]["builtin_funcs"]}
    for builtin in ours["static"]["builtin_funcs"]:
        declared = by_name[builtin["name"]]
        assert [a["type"] for a in builtin["decl"]["args"]] == [a["type"] for a in declared["args"]]
        assert builtin["decl"]["result"]["type"] == declared["result"]["type"]


# -- help, and the terminal ----------------------------------------------------------------------


@pytest.mark.parametrize("word", list(COMMANDS))
def test_each_command_explains_itself_and_its_exit_codes(rego: Run, word: str) -> None:
    code, out, _ = rego(f"{word} --help")
    assert code == 0
    assert out.startswith(f"usage: cupcake rego {word}")
    assert "Exit codes: 0" in out


def test_the_opa_command_needs_no_compiler() -> None:
    code = (
        "import sys; from cupcake.engine.cli.opa import main; main(['opa', 'path']);"
        "print(sorted(m for m in sys.modules if m.startswith(('wasmtime', 'cupcake.engine.rego'))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_load_says_what_to_do_with_a_bundle_of_text(
    rego: Run, marked: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b.tar.gz"
    assert rego(f"build -b {marked} -o {path}")[0] == 0
    with pytest.raises(LoadError, match="policies as text: build it with -t wasm"):
        load(path)
