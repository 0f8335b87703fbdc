# pyright: basic, reportOptionalMemberAccess=false
"""Sweeps that are extended after Ctrl-C, killed in the middle of it, and extended at their end."""

import os
import signal

import pytest
from command_line import answer, call, rungwise
from live_runs import read_rows, start
from waiting import wait_until

from rungwise.run_log.events import CheckpointRow, EndRow, JobRow, ResultRow, TrialRow
from tune_jobs.jobs.job_yaml import load_job, make_job
from tune_jobs.jobs.trials import add_default_point

SWEEP = """
env: CartPole-v1
iterations: 12
trials: 4
grace: 3
checkpoint_interval: 2
evaluation_episodes: 0
search: {lr: {loguniform: [1.0e-4, 1.0e-2]}}
settings: {num_envs: 4, rollout_length: 64, minibatch_size: 32, epochs: 1}
"""
PROGRAM = """
import argparse, csv, os
parser = argparse.ArgumentParser()
for name in ("lr", "out", "load"):
    parser.add_argument("--" + name)
given = parser.parse_args()
log = os.path.join(given.out, "log.csv")
begun = sum(1 for _ in open(log)) - 1 if given.load else 0
with open(log, "a" if begun else "w", newline="") as file:
    table = csv.writer(file)
    if not begun:
        table.writerow(["return", "step"])
    for i in range(begun + 1, 9):
        table.writerow([float(given.lr), i])
        file.flush()
"""
PROGRAM_SWEEP = """
command: python train.py --lr {lr} --out {out}
resume: --load {checkpoint}
search: {lr: {uniform: [0.0, 1.0]}}
trials: 2
metric: return
mode: max
progress: step
budget: 8
iterations: 8
grace: 2
"""


def has_begun(run):
    """Whether a trial of the latest session has a checkpoint, and not all trials have ended."""
    rows = read_rows(run)
    latest = max((i for i, row in enumerate(rows) if isinstance(row, JobRow)), default=0)
    return any(isinstance(row, CheckpointRow) for row in rows[latest:])


@pytest.mark.system
def test_a_sweep_is_extended_after_ctrl_c_killed_and_resumed(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    run, own = tmp_path / "run", {"cwd": tmp_path, "start_new_session": True}
    first = start("tune", "sweep.yaml", "--out", run, "--cpus", 1, **own)
    wait_until(lambda: has_begun(run))
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait() == 130
    before = read_rows(run)
    refused = call("resume", run, "--trials", 2, "--iterations", 24, cwd=tmp_path)
    assert refused.returncode == 2 and "trials is 2, but this run has 4" in refused.stderr
    refused = call("resume", run, "--settings.lr", 1, cwd=tmp_path)
    assert refused.returncode == 2 and "extended by settings.lr 1" in refused.stderr
    assert read_rows(run) == before and load_job(run / "job.yaml").trials == 4

    second = start("resume", run, "--trials", 7, "--iterations", 24, "--cpus", 1, **own)
    wait_until(lambda: len(read_rows(run, JobRow)) == 2 and has_begun(run))
    second.kill()
    second.wait()
    done = rungwise("resume", run, "--cpus", 1, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    rows, said = read_rows(run), answer(done)
    starts = [row for row in rows if isinstance(row, JobRow)]
    sizes = [(row.trials, row.iterations, row.scheduler["rungs"]) for row in starts]
    assert sizes == [(4, 12, [3, 6]), (7, 24, [3, 6, 12]), (7, 24, [3, 6, 12])]
    sentences = [row.extension for row in starts]
    assert sentences == ["", "trials from 4 to 7, iterations from 12 to 24", ""]
    fresh = add_default_point(make_job({**vars_of(run), "trials": 7, "points": []}))
    drawn = {row.trial: row.config for row in rows if isinstance(row, TrialRow)}
    assert drawn == dict(zip(fresh.name_trials(), fresh.sample_configs(), strict=True))
    assert {trial["end_reason"] for trial in said["trials"]} <= {"budget", "asha", "health"}
    assert any(trial["iterations"] == 24 for trial in said["trials"])
    for trial in {row.trial for row in rows if isinstance(row, ResultRow)}:
        mine = [row for row in rows if getattr(row, "trial", "") == trial]
        reached = 0
        for row in mine:
            if isinstance(row, ResultRow):
                assert reached - 2 <= row.iteration - 1 <= reached, "it continues where it was"
                reached = row.iteration
    run_, total = sum(t["iterations"] for t in said["trials"]), 7 * 24
    assert said["compute_saved"] == pytest.approx(1 - run_ / total)

    # Extended again to what it is, it has nothing left to do.
    done = rungwise("resume", run, "--trials", 7, "--iterations", 24, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_rows(run, ResultRow) == [row for row in rows if isinstance(row, ResultRow)]


def vars_of(run):
    """The fields of a run's job that a user gave, as plain values."""
    job = load_job(run / "job.yaml")
    search = {"lr": {"loguniform": [1e-4, 1e-2]}}
    return {"env": job.env, "iterations": job.iterations, "seed": job.seed, "search": search}


@pytest.mark.system
def test_programs_join_a_finished_sweep_and_those_that_wait_continue(tmp_path):
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(PROGRAM_SWEEP)
    done = rungwise("tune", "sweep.yaml", "--out", "run", "--cpus", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ended = read_rows(tmp_path / "run", EndRow)
    assert sorted(row.reason for row in ended) == ["asha", "budget"]
    done = rungwise("resume", "run", "--trials", 6, "--cpus", 1, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    trials = answer(done)["trials"]
    assert len(trials) == 6 and {t["end_reason"] for t in trials} == {"asha", "budget"}
    best = max(trials, key=lambda trial: trial["config"]["lr"])
    assert best["iterations"] == 8 and answer(done)["best"]["id"] == best["id"]
