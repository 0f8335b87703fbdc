# pyright: basic
"""Node losses and reward terms over training in the report."""

from typing import Any

from synthetic_sweep import NODES, end, job_row, result

from tune_jobs.report.causal_section import (
    get_node_losses,
    get_reward_terms,
    plot_small_multiples,
    render_causal_sections,
)
from tune_jobs.report.report import write_report
from tune_jobs.run_log.events import TrialRow
from tune_jobs.run_log.outcome import Outcome

LOSSES = {1: [1.0, 4.0, 2.0, 0.5, 8.0], 3: [0.0, 0.4, 0.2, 0.05, 0.8]}
TERMS = {"reward_improvement": 30.0, "reward_concentration": -12.0}


def rows(causal: bool = True) -> Any:
    found: list[Any] = [job_row(), TrialRow(trial="00", config={})]
    for iteration in (1, 2, 3):
        metrics: dict[str, Any] = {"kl": 0.1}
        if causal:
            metrics |= TERMS
            if iteration in LOSSES:  # no episode ended in the other
                metrics["node_losses"] = LOSSES[iteration]
        found.append(result("00", iteration, 0.1, metrics=metrics))
    return [*found, end("00", 3, "budget")]


def test_the_losses_of_each_node_are_drawn_on_one_scale():
    outcome = Outcome.from_rows(rows())
    losses = get_node_losses(outcome)
    assert list(losses) == NODES and losses["X2"] == {1: 4.0, 3: 0.4}
    plots: Any = plot_small_multiples(outcome, losses, common_scale=True)
    assert list(plots["X2"].data[0].x) == [1, 3] and list(plots["X2"].data[0].y) == [4.0, 0.4]
    # A loss of 0 has no place on a logarithmic axis: it is drawn at its floor.
    assert plots["X1"].data[0].y[1] == 8.0e-4
    assert len({tuple(plot.layout.yaxis.range) for plot in plots.values()}) == 1


def test_reward_terms_are_drawn_on_scales_of_their_own():
    outcome = Outcome.from_rows(rows())
    terms = get_reward_terms(outcome)
    assert terms == {"improvement": {i: 30.0 for i in (1, 2, 3)}} | {
        "concentration": {i: -12.0 for i in (1, 2, 3)}
    }
    plots: Any = plot_small_multiples(outcome, terms, common_scale=False)
    assert all(plot.layout.yaxis.range is None for plot in plots.values())


def test_other_runs_have_no_such_sections(tmp_path):
    assert render_causal_sections(Outcome.from_rows(rows(causal=False))) == []
    write_report(rows(), "", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Loss of each node by iteration" in page and "plot-loss-4" in page
    assert "Terms of the reward by iteration" in page and "plot-term-1" in page
