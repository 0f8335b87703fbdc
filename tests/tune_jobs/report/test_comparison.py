# pyright: basic, reportOptionalMemberAccess=false
"""Several runs on one page."""

import dataclasses
from typing import Any

import pytest
from command_line import answer, call
from finished_run import write_finished_run
from synthetic_sweep import end, finding, job_row, result

from rungwise.run_log.events import FinalRow, JobEndRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.comparison import (
    format_interval,
    list_compared_tables,
    list_different_settings,
    list_scores,
    make_curve,
    plot_compared_curves,
    write_comparison,
)


def outcome_of(lr=0.001, score=0.5, trials=1, **about):
    rows = [
        job_row(trials=trials, searched=["lr"], **about),
        TrialRow(trial="00", config={"lr": lr}),
    ]
    rows += [result("00", i, score / i) for i in (1, 2)]
    rows += [finding("00"), end("00", 2, "budget"), JobEndRow(reason="done", seconds=9.0)]
    final = FinalRow(
        trial="00", checkpoint="c", metric="excess_risk", mode="min", score=score, error=0.1,
        episodes=64, seed=256,
    )  # fmt: skip
    return Outcome.from_rows([*rows, final])


def test_only_settings_that_differ_are_listed():
    changes = {"settings": {"hidden": [32], "gamma": 0.9}, "search": {"lr": {"uniform": [0, 1]}}}
    runs = {"a": outcome_of(changes=changes, seed=1), "b": outcome_of(lr=0.01, seed=1)}
    rows = {name: values for name, *values in list_different_settings(runs).rows}
    assert rows == {
        "hidden": ["32", "default"],
        "gamma": ["0.9", "default"],
        "search of lr": ["uniform [0, 1]", "not searched"],
        "lr": ["0.001", "0.01"],
    }
    assert not list_different_settings({"a": runs["a"], "c": runs["a"]}).rows


def test_scores_have_intervals_and_the_distance_from_the_first():
    rows = list_scores({"a": outcome_of(), "b": outcome_of(score=0.8)}).rows
    assert rows[0][1:5] == ["excess risk (min)", "0.500 ± 0.100", "0.304 to 0.696", "-"]
    assert rows[1][4] == "0.300 ± 0.141"
    assert format_interval(1.0, None) == "-"


def test_a_run_without_a_score_and_one_of_another_metric_have_no_distance():
    other = outcome_of(metric="return_mean")
    other = dataclasses.replace(other, finals=())
    empty = Outcome.from_rows([job_row()])
    rows = list_scores({"a": outcome_of(), "b": other, "c": empty}).rows
    assert rows[1][4] == "-" and rows[2][-1] == "no trial has a finite score"
    assert "share no axis" in str(plot_compared_curves({"a": outcome_of(), "b": other}))
    assert plot_compared_curves({"c": empty}) == "No run has a finite score."


def test_all_tables_are_about_all_runs():
    runs = {"a": outcome_of(commit="abc", machine={"host": "h"}), "b": outcome_of(seed=8)}
    tables = {one.title: one for one in list_compared_tables(runs)}
    assert ["kl runaway", *["warn in 1 of 1 trials"] * 2] in tables["Findings"].rows
    assert ["commit", "abc", "-"] in tables["Code, versions and machine"].rows
    assert ["host", "h", "-"] in tables["Code, versions and machine"].rows
    spent = dict(zip(tables["Compute"].head, tables["Compute"].rows[0], strict=True))
    assert spent["env steps"] == "4,096" and spent["wall time"] == "9 s"


def test_curves_are_drawn_over_steps_with_a_band_over_seeds():
    plain = make_curve(outcome_of())
    assert plain.steps == [2048.0, 4096.0] and plain.low == []
    rows: list[Any] = [job_row(trials=1, seeds=3), TrialRow(trial="00", config={})]
    rows += [result("00", i, 1.0, metrics={"score_spread": 0.25}) for i in (1, 2)]
    seeds = Outcome.from_rows(rows)
    assert make_curve(seeds).low == [0.75, 0.75] and make_curve(seeds).high == [1.25, 1.25]
    figure: Any = plot_compared_curves({"a": outcome_of(), "b": seeds})
    assert [trace.name for trace in figure.data if trace.name] == [
        "a, trial 00",
        "b, trial 00: mean of 3 seeds, ± standard deviation",
    ]


def test_repeats_are_averaged_with_their_range():
    rows: list[Any] = [job_row(trials=2), TrialRow(trial="00", config={})]
    rows += [TrialRow(trial="01", config={}, repeats="00")]
    for trial, score in (("00", 1.0), ("01", 3.0)):
        rows += [*(result(trial, i, score) for i in (1, 2)), end(trial, 2, "budget")]
    curve = make_curve(Outcome.from_rows(rows))
    assert (curve.scores, curve.low, curve.high) == ([2.0] * 2, [1.0] * 2, [3.0] * 2)


def test_names_on_the_page_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    write_comparison({evil: outcome_of(), "b": outcome_of(seed=2)}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert evil not in page and "plot-curves" in page and "Settings that differ" in page


def test_the_command_compares_runs_and_names_what_cannot_be_compared(tmp_path):
    for name in ("a", "b"):
        write_finished_run(tmp_path / name)
    said = answer(call("report", "a", "b", "--out", "page.html", "--json", cwd=tmp_path))
    assert said["runs"]["b"]["score"] == 90.0 and said["report"] == "page.html"
    assert (tmp_path / "page.html").stat().st_size > 1e6
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "job.yaml").write_text("env: CartPole-v1\n")
    for words, sentence in (
        (["a", "none"], "none is not a run"),
        (["a", "empty"], "empty has not started"),
        (["a", "a"], "named twice"),
        (["a", "--out", "x.html"], "name another run"),
        (["a", "b", "--out", "no/x.html"], "cannot be written"),
    ):
        done = call("report", *words, cwd=tmp_path)
        assert done.returncode and sentence in done.stderr.replace("\n", " "), words


@pytest.mark.parametrize("damage", ["{}\n", "not json\n"])
def test_a_damaged_log_is_one_sentence(tmp_path, damage):
    write_finished_run(tmp_path / "a")
    run = write_finished_run(tmp_path / "b")
    (run / "events.jsonl").write_text(damage)
    done = call("report", "a", "b", cwd=tmp_path)
    assert done.returncode and "b" in done.stderr and "Traceback" not in done.stderr
