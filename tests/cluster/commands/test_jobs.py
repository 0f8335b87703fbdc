# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
"""The flags of the commands that start runs."""

from dataclasses import replace

import pytest
from command_line import answer, call
from finished_run import job

from cluster.commands.jobs import (
    QUICK_EPISODES,
    QUICK_ITERATIONS,
    QUICK_TRIALS,
    QUICK_WARM_START,
    make_single_job,
    shorten_job,
)
from rungwise.health import RULES
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import EvaluationRow, JobEndRow, JobRow
from tune_jobs.api import resume
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import dump_job, list_changes, make_job
from tune_jobs.session.prepare import is_complete, open_run


@pytest.mark.parametrize(("iterations", "short"), [(5, 1), (40, 4), (4000, QUICK_ITERATIONS)])
def test_quick_runs_a_tenth_of_the_iterations(iterations, short):
    job = shorten_job(make_job({"env": "CartPole-v1", "iterations": iterations, "grace": 1}))
    assert (job.iterations, job.grace) == (short, 1)


@pytest.mark.parametrize(
    ("about", "episodes"),
    [
        ({"env": "Shopping-v0"}, QUICK_EPISODES),
        ({"env": "Shopping-v0", "evaluation_episodes": 3}, 3),
        ({"env": "CartPole-v1", "evaluation_episodes": 100}, QUICK_EPISODES),
        # By a tenth of the time of so short a training.
        ({"env": "CartPole-v1"}, None),
    ],
)
def test_quick_limits_the_evaluation_by_number_or_time(about, episodes):
    assert shorten_job(make_job(about)).evaluation_episodes == episodes


def test_quick_scales_what_is_counted_in_iterations():
    about = {"env": "CausalLearning-v0", "algo": "dpo", "iterations": 40, "grace": 30}
    about |= {"held_out_interval": 20, "checkpoint_interval": 40, "patience": 30}
    settings = {"reference_interval": 40, "starts": 1000, "group_size": 8, "num_envs": 8}
    settings |= {"entropy_schedule": "decay", "entropy_decay": 0.99}
    full = make_job(about | {"settings": settings})
    job = shorten_job(full)
    assert job.iterations == 4
    assert (job.grace, job.held_out_interval, job.checkpoint_interval) == (3, 2, 4)
    assert (job.settings.reference_interval, job.settings.starts) == (4, 100)
    # The entropy weight ends where it would.
    assert job.settings.entropy_decay**4 == pytest.approx(full.settings.entropy_decay**40)
    assert job.patience == 0, "too few scores to separate a plateau from noise"
    assert job.held_out_episodes == QUICK_EPISODES


def test_quick_caps_trials_and_the_warm_start():
    about = {"env": "Shopping-v0", "trials": 8, "search": {"lr": {"uniform": [0.1, 0.2]}}}
    about["settings"] = {"warm_start": "rule", "warm_start_episodes": 1500}
    job = shorten_job(make_job(about))
    assert (job.trials, job.settings.warm_start_episodes) == (QUICK_TRIALS, QUICK_WARM_START)
    points = shorten_job(make_job(about | {"points": [{"lr": 0.1}] * 6}))
    assert points.trials == 6, "the points are asked for by name"


SWEEP = {"env": "CartPole-v1", "iterations": 20, "search": {"lr": {"loguniform": [1e-4, 1e-2]}}}
CHOICES = {"activation": {"choice": ["tanh", "relu"]}, "clip": {"choice": [0.1, 0.2, 0.3]}}


