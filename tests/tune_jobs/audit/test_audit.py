# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""Many runs judged together: groups, verdicts, what would have been saved."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from foreign_logs import write_columns
from health_runs import flat, rising

from cluster.commands.audit_command import format_account
from rungwise.validation import InputError
from tune_jobs.audit.audit import _run_tasks, audit
from tune_jobs.audit.audit_page import write_audit_page
from tune_jobs.audit.replayed_run import JudgingOptions, ReplayedRun, ReplayedStop
from tune_jobs.audit.run_groups import RunGroup, group_runs
from tune_jobs.audit.sweep_savings import replay_group

OPTIONS = JudgingOptions()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "cache"))


def write_run(path, returns):
    steps = [(i + 1) * 100 for i in range(len(returns))]
    return write_columns(path, step=steps, **{"return": returns})


def write_experiments(folder):
    """Three that learn, one that never does, one that does late, and a file that is no log."""
    for seed in range(3):
        write_run(folder / f"good-{seed}" / "progress.csv", rising(100, high=1.0 + seed))
    write_run(folder / "doomed" / "progress.csv", flat(100, noise=0.005, seed=3))
    late = [*flat(200, noise=0.005, seed=1), *rising(20, 1.0, 9.0)]
    write_run(folder / "late" / "progress.csv", late)
    (folder / "broken").mkdir()
    (folder / "broken" / "result.json").write_text("{}\n{not json\nnor this\n")
    return folder


def test_what_would_have_been_ended_is_judged_in_hindsight(tmp_path):
    result = audit([write_experiments(tmp_path / "exp")], OPTIONS, workers=1)
    verdicts = {ended.run.name: (ended.verdict, ended.is_among_best) for ended in result.ended}
    assert verdicts == {"doomed": ("right", False), "late": ("wrong", True)}
    assert [run.name for run in result.unread] == ["broken"]
    assert result.wrong_rules == [result.ended[1].run.stop.symptom]
    shares = {ended.run.name: ended.run.stop.share for ended in result.ended}
    saved = (1 - shares["doomed"]) * 100 + (1 - shares["late"]) * 220
    assert result.saved_share == pytest.approx(saved / 620)
    answer = result.as_dict()
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["health"] == {result.wrong_rules[0]: "warn"}


def test_processes_give_the_same_as_one(tmp_path):
    folder = tmp_path / "exp"
    for seed in range(10):
        write_run(folder / f"{seed}.csv", flat(40, seed=seed))
    episodes = "".join(f"{i % 7},10,{i}\n" for i in range(200))
    (folder / "0.monitor.csv").write_text(f'#{{"t_start": 0.0}}\nr,l,t\n{episodes}')
    first = audit([folder], OPTIONS, workers=1)
    assert all(run.is_judged for run in first.runs)
    (tmp_path / "cache" / "audit.sqlite").unlink()
    assert audit([folder], OPTIONS, workers=2) == first


def test_a_second_audit_reads_only_what_has_changed(tmp_path, monkeypatch):
    folder, read = write_experiments(tmp_path / "exp"), []
    first = audit([folder], OPTIONS, workers=1)
    from tune_jobs.audit import audit as module

    replay = module.replay_source
    monkeypatch.setattr(
        module, "replay_source", lambda *words: read.append(words[1]) or replay(*words)
    )
    # What could not be read may be readable by now.
    assert audit([folder], OPTIONS, workers=1) == first and read == ["broken"]
    read.clear()
    write_run(folder / "doomed" / "progress.csv", rising(120))
    assert [e.run.name for e in audit([folder], OPTIONS, workers=1).ended] == ["late"]
    assert read == ["broken", "doomed"]
    read.clear()
    # Judged in another way all are new.
    audit([folder], JudgingOptions(limits={"no_improvement": "off"}), workers=1)
    assert len(read) == 6


def test_rows_that_are_written_while_a_log_is_judged_are_read_the_next_time(tmp_path, monkeypatch):
    log = write_run(tmp_path / "exp" / "progress.csv", rising(40))
    from tune_jobs.audit import audit as module

    replay = module.replay_source

    def replay_growing(*words):
        runs = replay(*words)
        write_run(log, rising(100))
        return runs

    with monkeypatch.context() as patch:
        patch.setattr(module, "replay_source", replay_growing)
        lengths = [audit([log], OPTIONS, workers=1).runs[0].length]
    lengths += [audit([log], OPTIONS, workers=1).runs[0].length for _ in range(2)]
    assert lengths == [4000, 10_000, 10_000]


def test_an_audit_that_is_interrupted_has_lost_nothing(tmp_path, monkeypatch):
    folder, read = write_experiments(tmp_path / "exp"), []

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit([folder], OPTIONS, workers=1, on_progress=interrupt)
    from tune_jobs.audit import audit as module

    replay = module.replay_source
    monkeypatch.setattr(
        module, "replay_source", lambda *words: read.append(words[1]) or replay(*words)
    )
    audit([folder], OPTIONS, workers=1)
    assert read == ["broken", "good-1", "good-2", "late"]


