"""Finding and reading projects on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cupcake.engine.errors import ProjectError
from cupcake.engine.policy import discovery
from cupcake.engine.policy.discovery import read_sources, resolve_project


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")


def names(root: Path, **more: Path) -> list[str]:
    return [file.path for file in read_sources(root, **more).files]


def test_the_three_ways_to_name_a_project(tmp_path: Path) -> None:
    (tmp_path / ".cupcake").mkdir()
    (tmp_path / "policies").mkdir()
    for given in (tmp_path / ".cupcake", tmp_path, tmp_path / "policies", tmp_path / "not-there"):
        assert resolve_project(given) == tmp_path


def test_every_file_that_takes_part_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        ".cupcake/rulebook.yml",
        ".cupcake/policies/claude/a.rego",
        ".cupcake/policies/claude/deep/er/b.rego",
        ".cupcake/policies/claude/builtins/c.rego",
        ".cupcake/policies/claude/notes.md",
        ".cupcake/policies/cursor/d.rego",
        ".cupcake/system/evaluate.rego",
        ".cupcake/helpers/h.rego",
        ".cupcake/signals/s.sh",
        ".cupcake/signals/.hidden",
        ".cupcake/signals/lib/part.sh",
        ".cupcake/debug/x.rego",
        ".cupcake/.trust",
        "policies/claude/outside.rego",
    )
    sources = read_sources(tmp_path)
    assert [file.path for file in sources.files] == [
        ".cupcake/helpers/h.rego",
        ".cupcake/policies/claude/a.rego",
        ".cupcake/policies/claude/builtins/c.rego",
        ".cupcake/policies/claude/deep/er/b.rego",
        ".cupcake/policies/cursor/d.rego",
        ".cupcake/rulebook.yml",
        ".cupcake/signals/lib/part.sh",
        ".cupcake/signals/s.sh",
        ".cupcake/system/evaluate.rego",
    ]
    assert sources.files[0].data == b"# .cupcake/helpers/h.rego\n"
    assert sources.policy_folders == (
        ".cupcake/policies",
        ".cupcake/policies/claude",
        ".cupcake/policies/cursor",
    )


def test_the_global_layer_is_read_beside_the_project(tmp_path: Path) -> None:
    write(
        tmp_path,
        "p/.cupcake/policies/claude/a.rego",
        "g/policies/claude/b.rego",
        "g/rulebook.yml",
        "g/system/x.rego",
    )
    assert names(tmp_path / "p", global_dir=tmp_path / "g") == [
        ".cupcake/policies/claude/a.rego",
        "global:policies/claude/b.rego",
        "global:rulebook.yml",
    ]
    assert read_sources(tmp_path / "p", global_dir=tmp_path / "gone").global_root is None


def test_the_digest_changes_with_names_bytes_and_folders(tmp_path: Path) -> None:
    write(tmp_path, ".cupcake/policies/claude/a.rego")
    seen = {read_sources(tmp_path).digest}
    assert read_sources(tmp_path).digest in seen
    (tmp_path / ".cupcake/policies/claude/a.rego").write_text("other")
    seen.add(read_sources(tmp_path).digest)
    (tmp_path / ".cupcake/policies/claude/a.rego").rename(
        tmp_path / ".cupcake/policies/claude/b.rego"
    )
    seen.add(read_sources(tmp_path).digest)
    (tmp_path / ".cupcake/policies/cursor").mkdir()
    seen.add(read_sources(tmp_path).digest)
    (tmp_path / ".cupcake/signals").mkdir()
    (tmp_path / ".cupcake/signals/s").write_text("")
    seen.add(read_sources(tmp_path).digest)
    assert len(seen) == 5


def test_symlinks_are_followed_but_not_round_and_round(tmp_path: Path) -> None:
    write(tmp_path, "shared/x.rego", "p/.cupcake/policies/claude/a.rego")
    claude = tmp_path / "p/.cupcake/policies/claude"
    (claude / "shared").symlink_to(tmp_path / "shared")
    (claude / "round").symlink_to(claude)
    (claude / "up").symlink_to("..")
    (claude / "file.rego").symlink_to(tmp_path / "shared/x.rego")
    assert names(tmp_path / "p") == [
        ".cupcake/policies/claude/a.rego",
        ".cupcake/policies/claude/file.rego",
        ".cupcake/policies/claude/shared/x.rego",
    ]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to("gone")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def oversized(path: Path) -> None:
    path.write_bytes(b"#" * (discovery.MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("make", [fifo, dangling, endless, oversized])
def test_a_file_that_cannot_be_read_stops_the_build_with_its_place(
    tmp_path: Path, make: object
) -> None:
    write(tmp_path, ".cupcake/policies/claude/a.rego")
    bad = tmp_path / ".cupcake/policies/claude/bad.rego"
    make(bad)  # type: ignore[operator]
    with pytest.raises(ProjectError) as refused:
        read_sources(tmp_path)
    assert refused.value.place == str(bad)
    assert refused.value.remedy


def test_a_folder_that_is_no_project_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no Cupcake project here; run `cupcake init"):
        read_sources(tmp_path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *(f".cupcake/policies/claude/{n}.rego" for n in range(4)))
    monkeypatch.setattr(discovery, "MAX_FILES", 3)
    with pytest.raises(ProjectError, match="more than 3 files"):
        read_sources(tmp_path)
