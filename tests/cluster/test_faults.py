# pyright: basic
"""What breaks while a run is under way, and what it costs."""

import contextlib
import os
import signal
import subprocess
import time

import psutil
import pytest
from command_line import answer, rungwise
from live_runs import read_rows, start
from waiting import wait_until

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, EndRow, FindingRow, ResultRow

pytestmark = pytest.mark.system

RUN = ["--env", "my_envs:Warehouse-v0", "--evaluation-episodes", 0, "--checkpoint-interval", 1]
RUN += ["--out", "run"]


def train(project, fault, *words, iterations=8):
    fault = ["--env-kwargs", "fault", fault, "late", 4000, "flag", project / "flag"]
    words = [*RUN, "--iterations", iterations, *fault, "--settings.hang-limit-s", 3, *words]
    done = rungwise("train", *words, "--json", cwd=project)
    return done, read_event_log(project / "run" / "events.jsonl")


def iterations_of(rows):
    return [row.iteration for row in rows if isinstance(row, ResultRow)]


@pytest.mark.parametrize(("fault", "symptom"), [("hang", "hung"), ("exit", "crashed")])
def test_a_trial_resumes_after_its_environment_hangs_or_exits(project, fault, symptom):
    done, rows = train(project, fault)
    assert done.returncode == 0, done.stderr
    assert answer(done)["end_reason"] == "budget"
    finding = next(row for row in rows if isinstance(row, FindingRow) and row.symptom == symptom)
    if fault == "hang":
        assert "in fail" in finding.evidence and "my_envs.py:" in finding.evidence
    # Checkpoints are taken every iteration: none of those reported is run again.
    assert iterations_of(rows) == list(range(1, 9))


def test_an_environment_that_always_exits_ends_the_trial(project):
    done, rows = train(project, "exit always", "--max-failures", 1, iterations=20)
    assert done.returncode == 1
    assert answer(done)["end_reason"] == "error"
    assert "its process died" in next(r for r in rows if isinstance(r, EndRow)).sentence
    # At once, too: Tune's copies of an error are up to ten seconds old.
    crash = next(r for r in rows if isinstance(r, FindingRow) and r.symptom == "crashed")
    assert "its process died" in crash.evidence


@pytest.mark.parametrize("fault", ["hang", "exit"])
def test_a_remote_runner_that_hangs_or_exits_is_replaced(project, fault):
    done, rows = train(project, fault, "--settings.num-env-runners", 2, "--cpus", 3)
    assert done.returncode == 0, done.stderr
    assert iterations_of(rows) == list(range(1, 9))
    assert not [row for row in rows if isinstance(row, FindingRow) and row.symptom == "crashed"]
    hung = next(row for row in rows if isinstance(row, FindingRow) and row.symptom == "hung")
    if fault == "hang":
        assert "in fail" in hung.evidence and "my_envs.py:" in hung.evidence
    slowest = max(r.metrics["iteration_s"] for r in rows if isinstance(r, ResultRow))
    print(f"\n{fault}: the slowest iteration took {slowest:.1f} s")


@pytest.mark.parametrize(
    ("victim", "words"),
    [
        # What Ray calls it between two steps, and during one.
        (("ray::Trial", "ray::ResourceTrainable"), []),
        (("ray::_WrappedExecutable",), ["--settings.num-learners", 1, "--cpus", 3]),
    ],
    ids=["trial", "learner"],
)
def test_a_kill_costs_at_most_one_checkpoint_interval(project, victim, words):
    words = [*RUN, "--iterations", 60, "--checkpoint-interval", 2, *words, "--json"]
    process = start("train", *words, cwd=project, stderr=subprocess.PIPE)
    before = wait_until(lambda: find_reached(project / "run"))
    os.kill(_descendant(process.pid, victim), signal.SIGKILL)
    killed = time.time()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    rows = read_event_log(project / "run" / "events.jsonl")
    after = [row for row in rows if isinstance(row, ResultRow) and row.time > killed]
    back = next(row for row in after if row.iteration > before)
    print(f"\n{victim[0]}: back {back.time - killed:.1f} s after the kill")
    steps = iterations_of(rows)
    again = max(a - b for a, b in zip([0, *steps], steps, strict=False)) + 1
    assert again <= 2, "more than one checkpoint interval was run again"
    assert steps[-1] == 60


def find_reached(run):
    """The iteration reached, once a checkpoint is saved; 0 before."""
    return max(iterations_of(read_rows(run))) if read_rows(run, CheckpointRow) else 0


def _descendant(pid, names):
    running = {}
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            running[process.pid] = " ".join(process.cmdline()).strip()
    found = [process for process, words in running.items() if words.startswith(names)]
    assert found, [words for words in running.values() if words.startswith("ray::")]
    return found[0]