class Killing:
    """A log that ends each process that gets it."""

    files, name = (Path("killing.csv"),), "CSV"

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_is_killed_leaves_a_note_at_what_is_left():
    tasks = [(f"{i}", Killing(), OPTIONS) for i in range(10)]
    runs = [run for of_log in _run_tasks(tasks, 2) for run in of_log]
    assert [run.name for run in runs] == [f"{i}" for i in range(10)]
    assert all("--workers" in run.note and not run.is_judged for run in runs)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "file"))
    assert audit([write_experiments(tmp_path / "exp")], OPTIONS, workers=1).ended


def test_progress_reaches_the_number_of_logs(tmp_path):
    seen = []
    audit(
        [write_experiments(tmp_path / "exp")],
        OPTIONS,
        workers=1,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (0, 6) and seen[-1] == (6, 6)


def test_a_folder_without_logs_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"There is no log in .*progress\.csv"):
        audit([tmp_path], OPTIONS)


def make_run(name, end, env="", stop=None, mode="max"):
    scores = tuple(np.linspace(0.0, end, 50).tolist())
    shares = tuple((i + 1) / 50 for i in range(50))
    about = {"env": env, "metric": "return_mean", "length": 1000.0, "mode": mode}
    return ReplayedRun(name, f"/x/{name}", "CSV", scores=scores, shares=shares, stop=stop, **about)


def test_runs_of_one_environment_are_one_group_and_others_one_of_their_folder():
    runs = [make_run("a/1", 1.0, "Ant-v5"), make_run("b/1", 1.0, "Ant-v5"), make_run("c/1", 1.0)]
    names = [group.name for group in group_runs(runs)]
    assert names == ["Ant-v5, return_mean", "c, return_mean"]
    assert [g.name for g in group_runs(runs, r"/x/(\w)/")] == ["a", "b", "c"]
    assert [g.name for g in group_runs(runs, r"[ab]/1")] == ["a/1", "b/1", "the others"]
    assert [g.name for g in group_runs(runs, r"(a)?/1")] == ["a", "the others"]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_best_third_is_by_the_end_of_a_run(mode):
    sign = 1 if mode == "max" else -1
    runs = tuple(make_run(f"{i}", sign * i, mode=mode) for i in range(1, 10))
    assert RunGroup("g", runs).best_third == {"7", "8", "9"}
    assert RunGroup("g", runs[:2]).best_third == frozenset()
    same = tuple(make_run(f"{i}", 1.0, mode=mode) for i in range(9))
    assert RunGroup("g", same).best_third == frozenset()


def test_a_stop_is_wrong_where_the_run_rose_and_good_where_it_was_among_the_best_already():
    stop = ReplayedStop("no_improvement", "e", "r", part=24, share=0.5)
    flat_run = ReplayedRun(
        "flat", "p", "CSV", scores=(9.0,) * 50, shares=(1.0,) * 50, stop=stop, length=1.0
    )
    rose, runs = make_run("rose", 5.0, stop=stop), [make_run(f"{i}", 1.0 + i / 9) for i in range(7)]
    blank = ReplayedRun("blank", "p", "CSV", scores=(None,) * 50, shares=(1.0,) * 50, stop=stop)
    group = RunGroup("g", (flat_run, rose, blank, *runs))
    assert [group.judge_stop(run) for run in group.runs[:3]] == ["good", "wrong", "unknown"]
    low = make_run("low", 0.0, stop=stop)
    assert RunGroup("g", (low, *runs)).judge_stop(low) == "right"


def test_a_scheduler_is_replayed_on_groups_of_eight():
    ends = np.random.default_rng(0).permutation(16)
    runs = tuple(make_run(f"{end}", float(end)) for end in ends)
    savings = replay_group(RunGroup("g", runs))
    # Curves that never cross: halving finds the best, and saves.
    assert savings.chosen == "15" and savings.regret == 0 and 0.3 < savings.saved < 0.8
    assert replay_group(RunGroup("g", runs[:7])) is None
    losses = tuple(make_run(f"{end}", -float(end), mode="min") for end in ends)
    assert replay_group(RunGroup("g", losses)).chosen == "15"


def test_the_page_holds_everything_and_escapes_names(tmp_path):
    folder = write_experiments(tmp_path / "exp")
    write_run(folder / "<b>x" / "progress.csv", flat(100, noise=0.005, seed=3))
    page = tmp_path / "audit.html"
    write_audit_page(audit([folder], OPTIONS, workers=1), page)
    text = page.read_text()
    assert "&lt;b&gt;x" in text and "<b>x" not in text
    assert text.count('<svg class="spark"') == 3 and "http://" not in text.replace(
        "http://www.w3.org", ""
    )
    assert "no_improvement: warn" in text


def test_what_was_left_out_is_listed_with_its_reason(tmp_path):
    folder = write_experiments(tmp_path / "exp")
    write_columns(folder / "doomed" / "data.csv", x=[1, 2], y=[3, 4])
    result = audit([folder], OPTIONS, workers=1)
    (left,) = result.as_dict()["left_out"]
    assert left["path"] == str(folder / "doomed" / "data.csv") and "x, y" in left["why"]
    assert any("data.csv: none of its columns" in line for line in format_account(result, 1.0))
    write_audit_page(result, tmp_path / "audit.html")
    assert "Left out" in (tmp_path / "audit.html").read_text()
    (only,) = audit([folder / "doomed" / "data.csv"], OPTIONS, workers=1).runs
    assert not only.is_judged
