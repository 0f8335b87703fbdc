# pyright: basic
"""Budgets in environment steps: as many whole iterations as they hold, wherever they are given."""

import pyarrow.parquet as pq
import pytest
from synthetic_sweep import job_row, result

from cluster.commands.jobs import QUICK_ITERATIONS, Train, Tune, shorten_job
from rungwise.run_log.ledger import write_ledger
from rungwise.validation import InputError
from tune_jobs.jobs.budget import DEFAULT_ITERATIONS
from tune_jobs.jobs.job_yaml import dump_job, list_changes, make_job, parse_job
from tune_jobs.jobs.workload import describe_rollouts

SETTINGS = {"num_envs": 8, "rollout_length": 64, "minibatch_size": 64}


def job(**fields):
    return make_job({"env": "CartPole-v1", "settings": SETTINGS} | fields)


def test_steps_hold_whole_iterations_of_all_runners():
    assert job(steps=51_200).iterations == 100
    assert job(steps=51_199).iterations == 99
    assert job(steps=51_200, settings=SETTINGS | {"num_env_runners": 2}).iterations == 50
    assert job().iterations == DEFAULT_ITERATIONS and job(iterations=7).iterations == 7


def test_the_copy_of_a_job_reads_as_the_job():
    given = job(steps=51_200)
    assert parse_job(dump_job(given), "copy") == given
    assert list_changes(given)["job"] == {"steps": 51_200}
    assert "job" not in list_changes(job())


@pytest.mark.parametrize(
    ("steps", "length"), [(0, 256), (98_304, 256), (98_303, 128), (9_000, 128)]
)
def test_short_budgets_have_shorter_rollouts(steps, length):
    given = make_job({"env": "CartPole-v1", "steps": steps})
    assert given.training.rollout_length == length
    assert given.iterations == (steps // (8 * length) or DEFAULT_ITERATIONS)
    assert bool(describe_rollouts(given)) == (length < 256)
    assert parse_job(dump_job(given), "copy") == given


def test_a_rollout_length_that_is_given_stays():
    fields = {"env": "CartPole-v1", "steps": 40_000}
    assert make_job(fields | {"settings": {"rollout_length": 256}}).iterations == 19
    by_flags = Train.parse(["--env", "CartPole-v1", "--steps", "40000"]).job
    assert (by_flags.training.rollout_length, by_flags.iterations) == (128, 39)


def test_shorter_rollouts_fill_every_minibatch():
    fields = {"env": "CartPole-v1", "steps": 9_000}
    large = make_job(fields | {"settings": {"minibatch_size": 2048}}).training
    assert large.rollout_length * large.num_envs == 2048
    searched = {"search": {"minibatch_size": {"choice": [64, 2048]}}, "trials": 2}
    assert make_job(fields | searched).training.rollout_length == 256


def test_a_quick_run_has_the_rollouts_of_the_full_one():
    full = make_job({"env": "CartPole-v1", "steps": 200_000})
    assert shorten_job(full).training.rollout_length == full.training.rollout_length == 256


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"steps": 51_200, "iterations": 99}, "give one of them"),
        ({"steps": 511}, "one iteration alone has 512"),
        (
            {"steps": 51_200, "search": {"num_envs": {"choice": [4, 8]}}},
            "num_envs is searched",
        ),
        (
            {"steps": 51_200, "algo": "grpo", "env": "CausalLearning-v0", "settings": {}},
            "whole episodes",
        ),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        job(**fields)


def test_a_flag_replaces_the_budget_of_a_job():
    by_steps = Tune.parse(["cartpole", "--steps", "40960"]).job
    assert (by_steps.steps, by_steps.iterations) == (40_960, 10)
    back = Train.parse(["--env", "CartPole-v1", "--steps=40960", "--settings.rollout-length=512"])
    assert back.job.iterations == 10
    with pytest.raises(InputError, match="give one of them"):
        Tune.parse(["cartpole", "--steps", "40960", "--iterations", "3"])


def test_flags_of_a_job_in_steps_keep_the_steps(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(dump_job(job(steps=51_200)))
    longer = Tune.parse([str(path), "--settings.rollout-length", "128"]).job
    assert (longer.steps, longer.iterations) == (51_200, 50)
    other = Tune.parse([str(path), "--algo", "reinforce"]).job
    assert (other.steps, other.iterations) == (51_200, 50)
    assert Tune.parse([str(path), "--iterations", "3"]).job.steps == 0


@pytest.mark.parametrize("steps", [51_200, 51_700, 999_999])
def test_a_quick_run_scales_the_steps(steps):
    short = shorten_job(job(steps=steps))
    assert short.iterations == QUICK_ITERATIONS
    assert short.steps == pytest.approx(QUICK_ITERATIONS * 512, rel=0.02)


def test_the_ledger_holds_the_budget_of_all_seeds(tmp_path):
    rows = [job_row(trials=1, steps=9000, seeds=2), result("01", 9, 0.3)]
    write_ledger(rows, tmp_path / "l", log_bytes=0)
    (row,) = pq.read_table(tmp_path / "l").to_pylist()
    assert row["env_steps_budget"] == 18_000
