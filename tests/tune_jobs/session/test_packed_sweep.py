# pyright: basic
"""The trials of a sweep score in a pack what they score by themselves."""

import pytest

import tune_jobs
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.events import EndRow, ResultRow

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("local_ray")]

JOB = {
    **{"env": "toy_worlds:Bandit-v0", "trials": 4, "iterations": 6, "scheduler": "none"},
    **{"metric": "return_mean", "mode": "max", "evaluation_episodes": 0, "checkpoint_interval": 4},
    # Without a KL limit, which rounding may decide: an epoch more or less is another policy.
    "settings": {
        **{"num_envs": 4, "rollout_length": 32, "minibatch_size": 32, "hidden": [8]},
        "kl_limit": 0.0,
    },
    "search": {"lr": {"loguniform": [1e-4, 1e-1]}, "gamma": {"uniform": [0.5, 0.99]}},
}


def run(folder, **changed):
    """The results of a sweep by trial and iteration, after all of which have ended by budget."""
    rows = []
    tune_jobs.run(make_job(JOB | changed), folder, on_row=rows.append)
    assert [row.reason for row in rows if isinstance(row, EndRow)] == ["budget"] * JOB["trials"]
    return {(row.trial, row.iteration): row for row in rows if isinstance(row, ResultRow)}


def test_packed_trials_score_what_they_score_alone(tmp_path):
    alone = run(tmp_path / "alone")
    packed = run(tmp_path / "packed", packs=1, cpus_per_trial=0.5)
    assert packed.keys() == alone.keys() and len(alone) == 24
    for name, row in alone.items():
        assert packed[name].metrics.keys() == row.metrics.keys()
        assert packed[name].score == pytest.approx(row.score, abs=0.1), name
    scores = [row.score for row in alone.values() if row.score is not None]
    assert max(scores) - min(scores) > 1, "trials that learn alike would show nothing"
