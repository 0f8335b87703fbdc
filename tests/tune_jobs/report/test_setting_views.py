# pyright: basic
"""How settings go with scores: slices with rank correlations, and a map of the two that matter."""

from typing import Any

import numpy as np
import pytest
from sampled_sweep import sweep
from synthetic_sweep import job_row, result

from rungwise.run_log.events import TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.importance import measure_importance, plot_importance, rank_settings
from tune_jobs.report.setting_views import caption_slice, plot_contour, plot_slices
from tune_jobs.report.shared_sections import list_setting_parts


def by_lr(config, rng):
    return np.log10(config["lr"]) + rng.normal() / 4


def test_importance_is_drawn_with_its_spread_over_the_trees():
    outcome = sweep(by_lr)
    figure: Any = plot_importance(outcome)
    (bars,) = figure.data
    assert bars.y[-1] == "lr" and bars.x[-1] > 70 and all(e > 0 for e in bars.error_x.array)
    assert "20 scored trials (19 so far)" in str(plot_importance(sweep(by_lr, trials=19)))
    assert "differs from noise" in str(plot_importance(sweep(lambda c, rng: rng.normal())))
    found: Any = measure_importance(outcome)
    assert found.spread.keys() == found.shares.keys()


def test_slices_are_captioned_with_rank_correlations():
    slices: Any = plot_slices(sweep(by_lr))
    assert [caption.split(":")[0] for caption in slices] == rank_settings(sweep(by_lr))
    assert "rank correlation +0.9" in next(iter(slices)) and "p < 0.001" in next(iter(slices))
    figure = next(iter(slices.values()))
    assert figure.layout.xaxis.type == "log" and len(figure.data[0].x) == 48
    assert "4 trials" in plot_slices(sweep(by_lr, trials=3))


@pytest.mark.parametrize(
    ("values", "scores", "words"),
    [
        (["a", "b"], [1.0, 2.0], "categorical"),
        ([1, 1, 1], [1.0, 2.0, 3.0], "no rank correlation"),
        ([1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0], "-1.00"),
    ],
)
def test_a_caption_says_what_a_rank_can_say(values, scores, words):
    assert words in caption_slice("x", values, scores)


def test_settings_that_do_not_differ_are_left_out():
    rows: list[Any] = [job_row(trials=5, searched=["lr", "clip"])]
    for i in range(5):
        trial = f"{i:02d}"
        rows.append(TrialRow(trial=trial, config={"lr": 0.01 * (i + 1), "clip": 0.2}))
        rows.append(result(trial, 3, float(i)))
    assert next(iter(plot_slices(Outcome.from_rows(rows)))).startswith("lr: ")
    assert len(plot_slices(Outcome.from_rows(rows))) == 1
    same = [row for row in rows if getattr(row, "trial", "00") == "00"]
    assert list_setting_parts(Outcome.from_rows(same)) == []


def test_a_map_shows_the_forest_over_the_two_most_important_numbers():
    figure: Any = plot_contour(sweep(by_lr))
    contour, points = figure.data
    assert figure.layout.xaxis.title.text == "lr" and len(points.x) == 48
    assert np.shape(contour.z) == (30, 30)
    assert contour.z[15][0] < contour.z[15][-1]  # the score rises with lr
    assert "needs 8 scored trials" in str(plot_contour(sweep(by_lr, trials=7)))
    assert "needs 8" in str(plot_contour(sweep(by_lr, searched=("lr", "activation"))))
    assert "needs 8" in str(plot_contour(sweep(lambda c, rng: 1.0)))
