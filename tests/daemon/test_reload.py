"""Edits, broken edits, checkouts and removals under a running daemon."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from daemon_support import Talk, daemon_in, event, project, until, write

from cupcake.client import codec
from cupcake.client import messages as m


def generation(talk: Talk, root: Path, command: str) -> m.Answer:
    answer = talk.judge(root, command)
    assert isinstance(answer, m.Answer), answer
    return answer


def denies(talk: Talk, root: Path, command: str) -> bool:
    return generation(talk, root, command).verdict == "deny"


def state(talk: Talk) -> str:
    return str(talk.status()["projects"][0]["state"])


def test_an_edit_takes_effect_by_itself_and_no_request_fails_meanwhile(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "deny two")
        until(lambda: denies(talk, root, "two"), "the edit")
        # Engines switch one after the other: soon all have.
        until(
            lambda: {generation(talk, root, "one").generation for _ in range(20)} == {2},
            "all engines",
        )
        assert not denies(talk, root, "one")
        assert talk.status()["counters"]["errors"] == 0


def test_after_a_reload_is_acknowledged_nothing_is_judged_by_an_older_generation(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, "deny g0")
    with (
        daemon_in(tmp_path, timing={"watch_poll": 30.0, "watch_step": 5.0}) as daemon,
        Talk(daemon) as talk,
    ):
        assert denies(talk, root, "g0")
        for n in range(1, 6):
            write(root, f"deny g{n}")
            told = talk.reload()
            assert told["projects"][0]["state"] == "active"
            sent = [talk.send(m.Kind.EVALUATE, event(root, f"g{n}")) for _ in range(30)]
            answers = [codec.decode_answer(talk.receive()[1]) for _ in sent]
            assert {(a.verdict, a.generation) for a in answers} == {
                ("deny", told["projects"][0]["generation"])
            }


def test_hangup_reloads(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with (
        daemon_in(tmp_path, timing={"watch_poll": 30.0, "watch_step": 5.0}) as daemon,
        Talk(daemon) as talk,
    ):
        assert denies(talk, root, "one")
        write(root, "deny two")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: denies(talk, root, "two"), "the reload")


def test_a_broken_edit_keeps_the_last_good_and_says_so_until_it_is_repaired(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "deny two", "rubbish in here")
        until(lambda: state(talk) == "broken", "the diagnostics")
        (told,) = talk.status()["projects"]
        assert told["diagnostics"][0] == {
            **told["diagnostics"][0], "code": "tiny_error", "file": ".cupcake/policies/a.rego", "row": 2, "col": 1,
        }  # fmt: skip
        answer = generation(talk, root, "one")
        assert answer.verdict == "deny" and answer.generation == 1
        assert "a.rego:2" in answer.warnings[0] and "not in effect" in answer.warnings[0]
        assert daemon.events("build_failed")[0]["diagnostics"]
        write(root, "deny one")
        until(lambda: state(talk) == "active", "the repair")
        assert generation(talk, root, "one").warnings == ()
        write(root, "deny two")
        until(lambda: denies(talk, root, "two"), "the next edit")


def test_a_build_that_crashes_or_hangs_is_a_failed_build(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path, timing={"build": 1.0}) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "buildcrash")
        until(lambda: state(talk) == "broken", "the crash")
        assert "SIGSEGV" in talk.status()["projects"][0]["diagnostics"][0]["message"]
        write(root, "buildhang")
        until(
            lambda: "longer than" in str(talk.status()["projects"][0]["diagnostics"]),
            "the time limit",
        )
        assert denies(talk, root, "one")
        write(root, "deny two")
        until(lambda: denies(talk, root, "two"), "the repair")


def test_a_generation_that_no_engine_can_load_never_takes_effect(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "loadfail")
        until(lambda: state(talk) == "broken", "the failed load")
        answer = generation(talk, root, "one")
        assert (answer.verdict, answer.generation) == (
            "deny",
            1,
        ) and "told not to load" in answer.warnings[0]
        write(root, "deny two")
        until(lambda: denies(talk, root, "two"), "the repair")


def test_policies_that_cannot_judge_a_harmless_event_never_take_effect(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "canaryfail")
        until(lambda: state(talk) == "broken", "the canary")
        assert talk.status()["projects"][0]["diagnostics"][0]["code"] == "canary_failed"
        assert denies(talk, root, "one")


def test_a_save_by_rename_is_seen(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        for n in range(3):
            policy = root / ".cupcake" / "policies" / "a.rego"
            aside = policy.with_suffix(".tmp")
            aside.write_text(f"deny renamed{n}\n")
            os.replace(aside, policy)
            until(lambda n=n: denies(talk, root, f"renamed{n}"), "the renamed file")


def test_a_checkout_of_hundreds_of_files_ends_in_its_last_state(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        (root / ".git").mkdir()
        (root / ".git" / "index.lock").touch()
        (root / ".cupcake" / "policies" / "a.rego").unlink()
        time.sleep(0.1)
        for n in range(300):
            write(root, f"deny file{n}.", file=f"sub{n}.rego")
        (root / ".git" / "index.lock").unlink()
        until(lambda: denies(talk, root, "file299."), "the checkout")
        assert denies(talk, root, "file0.") and not denies(talk, root, "one")
        assert [e for e in daemon.events("generation") if e["generation"] > 2] == []


def test_a_folder_replaced_by_another_is_watched_on(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    write(tmp_path / "spare", "deny two")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        os.rename(root / ".cupcake", tmp_path / "old")
        os.rename(tmp_path / "spare" / ".cupcake", root / ".cupcake")
        until(lambda: denies(talk, root, "two"), "the other folder")
        write(root, "deny three")
        until(lambda: denies(talk, root, "three"), "an edit in the other folder")


def test_removing_the_policies_is_tampering_until_it_is_accepted(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        shutil.rmtree(root / ".cupcake")
        until(lambda: state(talk) == "removed", "the removal to be noticed")
        answer = generation(talk, root, "one")
        assert answer.verdict == "deny" and "--accept-removal" in answer.warnings[0]
        assert talk.reload()["projects"][0]["state"] == "removed"
        assert denies(talk, root, "one")
        write(root, "deny two")
        until(
            lambda: denies(talk, root, "two") and state(talk) == "active",
            "the folder that came back",
        )
        assert generation(talk, root, "two").warnings == ()
        shutil.rmtree(root)
        until(lambda: state(talk) == "removed", "the second removal")
        assert talk.reload(root=str(root), accept_removal=True)["projects"] == []
        assert talk.judge(root, "two")[0] == "NO_POLICY"


def test_a_new_engine_takes_the_newest_generation_before_its_first_request(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        write(root, "deny two")
        until(lambda: denies(talk, root, "two"), "the edit")
        os.kill(talk.status()["engines"][0]["pid"], signal.SIGKILL)
        answer = generation(talk, root, "two")
        assert (answer.verdict, answer.generation) == ("deny", 2)


def test_projects_past_the_bound_push_out_others_and_come_back(tmp_path: Path) -> None:
    roots = [project(tmp_path, f"deny word{n}", name=f"p{n}") for n in range(4)]
    with daemon_in(tmp_path, most_projects=2, engine_projects=1) as daemon, Talk(daemon) as talk:
        for _ in range(2):
            for n, root in enumerate(roots):
                assert denies(talk, root, f"word{n}")
        left = [p["root"] for p in talk.status()["projects"]]
        assert len(left) == 2 and str(roots[3]) in left


def test_a_change_of_the_global_layer_reaches_every_project(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "g.rego").write_text("deny global\n")
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path, global_dir=str(layer)) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "global")
        time.sleep(0.3)
        (layer / "g.rego").write_text("deny universal\n")
        until(lambda: denies(talk, root, "universal"), "the edit of the global layer")


def test_a_cache_that_was_emptied_is_filled_again_when_an_engine_needs_it(tmp_path: Path) -> None:
    root = project(tmp_path, "deny one")
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        assert denies(talk, root, "one")
        shutil.rmtree(tmp_path / "cache")
        os.kill(talk.status()["engines"][0]["pid"], signal.SIGKILL)
        # Until it is there again everything is refused; then it is as before.
        until(lambda: not denies(talk, root, "two"), "the rebuilt generation")
        assert denies(talk, root, "one")
        assert generation(talk, root, "one").generation == 2
