# pyright: basic
"""The flags of the commands that start runs."""

import pytest

from cluster.commands.jobs import QUICK_EPISODES, QUICK_ITERATIONS, _find_flag, shorten_job
from tune_jobs.jobs.job_yaml import make_job


@pytest.mark.parametrize(("iterations", "short"), [(5, 1), (40, 4), (4000, QUICK_ITERATIONS)])
def test_quick_runs_a_tenth_of_the_iterations(iterations, short):
    job = shorten_job(make_job({"env": "CartPole-v1", "iterations": iterations, "grace": 1}))
    assert job.iterations == short and job.evaluation_episodes == QUICK_EPISODES
    assert job.grace == 1


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--env", "a"], "a"), (["--env=b"], "b"), (["--env"], None), (["--algo", "dqn"], None)],
)
def test_a_flag_is_found_before_the_flags_are_parsed(words, value):
    assert _find_flag(words, "--env") == value
