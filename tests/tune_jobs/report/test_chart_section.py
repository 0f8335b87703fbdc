# pyright: basic
"""Sections of the report that a world asks for: curves of its metrics, sample episodes."""

import dataclasses
from typing import Any

from synthetic_sweep import NODES, end, job_row, result

from envs.causal.learning.params import Params
from envs.causal.learning.reward import RewardTerms
from envs.causal.learning.world import CausalLearning
from envs.thoughts.world import QuietThoughts
from rungwise.report_chart import ReportChart
from rungwise.run_log.events import EvaluationRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.report import write_report
from tune_jobs.report.run_sections import plot_overlaid, plot_small_multiples, read_curves

LEARNING = CausalLearning(Params(reward=RewardTerms(improvement=1.0, concentration=1.0))).charts
THOUGHTS = QuietThoughts.charts
LOSSES = {1: [1.0, 4.0, 2.0, 0.5, 8.0], 3: [0.0, 0.4, 0.2, 0.05, 0.8]}
TERMS = {"reward_improvement": 30.0, "reward_concentration": -12.0}
LOG_P = {"log_p_with": -0.1, "log_p_without": -1.6, "log_p_shuffled": -4, "log_p_random": -5}


def causal_metrics(iteration):
    # No episode ended in the second iteration.
    return TERMS | ({"node_losses": LOSSES[iteration]} if iteration in LOSSES else {})


def thought_metrics(iteration):
    held = {f"held_out_{name}": value - 1 for name, value in LOG_P.items()}
    return LOG_P | (held if iteration == 2 else {})


def make_rows(charts: Any, metrics: Any, examples: Any = ()) -> Any:
    job = job_row(charts=[chart.to_dict() for chart in charts])
    trained = [result("00", i, 0.1, metrics={"kl": 0.1} | metrics(i)) for i in (1, 2, 3)]
    evaluation = EvaluationRow(
        trial="00", checkpoint="c", episodes=2, seed=0, policy={"gain": 1.5}, examples=examples
    )
    return [job, TrialRow(trial="00", config={}), *trained, end("00", 3, "budget"), evaluation]


def test_a_list_metric_has_a_curve_for_each_choice_on_one_scale():
    outcome = Outcome.from_rows(make_rows(LEARNING, causal_metrics))
    losses = read_curves(outcome, LEARNING[0])
    assert list(losses) == NODES and losses["X2"] == {1: 4.0, 3: 0.4}
    plots: Any = plot_small_multiples(outcome, losses, common_scale=True)
    assert list(plots["X2"].data[0].x) == [1, 3] and list(plots["X2"].data[0].y) == [4.0, 0.4]
    # A loss of 0 has no place on a logarithmic axis: it is drawn at its floor.
    assert plots["X1"].data[0].y[1] == 8.0e-4
    assert len({tuple(plot.layout.yaxis.range) for plot in plots.values()}) == 1


def test_reward_terms_are_drawn_on_scales_of_their_own():
    outcome = Outcome.from_rows(make_rows(LEARNING, causal_metrics))
    terms = read_curves(outcome, LEARNING[1])
    assert terms["concentration"] == dict.fromkeys((1, 2, 3), -12.0)
    assert set(terms) == {"improvement", "concentration"}  # no log_gain was reported
    plots: Any = plot_small_multiples(outcome, terms, common_scale=False)
    assert all(plot.layout.yaxis.range is None for plot in plots.values())


def test_overlaid_curves_have_rings_for_held_out_values():
    outcome = Outcome.from_rows(make_rows(THOUGHTS, thought_metrics))
    figure: Any = plot_overlaid(outcome, THOUGHTS[0])
    lines = {line.name: list(line.y) for line in figure.data if line.mode == "lines"}
    rings = {line.name: list(line.y) for line in figure.data if line.mode == "markers"}
    assert list(lines.values()) == [[value] * 3 for value in LOG_P.values()]
    assert list(rings.values()) == [[None, value - 1, None] for value in LOG_P.values()]
    assert lines.keys() == rings.keys()


def test_the_page_has_a_section_for_each_chart_that_is_reported(tmp_path):
    write_report(make_rows(LEARNING, causal_metrics), "", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Loss of each node by iteration" in page and "plot-chart-0-4" in page
    assert "Terms of the reward by iteration" in page and "plot-chart-1-1" in page
    write_report(make_rows((*LEARNING, *THOUGHTS), lambda i: {}), "", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Terms of the reward" not in page and "Do the thoughts work" not in page


def test_sample_episodes_are_escaped_text(tmp_path):
    shown = [{"read": "1 + 2 =", "thought": "<b>0 0</b>"}, {"read": "2 2 =", "thought": "nothing"}]
    write_report(make_rows(THOUGHTS, thought_metrics, shown), "", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Do the thoughts work" in page and "plot-chart-0" in page
    assert "1 + 2 =" in page and "&lt;b&gt;0 0&lt;/b&gt;" in page and "<b>0 0</b>" not in page


def test_a_chart_is_read_back_from_a_log_of_a_later_version():
    (chart,) = THOUGHTS
    assert ReportChart.from_dict(dataclasses.asdict(chart) | {"colour": "red"}) == chart
