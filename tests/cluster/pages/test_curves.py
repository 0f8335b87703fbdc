# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The curves of the page: axes, smoothing, groups, and how many points are drawn."""

import json
import math
import sys

import pytest
from dashboard_app import read_whole, write
from synthetic_sweep import finding, job_row, result, synthetic_rows

from cluster.pages.curves import (
    MIN_POINTS,
    MOST_TRIALS,
    PLOT_POINTS,
    SAME_SETTINGS,
    CurveChoice,
    average_curves,
    list_panels,
    plot_curves,
    smooth,
)
from rungwise.run_log.events import FinalRow, TrialRow


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_whole(write(tmp_path_factory.mktemp("runs") / "sweep", synthetic_rows()))


def draw(view, **choice):
    return plot_curves(view, view.outcome, CurveChoice(**choice))


def test_smoothing_is_a_weighted_mean_of_the_past():
    values = [1.0, None, 3.0, 2.0]
    weight = 0.6

    def naive(at):
        known = [(weight ** (sum(v is not None for v in values[i + 1 : at + 1])), v)
                 for i, v in enumerate(values[: at + 1]) if v is not None]  # fmt: skip
        return sum(w * v for w, v in known) / sum(w for w, _ in known)

    smoothed = smooth(values, weight)
    assert smoothed[1] is None
    assert [smoothed[i] for i in (0, 2, 3)] == pytest.approx([naive(i) for i in (0, 2, 3)])
    assert smooth(values, 0.0) == values


def test_a_band_spans_what_has_reached_each_place():
    found = average_curves([([0, 10], [0.0, 10.0]), ([0, 5, 9], [2.0, None, 20.0]), ([], [])])
    at = {round(x, 6): i for i, x in enumerate(found["x"])}
    assert (found["x"][0], found["x"][-1]) == (0.0, 10.0)
    assert (found["low"][0], found["mean"][0], found["high"][0]) == (0.0, 1.0, 2.0)
    # The second curve has ended before: the first one stands alone.
    assert found["low"][at[10.0]] == found["high"][at[10.0]] == 10.0
    assert average_curves([([1], [None])])["x"] == []


def test_axes_are_iterations_steps_and_seconds(sweep):
    ends = {}
    for axis in ("iteration", "env_steps", "seconds"):
        best = next(t for t in draw(sweep, axis=axis)["data"] if "the best" in t["name"])
        ends[axis] = best["x"][-1]
    trial = sweep.outcome.best
    assert ends == {
        "iteration": trial.iterations,
        "env_steps": trial.env_steps,
        "seconds": trial.seconds,
    }


def test_every_trial_is_drawn_and_named_and_the_selected_ones_stand_out(sweep):
    figure = draw(sweep, selected=("04",))
    names = [trace["name"] for trace in figure["data"]]
    assert names[:3] == ["other trials", "trial 08, the best", "trial 04"]
    grey = [trace["customdata"] for trace in figure["data"] if trace["name"] == "other trials"]
    others, scored = set().union(*grey), sweep.outcome.trials
    assert others == {t.id for t in scored if t.id in sweep.trial_results} - {"08", "04"}
    ends = [trace for trace in figure["data"] if trace["name"].startswith("ended: ")]
    assert sum(len(trace["x"]) for trace in ends) == len([t for t in scored if t.finite_scores])
    json.dumps(figure, allow_nan=False)


def test_the_best_is_the_winner_whatever_is_selected_and_scores_higher(tmp_path):
    rows = [job_row(trials=2, mode="max")]
    rows += [result(t, at, score, metrics={"kl": 0.1}) for t, score in (("00", 0.5), ("01", 0.9))
             for at in (1, 2, 3)]  # fmt: skip
    finals = (("00", 0.8), ("01", 0.2))
    rows += [FinalRow(trial=t, checkpoint="", metric="score", mode="max", score=score, error=0.1,
                      episodes=9, seed=0) for t, score in finals]  # fmt: skip
    view = read_whole(write(tmp_path, rows))
    for metric in ("", "kl"):
        names = [t["name"] for t in draw(view, metric=metric, selected=("01",))["data"]]
        assert names[1:3] == ["trial 00, the best", "trial 01"]


