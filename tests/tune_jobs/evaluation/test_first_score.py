# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""When a trial can have a score at all, and what is said before and after it has none."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from command_line import answer, rungwise
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synthetic_sweep import end, job_row, result

from algos.rollouts.env_factory import make_vector_env
from cluster.commands.jobs import shorten_job
from cluster.commands.live_run import print_and_check_outcome
from cluster.errors import CommandFailed
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs.evaluation.first_score import (
    EpisodePace,
    estimate_pace,
    explain_late_score,
    explain_missing_score,
)
from tune_jobs.evaluation.scoring import FEWEST
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.job_yaml import dump_job, list_presets, load_job, make_job

SWEEP = {"search": {"lr": {"loguniform": [1e-4, 1e-2]}}, "trials": 2, "iterations": 27, "grace": 3}
PENDULUM = {"env": "Pendulum-v1", "metric": "return_mean", "mode": "max", **SWEEP}
PENDULUM["settings"] = {"rollout_length": 128}
"""Episodes of 200 steps, none of which ends before, on 8 copies of 128 steps an iteration."""


@given(*(st.integers(1, 30) for _ in range(3)), st.integers(0, 1), st.integers(1, 60))
def test_episodes_finish_when_their_steps_have_been_taken(limit, length, copies, resets, wanted):
    pace = EpisodePace(limit, length, copies, resets)
    finished = step = iteration = 0
    while finished < wanted:  # by hand, step by step in all copies at once
        iteration += 1
        for _ in range(length):
            step += 1
            # Every ``limit`` steps an episode ends; those that only reset lie between two.
            finished += copies * (step % (limit + resets) == limit % (limit + resets))
    assert pace.iterations(wanted) == iteration


def test_first_score_is_late_if_episodes_outlast_the_first_rung():
    job = make_job(PENDULUM)
    pace = estimate_pace(job)
    assert (pace.limit, pace.copies, pace.rollout_length) == (200, 8, 128)
    # 20 episodes are three of each copy: 600 steps.
    assert pace.iterations(FEWEST) == 5
    said = explain_late_score(job, pace)
    assert "first rung is at iteration 3. A score needs 20 episodes; at full length" in said
    assert "the 20th ends at iteration 5: an episode" in said and "--grace 5" in said
    assert explain_late_score(replace(job, grace=5), pace) == ""


def test_the_length_that_is_proposed_makes_it_early():
    job = make_job(PENDULUM | {"iterations": 4, "grace": 0})
    pace = estimate_pace(job)
    assert "Set --grace 5 and --iterations 10 (--steps 10240), or" in explain_late_score(job, pace)
    longer = replace(job, iterations=0, steps=10240, grace=5)
    assert longer.iterations == 10 and longer.rungs and explain_late_score(longer, pace) == ""


def test_a_longer_rollout_or_more_copies_make_it_early():
    for settings in ({"rollout_length": 256}, {"num_envs": 32}):
        job = make_job(PENDULUM | {"settings": settings})
        assert explain_late_score(job, estimate_pace(job)) == ""


def test_budget_too_short_for_an_episode_is_reported_early():
    job = make_job(PENDULUM | {"iterations": 4, "env_kwargs": {"max_episode_steps": 1000}})
    said = explain_late_score(job, estimate_pace(job))
    assert "No episode" in said and "at least --iterations 24 (--steps 24576)" in said


def test_fewer_copies_are_proposed_where_they_finish_episodes():
    """Of 150,000 steps 8 copies take 18,250 each, and an episode lasts for 20,000."""
    long = {"env_kwargs": {"max_episode_steps": 20_000}, "iterations": 0, "steps": 150_000}
    job = make_job({"env": "Pendulum-v1", "metric": "return_mean", "mode": "max"} | long)
    said = explain_late_score(job, estimate_pace(job))
    assert "--settings.num-envs 2 " in said and "--settings.rollout-length 1024" in said
    assert "mean reward per step" in said
    fewer = replace(job.settings, num_envs=2, rollout_length=1024)
    changed = replace(job, settings=fewer, iterations=0)
    assert estimate_pace(changed).iterations(2) <= changed.iterations == job.iterations


def test_the_slowest_setting_that_is_searched_counts():
    job = make_job(PENDULUM | {"search": {"rollout_length": {"choice": [64, 256]}}, "trials": 8})
    assert estimate_pace(job).rollout_length == 64


