# pyright: basic
"""The fields of a job and the checks between them."""

import pytest

from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import make_job


def test_a_job_reserves_the_seeds_of_all_its_episodes():
    assert make_job({"env": "CartPole-v1"}).most_evaluated == 256
    for number in (0, 7, 2000):
        job = make_job({"env": "CartPole-v1", "evaluation_episodes": number})
        assert job.most_evaluated == number


@pytest.mark.parametrize(
    ("fields", "rungs"),
    [
        ({}, [20, 40, 80]),
        ({"iterations": 25}, [5, 10, 20]),
        ({"iterations": 20}, [5, 10]),
        ({"iterations": 10}, [5]),
        ({"iterations": 9}, [4, 8]),
        ({"iterations": 2}, [1]),
        ({"grace": 5, "reduction_factor": 4}, [5, 20, 80]),
        ({"trials": 1}, []),
        ({"scheduler": "none"}, []),
    ],
)
def test_rungs_begin_at_a_fifth_of_the_budget_or_after_the_grace(fields, rungs):
    search = {"lr": {"uniform": [0.1, 0.2]}}
    about = {"env": "CartPole-v1", "trials": 4, "search": search}
    assert make_job(about | fields).rungs == rungs


def test_a_population_exploits_as_often_as_it_is_told():
    search = {"lr": {"uniform": [0.1, 0.2]}}
    about = {"env": "CartPole-v1", "trials": 4, "search": search, "scheduler": "pbt"}
    assert make_job(about).decision_interval == 3
    assert make_job(about | {"grace": 7}).decision_interval == 7


@pytest.mark.parametrize("name", ["iterations", "steps"])
def test_a_budget_that_no_ledger_can_hold_is_refused(name):
    with pytest.raises(InputError, match=name):
        make_job({"env": "CartPole-v1", name: 10**30})


def test_unproven_rules_only_warn_in_a_careful_job():
    job = make_job({"env": "CartPole-v1", "max_wrong": 0.001, "health": {"hung": "off"}})
    assert job.health_limits["hung"] == "off" and job.health_limits["kl_runaway"] == "warn"
    assert "no_improvement" not in job.health_limits
    assert make_job({"env": "CartPole-v1"}).health_limits == {}
    with pytest.raises(InputError, match="max_wrong must be in"):
        make_job({"env": "CartPole-v1", "max_wrong": 2.0})
