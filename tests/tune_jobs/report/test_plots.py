"""The plots of the report."""

from typing import Any

import pytest
from synthetic_sweep import NODES, job_row, result

from rungwise.run_log.events import TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.curves import plot_learning_curves
from tune_jobs.report.plots import plot_choices_by_policy, plot_choices_over_time

# pyright: basic


def test_the_best_trial_is_strong_and_each_end_has_a_mark(sweep_rows):
    outcome: Any = Outcome.from_rows(sweep_rows)
    figure: Any = plot_learning_curves(outcome)
    strong = [trace.name for trace in figure.data if trace.mode == "lines" and trace.line.width > 1]
    assert strong == [f"trial {outcome.best.id}, the best"]
    marks = [text for trace in figure.data if trace.text for text in trace.text]
    assert len(marks) == 16
    assert len(figure.layout.shapes) == len(outcome.rungs)


def test_rare_choices_are_put_together():
    shares = [0.5, *[0.05] * 10]
    rows = [
        job_row(),
        *(result("01", i, 0.1, metrics={"choice_fractions": shares}) for i in (1, 2)),
    ]
    figure: Any = plot_choices_over_time(Outcome.from_rows(rows))
    assert [trace.name for trace in figure.data][-1] == "3 others"
    assert sum(trace.y[0] for trace in figure.data) == pytest.approx(100)


def test_choices_are_compared_with_those_of_the_baselines(sweep_rows):
    figure: Any = plot_choices_by_policy(Outcome.from_rows(sweep_rows))
    assert "random" in figure.data[0].y and len(figure.data) == len(NODES)


def test_a_curve_joins_scores_that_were_measured_now_and_then():
    rows = [job_row(trials=2), *(TrialRow(trial=t, config={}) for t in ("00", "01"))]
    rows += [result("00", i, 1.0 / i if i % 3 == 1 else None) for i in range(1, 8)]
    rows += [result("01", i, 0.5 if i == 1 else None) for i in range(1, 8)]
    figure: Any = plot_learning_curves(Outcome.from_rows(rows))
    drawn = [(trace.name.split(",")[0], trace.mode, [*trace.x]) for trace in figure.data]
    # A line through a single point would not be seen.
    assert ("other trials", "markers", [1, None]) in drawn
    assert ("trial 00", "lines", [1, 4, 7]) in drawn