def test_other_metrics_than_means_over_episodes_need_no_episode():
    job = make_job(PENDULUM | {"metric": "reward_mean"})
    assert explain_late_score(job, estimate_pace(job)) == ""


def test_episodes_from_the_same_starts_end_with_their_iteration():
    job = make_job(
        {"env": "CartPole-v1", "algo": "grpo", "metric": "return_mean", "mode": "max", **SWEEP}
        | {"settings": {"rollout_length": 50}}
    )
    assert estimate_pace(job).iterations(8) == 1


@pytest.mark.parametrize(
    "env",
    ["CausalLearning-v0", "CausalOptimisation-v0", "EdgeSelection-v0", "Shopping-v0"],
)
def test_no_episode_of_our_worlds_is_longer_than_its_limit(env):
    vector: Any = make_vector_env(env, {}, 4)
    vector.reset(seed=0)
    vector.action_space.seed(0)
    ended, steps = np.zeros(4, bool), 0
    while not ended.all():
        _, _, terminated, truncated, _ = vector.step(vector.action_space.sample())
        ended |= terminated | truncated
        steps += 1
    vector.close()
    assert steps <= vector.world.episode_limit


def test_why_no_trial_has_a_score():
    job = make_job(PENDULUM | {"iterations": 1})
    said = explain_missing_score(job, estimate_pace(job), episodes=0, iterations=1)
    assert said.startswith("no episode finished in 1 iteration of 1,024 steps")
    assert "200 steps" in said and "at least --iterations 5 (--steps 5120)" in said
    assert "only 8 episodes" in explain_missing_score(
        job, estimate_pace(job), episodes=8, iterations=2
    )
    assert "held_out" in explain_missing_score(
        replace(job, metric="held_out_return_mean"), None, 0, 1
    )


@pytest.mark.parametrize(
    ("score", "said"),
    [(None, "no episode finished in 1 iteration of 1,024 steps"), (math.nan, "no trial has a fin")],
)
def test_a_run_without_any_score_fails_with_the_reason(tmp_path, score, said):
    job = make_job(PENDULUM | {"iterations": 1})
    (tmp_path / "job.yaml").write_text(dump_job(job))
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row(metric="return_mean", mode="max", iterations=1, trials=2))
    for trial in ("00", "01"):
        log.append(result(trial, 1, score, metrics={"episodes": 0}))
        log.append(end(trial, 1, "budget"))
    with pytest.raises(CommandFailed, match=said):
        print_and_check_outcome(
            Outcome.from_rows(read_event_log(log.path)),
            tmp_path,
            Console(file=io.StringIO()),
            Outcome.as_dict,
        )


@pytest.mark.parametrize(("grace", "iterations"), [(100, 30), (30, 30)])
def test_a_grace_that_leaves_no_rung_is_refused(grace, iterations):
    job = make_job(PENDULUM | {"grace": grace, "iterations": iterations})
    with pytest.raises(InputError, match=r"grace is \d+, .* at most 29") as refused:
        validate_job(job)
    assert "--scheduler none" in str(refused.value)
    validate_job(replace(job, grace=29))


def test_without_anything_to_stop_early_no_rung_is_needed():
    for changed in ({"scheduler": "none"}, {"trials": 1, "search": {}}, {"iterations": 1}):
        validate_job(make_job(PENDULUM | {"grace": 100} | changed))


def test_quick_preset_with_two_iterations_has_a_rung():
    for name in list_presets():
        job = shorten_job(load_job(name))
        assert job.rungs or job.iterations == 1 or job.trials == 1, name


@pytest.mark.system
def test_no_trial_is_ended_for_a_score_that_it_cannot_have_yet(tmp_path):
    """Before 20 episodes have finished, at iteration 5, both trials are undecided."""
    words = ["--iterations", 8, "--evaluation-episodes", 0, "--cpus", 1, "--out", "run", "--json"]
    (tmp_path / "job.yaml").write_text(str(PENDULUM))
    done = rungwise("tune", "job.yaml", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning: The first rung is at iteration 3" in done.stderr
    told = answer(done)
    ends = sorted((trial["iterations"], trial["end_reason"]) for trial in told["trials"])
    # The other one ends at its first score, or not at all, where their difference is noise.
    assert ends[1] == (8, "budget") and ends[0] in ((5, "asha"), (8, "budget"))
    assert all(math.isfinite(trial["score"]) for trial in told["trials"])
