# pyright: basic
"""The fields of a job and the checks between them."""

from tune_jobs.jobs.job_yaml import make_job


def test_a_job_reserves_the_seeds_of_all_its_episodes():
    assert make_job({"env": "CartPole-v1"}).most_evaluated == 256
    for number in (0, 7, 2000):
        job = make_job({"env": "CartPole-v1", "evaluation_episodes": number})
        assert job.most_evaluated == number
