# pyright: basic
"""What the presets have reached, as data."""

import numpy as np
import pytest

from tune_jobs.jobs.job_yaml import list_presets, load_job
from tune_jobs.jobs.preset_scores import (
    PresetScore,
    count_steps,
    format_steps,
    load_preset_scores,
)


def test_scores_belong_to_presets_and_are_complete():
    scores = load_preset_scores()
    assert set(scores) <= set(list_presets()) and "cartpole" in scores
    for score in scores.values():
        assert score.figure and score.scores and np.isfinite(score.scores).all()
        assert bool(score.machine) == (score.minutes is not None)


def test_a_score_names_mean_error_and_seeds():
    score = PresetScore("return mean", (90.0, 100.0, 101.0), 8, "a core")
    error = np.std(score.scores, ddof=1) / np.sqrt(3)
    assert score.score_text == f"return mean 97.0 ± {error:.2f} (3 seeds)"
    assert score.time_text == "8 min on a core"


def test_one_seed_has_no_error_and_no_time_is_no_text():
    score = PresetScore("accuracy", (0.5,))
    assert (score.score_text, score.time_text) == ("accuracy 0.500 (1 seed)", "")


def test_steps_are_those_of_one_trial():
    assert count_steps(load_job("cartpole")) == 30 * 8 * 512


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (1, "1 step"),
        (999, "999 steps"),
        (122_880, "123k steps"),
        (999_499, "999k steps"),
        (999_500, "1.0M steps"),
        (1_998_848, "2.0M steps"),
    ],
)
def test_steps_are_short(steps, text):
    assert format_steps(steps) == text