@pytest.mark.parametrize(
    "changed",
    [
        {"trials": 4, "points": [{"lr": 0.001}]},
        {"trials": 12, "repeats": 4},
        {"trials": 48},
        {"trials": 6, "searcher": "grid", "search": CHOICES},
        {"trials": 6, "searcher": "optuna", "points": [{"lr": 0.001}]},
        {"trials": 6, "scheduler": "pbt", "points": [{"lr": 0.001}]},
        {"trials": 6, "brackets": 2},
    ],
)
def test_every_sweep_can_be_shortened_and_trained_as_one(changed):
    job = make_job(SWEEP | changed)
    short = shorten_job(job)
    assert 1 < len(short.name_trials()) <= QUICK_TRIALS and not short.num_repeats
    validate_job(short)
    single = make_single_job(job)
    assert (single.trials, single.sample_configs()) == (1, [{}])
    assert single.settings == job.settings


def test_a_program_without_a_budget_can_be_shortened():
    job = shorten_job(make_job({"command": "python train.py --out {out}"}))
    assert (job.iterations, job.program.command) == (0, "python train.py --out {out}")
    assert make_single_job(job).trials == 1


def test_quick_repeats_the_warm_start_as_often():
    about = {"env": "CausalLearning-v0", "iterations": 40}
    about["settings"] = {"warm_start": "round_robin", "warm_start_interval": 20}
    job = shorten_job(make_job(about))
    assert (job.iterations, job.settings.warm_start_interval) == (4, 2)


def test_quick_leaves_off_what_is_off():
    job = shorten_job(make_job({"env": "CartPole-v1", "iterations": 200}))
    assert (job.patience, job.held_out_interval) == (0, 0)


def test_quick_lets_health_rules_only_warn():
    about = {"env": "CartPole-v1", "health": {"kl_runaway": "off", "not_finite": "stop"}}
    limits = shorten_job(make_job(about)).health
    assert "stop" not in {limits.get(symptom, rule.highest) for symptom, rule in RULES.items()}
    assert limits["kl_runaway"] == "off" and limits["not_finite"] == "warn"
    # A rule that never warns by itself is not made to.
    assert not any(rule.highest == "note" and symptom in limits for symptom, rule in RULES.items())


def test_an_outcome_is_printed_where_its_report_cannot_be_written(run):
    (run / "report.html").mkdir()  # of a colleague, for whom permissions hold, this ends alike
    done = call("report", run, cwd=run.parent)
    assert done.returncode == 0 and "Best: trial 01" in done.stdout
    assert f"rungwise: {run}/report.html cannot be written (Is a directory): free" in done.stderr
    found = answer(call("report", run, "--json", cwd=run.parent))
    assert found["best"]["id"] == "01" and found["report"] is None


def end(run, changed_job=None, reason="done", more=()):
    """Write the end of a run as its driver does, and the job that its directory holds now."""
    log, about = EventLog(run / "events.jsonl"), {"run": "r", "env": "CartPole-v1", "algo": "ppo"}
    changes = list_changes(job())
    start = JobRow(**about, metric="return_mean", mode="max", iterations=4, trials=3)
    log.append(replace(start, changes=changes, resumed=True))
    for row in more:
        log.append(row)
    log.append(JobEndRow(reason=reason, seconds=1.0))
    (run / "job.yaml").write_text(dump_job(changed_job or job()))


def test_a_run_that_has_ended_is_not_started_again(run):
    end(run)
    before = (run / "events.jsonl").read_bytes()
    done = call("resume", run, "--json", cwd=run)
    assert done.returncode == 0 and len(answer(done)["trials"]) == 3
    assert "Nothing to resume" in done.stderr and "--iterations N" in done.stderr
    assert resume(run).end.reason == "done"
    assert (run / "events.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"trials": 5}, "done"), ({"iterations": 9}, "done"), ({}, "interrupted"), ({}, "error")],
)
def test_a_run_with_work_left_is_not_complete(run, changed, reason):
    end(run, job(**changed), reason)
    assert not is_complete(*open_run(run))


def test_a_run_whose_evaluation_failed_is_not_complete(run):
    failed = EvaluationRow(trial="01", checkpoint="c", episodes=0, seed=1, policy={}, failure="x")
    end(run, more=[failed])
    assert not is_complete(*open_run(run))
