# pyright: basic
"""The benchmark of long runs reads curves, counts stops, and finds few wrong ones."""

import json
import sys

import numpy as np
import pytest
from benchmarks import long_runs
from benchmarks.landscape_tables import DATA
from benchmarks.long_runs import METHODS, OURS, Run, find_task, judge_all, split_into_sweeps

CURVES = DATA.parent / "curves"
FLAT = np.random.default_rng(1).normal(10.0, 0.05, 200)
LATE = np.where(np.arange(200) < 191, 0.0, 50.0)
"""A first reward after 95 % of the run."""
GROWN = np.linspace(0.0, 100.0, 200)


def write(path, curves):
    labels = [f"task-v0_{name}" for name in curves]
    lengths = [len(curve) for curve in curves.values()]
    np.savez(path, labels=labels, lengths=lengths, values=np.concatenate([*curves.values()]))


def test_sets_are_read_from_both_formats(tmp_path):
    write(tmp_path / "packed.npz", {"a": [1.0, 2.0], "b": [3.0]})
    (tmp_path / "mine" / "seeds").mkdir(parents=True)
    (tmp_path / "mine" / "seeds" / "0.csv").write_text("return\n1.5\n\n2.5\n")
    (tmp_path / "mine" / "seeds" / "1.csv").write_text("-1\nnan\n1e3\n")
    sets = long_runs.read_sets(tmp_path)
    found = {name: {run.label: run.returns.tolist() for run in runs} for name, runs in sets.items()}
    assert found == {
        "packed": {"task-v0_a": [1.0, 2.0], "task-v0_b": [3.0]},
        "seeds": {
            "mine/seeds/0": pytest.approx([1.5, np.nan, 2.5], nan_ok=True),
            "mine/seeds/1": pytest.approx([-1.0, np.nan, 1e3], nan_ok=True),
        },
    }


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("dopamine/pong/C51/0", "dopamine/pong"),
        ("td3/TD3_Reacher-v1_5", "TD3_Reacher-v1"),
        ("Enduro-v0_PPO_random_lr_-1_seed0", "Enduro-v0"),
        ("cartpole", "cartpole"),
    ],
)
def test_task_of_a_label(label, task):
    assert find_task(label) == task


def test_sweeps_hold_runs_of_one_task_each_once():
    runs = [Run(f"a/{task}/{seed}", GROWN) for task in "xy" for seed in range(40)]
    sweeps = split_into_sweeps(runs)
    assert sorted(map(len, sweeps)) == [8, 8, 32, 32]
    assert all(len({find_task(run.label) for run in sweep}) == 1 for sweep in sweeps)
    assert sorted(run.label for sweep in sweeps for run in sweep) == sorted(r.label for r in runs)


def test_flat_runs_are_stopped_and_a_late_rise_counts_as_wrong():
    runs = [Run("flat", FLAT), Run("late", LATE), Run("grown", GROWN)]
    figures = judge_all(OURS, [runs])
    assert figures.stops == {"no_improvement": 1, "constant_reward": 1}
    assert [wrong.split(":")[0] for wrong in figures.wrong] == ["late"]
    summary = figures.summarise()
    assert summary["right"] == 1 and summary["runs"] == 3
    assert (summary["warned"], summary["warned_and_rose"]) == (2, 1)
    assert 0.05 < summary["saved"] < 0.3


@pytest.mark.parametrize("method", METHODS[1:])
def test_peers_judge_runs_of_different_lengths(method):
    rng = np.random.default_rng(1)
    runs = [Run(f"task/{i}", rng.normal(i % 5, 1.0, 150 + i)) for i in range(20)]
    figures = judge_all(method, [runs])
    assert figures.runs == 20 and not figures.warned
    assert 0 <= figures.summarise()["saved"] < 1


def test_the_command_prints_a_table_and_one_json_object(tmp_path, monkeypatch, capsys):
    write(tmp_path / "curves.npz", {"flat": FLAT, "late": LATE, "grown": GROWN})
    monkeypatch.setattr(sys, "argv", ["long_runs", str(tmp_path), "--only", OURS, "--workers", "1"])
    long_runs.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["curves"][OURS]["right"] == 1
    assert any(row.startswith("| Rungwise | 2 (66.7 %): ") for row in table)


def test_a_folder_without_curves_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["long_runs", str(tmp_path)])
    with pytest.raises(SystemExit, match=f"{tmp_path} has no curves"):
        long_runs.main()


@pytest.mark.system
def test_published_long_runs_are_rarely_stopped_wrongly():
    if not CURVES.is_dir():
        pytest.skip(f"{CURVES} has no published curves")
    for runs in long_runs.read_sets(CURVES).values():
        sample = runs[::20]
        assert not judge_all(OURS, [sample]).wrong