def test_the_largest_floats_are_drawn(tmp_path):
    most = sys.float_info.max  # what numpy.nan_to_num makes of infinity
    rows = [job_row(trials=3), *(TrialRow(trial=t, config={"lr": 1.0}) for t in ("00", "01", "02"))]
    for trial, scores in (("00", [most] * 9), ("01", [-most, most, 0.5] * 3), ("02", [most] * 9)):
        rows += [result(trial, at, score) for at, score in enumerate(scores, 1)]
    view = read_whole(write(tmp_path, rows))
    for choice in ({"smoothing": 0.6}, {"group": "lr"}):
        json.dumps(draw(view, **choice), allow_nan=False)
    assert smooth([most] * 99, 0.95) == [most] * 99


def test_labels_of_a_log_axis_are_read_as_numbers(sweep):
    axis = draw(sweep)["layout"]["yaxis"]
    assert axis["type"] == "log" and {"0.1", "0.2", "0.5"} <= set(axis["ticktext"])
    assert draw(sweep, log=False)["layout"]["yaxis"].get("type") != "log"


def test_groups_are_means_with_bands(tmp_path):
    rows = [job_row(trials=4, searched=["lr"])]
    for trial, lr, level in (("00", 1.0, 1.0), ("01", 1.0, 3.0), ("02", 2.0, 5.0)):
        rows += [TrialRow(trial=trial, config={"lr": lr})]
        rows += [result(trial, at, level) for at in (1, 2, 3)]
    rows += [TrialRow(trial="03", config={"lr": 2.0}, repeats="02")]
    rows += [result("03", at, 7.0) for at in (1, 2, 3)]
    view = read_whole(write(tmp_path, rows))
    traces = {t["name"]: t for t in draw(view, group="lr")["data"] if "name" in t}
    assert set(traces["lr 1 (2)"]["y"]) == {2.0} and set(traces["lr 2 (2)"]["y"]) == {6.0}
    bands = [t for t in draw(view, group="lr")["data"] if t.get("fill")]
    assert [set(band["y"]) for band in bands] == [{3.0}, {7.0}]
    repeated = [t["name"] for t in draw(view, group=SAME_SETTINGS)["data"] if "name" in t]
    assert "settings of 02 (2)" in repeated


def test_a_trial_alone_is_drawn_with_its_findings(tmp_path):
    rows = [job_row(trials=2)]
    rows += [result(t, at, 0.5) for t in ("00", "01") for at in (1, 2, 3)]
    view = read_whole(write(tmp_path, [*rows, finding("01", since=2)]))
    figure = draw(view, only="01")
    assert "kl runaway" in str(figure["layout"]["shapes"])
    assert {i for trace in figure["data"] for i in trace["customdata"]} == {"01"}
    assert "kl runaway" not in str(draw(view, only="00")["layout"].get("shapes"))


def test_many_trials_are_thinned_to_what_a_browser_draws(tmp_path):
    many, length = 3 * MOST_TRIALS, 120
    rows = [job_row(trials=many, iterations=length)]
    for trial in range(many):
        rows += [result(f"{trial:03d}", i, 1 + math.sin(i) / 9, metrics={"kl": 0.1})
                 for i in range(1, length + 1)]  # fmt: skip
    view = read_whole(write(tmp_path, rows))
    points = sum(len(trace["x"]) for trace in draw(view)["data"])
    assert many * MIN_POINTS < points <= PLOT_POINTS + 2 * many
    drawn = {i for trace in draw(view, metric="kl", selected=("299",))["data"]
             for i in trace["customdata"]}  # fmt: skip
    assert len(drawn) == MOST_TRIALS and "299" in drawn


def test_metrics_are_sorted_into_panels():
    panels = list_panels(["kl_max", "return_mean", "grad_norm", "learn_s", "value_loss", "mine"])
    assert list(panels) == ["return", "losses", "policy", "health", "speed", "task and method"]
