# pyright: basic
"""When a trial is told to end, by the scores it reports."""

import json
import math
from dataclasses import replace

import pytest

from tune_jobs.jobs.job_yaml import load_job
from tune_jobs.recorder import Recorder
from tune_jobs.schedulers.asha import RecordedASHA


@pytest.fixture
def ended(tmp_path):
    """Report these scores, one an iteration; (iteration, reason, sentence) of the end, or None."""

    def report(scores, **changed):
        job = replace(load_job("cartpole"), mode="max", metric="return_mean", **changed)
        asha = RecordedASHA([])
        recorder = Recorder(job, tmp_path, asha, lambda row: None)
        for i, score in enumerate(scores, 1):
            result = {"trial": "00", "iteration": i, "score": score, "fault": "", "trained_s": i}
            measured = {} if math.isnan(score) else {"return_mean": score}
            if recorder("00", result | {"metrics": json.dumps({"env_steps": i} | measured)}):
                return i, *recorder.pending_ends["00"]
        return None

    return report


def test_a_trial_ends_when_its_best_score_has_stood_for_the_patience(ended):
    scores = [1.0, 2.0, 3.0, 3.02, 2.9, 3.01, 3.0, 3.0]
    at, reason, said = ended(scores, patience=4, iterations=100)
    # The best is that of iteration 3: 3.02 is less than 1 % better.
    assert (at, reason, said) == (
        7,
        "plateau",
        "the score has got no better for 4 iterations",
    )
    assert ended(scores, patience=5, iterations=100) == (8, "plateau", said.replace("4", "5"))
    assert ended(scores, patience=0, iterations=100) is None
    assert ended(scores, patience=3, min_delta=0.001, iterations=100)[0] == 7
    assert ended([*scores, 3.5, *[3.5] * 3], patience=6, iterations=100) is None


def test_scores_that_are_not_there_yet_neither_beat_nor_start_the_patience(ended):
    scores = [math.nan] * 6 + [1.0, 1.0]
    assert ended(scores, patience=4, iterations=100, health={"not_finite": "off"}) is None


def test_the_budget_and_the_target_end_a_trial(ended):
    assert ended([1.0, 2.0, 3.0], iterations=2, grace=1)[1:] == ("budget", "ran all 2 iterations")
    assert ended([1.0, 2.0, 3.0], iterations=9, target=2.5)[:2] == (3, "target")
