# pyright: basic
"""Every benchmark that the Makefile or the documentation names starts and answers."""

import importlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from benchmarks import health_suite
from paths import ROOT, SUPPORT

QUICK = {
    "bench": "--only causal --contestants ours env_alone --rounds 1 --iterations 3",
    "foreign_suite": "--half set",
    "health_suite": "--only NaN --half reported",
    "landscapes": "--data {folder}/tables --replays 1 --costs 320",
    "spot": "--data {folder}/tables --traces {folder}/spot.npz --trials 10 --nodes 3 --seeds 2",
    "shop": "--steps 500 --seeds 0 --products 60 --only ppo",
}
"""Arguments for the smallest task, of those for which that takes seconds."""
LONG = {
    "false_alarms": "--data {folder}/tables --seeds 1",
    "live_sweeps": "--to {folder}/runs --only Acrobot-v1 --quick --live",
    "long_runs": "{folder}/curves --only Rungwise --workers 1",
    "overhead": "",
    "panel": "--only grid --seeds 1",
    "program_sweeps": "--to {folder}/runs --only sb3_dqn --quick",
    "scale": "--sizes 40",
    "soak": "--minutes 1",
    "sweep": "--quick --orders 2",
    "trials_per_hour": "--trials 2 --iterations 2",
    "watch_overhead": "--seconds 5 --rows 2000 --pairs 1",
    "watched": "--to {folder}/runs --only bandit --faults ''",
}
"""Of those for which it takes up to some minutes."""
TABLES = {"watch_overhead", "watched"}
"""Those that end with text; the others end with their figures as JSON."""


def list_named():
    """The benchmarks that Makefile and documentation name; one with a colon is an environment."""
    texts = [(ROOT / "Makefile").read_text(), *(p.read_text() for p in ROOT.glob("docs/*.md"))]
    return sorted(set(re.findall(r"\bbenchmarks\.(\w+)\b(?!:)", "\n".join(texts))))


@pytest.mark.parametrize("name", list_named())
def test_a_named_benchmark_explains_itself(name, monkeypatch, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.main
    if re.search(r"ArgumentParser\(|parse_programs\(", inspect.getsource(module)):
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 0 and "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.system) for name in QUICK),
        *(pytest.param(name, marks=pytest.mark.slow) for name in LONG),
    ],
)
def test_a_benchmark_answers_on_its_smallest_task(name, tmp_path):
    write_curves(tmp_path)
    words = shlex.split((QUICK | LONG)[name].format(folder=tmp_path))
    places = os.pathsep.join(map(str, (ROOT, ROOT / "tests", SUPPORT)))
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    assert last if name in TABLES else json.loads(last)


def write_curves(folder):
    """Two tables of settings that one algorithm was trained with, a run's curve, a spot trace."""
    rng = np.random.default_rng(0)
    for part in ("tables", "curves"):
        (folder / part).mkdir()
    for task in ("walk", "swim"):
        np.savez(
            folder / f"tables/{task}_ppo.npz",
            performance=rng.normal(size=(40, 3, 10)).cumsum(-1),
            names=["lr"],
            settings=[[str(i / 40)] for i in range(40)],
        )
    np.savez(folder / "spot.npz", **{"a": rng.integers(0, 3, 100), "a|gap_seconds": 600})
    np.savetxt(folder / "curves/run.csv", rng.normal(size=200).cumsum())


def test_every_named_benchmark_is_started():
    assert set(list_named()) == {*QUICK, *LONG}


def verdict(end, control_end, control_start=0.0):
    score = {"start": 0.0, "end": end}
    return {"score": score, "control": {"start": control_start, "end": control_end}}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([verdict(0.0, 10.0)], True),
        ([verdict(9.5, 10.0)], False),
        ([verdict(12.0, 10.0), verdict(2.0, 10.0)], True),
        ([verdict(-200.0, -200.0, -200.0)], False),
        ([verdict(None, 10.0)], True),
    ],
    ids=["lost", "nothing lost", "lost on average", "nothing to gain", "no score at all"],
)
def test_a_fault_costs_a_share_of_the_gain_without_it(verdicts, expected):
    assert health_suite.costs(verdicts) == expected
