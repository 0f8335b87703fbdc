# pyright: basic, reportOptionalMemberAccess=false
"""Runs of an earlier version: they are reported, shown, evaluated and resumed.

``earlier_runs.tar.xz`` holds four runs of commit 3a006b54: a sweep whose driver was killed and
whose log has older rows, one by PBT, one of a program (``prog.py``), and one by RLlib.
"""

import tarfile

import pytest
from command_line import answer, call, rungwise
from dashboard_app import read_whole
from paths import DATA

ITERATIONS = {"sweep": [5, 3, 2], "pbt": [4, 4], "rllib": [2], "program": [100, 100]}
"""What each trial had trained when its run ended."""


@pytest.fixture
def runs(tmp_path):
    with tarfile.open(DATA / "earlier_runs.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.mark.parametrize("name", ITERATIONS)
def test_report_of_an_earlier_run(runs, name):
    done = call("report", name, "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert [trial["iterations"] for trial in answer(done)["trials"]] == ITERATIONS[name]
    assert (runs / name / "report.html").exists()


@pytest.mark.parametrize("name", ITERATIONS)
def test_page_of_an_earlier_run(runs, name):
    outcome = read_whole(runs / name).outcome
    assert [trial.iterations for trial in outcome.trials] == ITERATIONS[name]


@pytest.mark.parametrize("name", ["sweep", "pbt", "rllib"])
def test_evaluation_of_an_earlier_checkpoint(runs, name):
    checkpoint = answer(call("report", name, "--json", cwd=runs))["best"]["checkpoint"]
    done = call("evaluate", checkpoint, "--episodes", 2, "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert answer(done)["episodes"] == 2


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "more", "most"),
    [
        ("sweep", [], 8),
        ("pbt", ["--iterations", 6], 6),
        ("rllib", ["--iterations", 3], 3),
        ("program", ["--trials", 3], 100),
    ],
)
def test_earlier_run_is_resumed(runs, name, more, most):
    done = rungwise("resume", name, *more, "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    trials = answer(done)["trials"]
    assert {trial["end_reason"] for trial in trials} <= {"budget", "asha"}
    assert max(trial["iterations"] for trial in trials) == most
    assert all(
        t["iterations"] >= before for t, before in zip(trials, ITERATIONS[name], strict=False)
    )
    assert len(trials) == (3 if name == "program" else len(ITERATIONS[name]))
