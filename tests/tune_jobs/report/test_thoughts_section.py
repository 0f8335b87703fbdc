# pyright: basic
"""The report says in a picture and in words whether thoughts work."""

from typing import Any

from synthetic_sweep import end, job_row, result

from tune_jobs.report.report import write_report
from tune_jobs.report.thoughts_section import plot_thought_curves
from tune_jobs.run_log.events import EvaluationRow, TrialRow
from tune_jobs.run_log.outcome import Outcome

LOG_P = {"log_p_with": -0.1, "log_p_without": -1.6, "log_p_shuffled": -4, "log_p_random": -5}


def rows(thinks: bool = True, shown: Any = ()) -> Any:
    found: list[Any] = [job_row(), TrialRow(trial="00", config={})]
    for iteration in (1, 2, 3):
        held = {f"held_out_{name}": value - 1 for name, value in LOG_P.items()}
        metrics = LOG_P | (held if iteration == 2 else {}) if thinks else {"kl": 0.1}
        found.append(result("00", iteration, 0.1, metrics=metrics))
    found.append(end("00", 3, "budget"))
    return [
        *found,
        EvaluationRow(
            trial="00", checkpoint="c", episodes=2, seed=0, policy={"gain": 1.5}, examples=shown
        ),
    ]


def test_four_log_probabilities_and_held_out_points_are_drawn():
    figure: Any = plot_thought_curves(Outcome.from_rows(rows()))
    lines = {line.name: list(line.y) for line in figure.data if line.mode == "lines"}
    rings = {line.name: list(line.y) for line in figure.data if line.mode == "markers"}
    assert list(lines.values()) == [[value] * 3 for value in LOG_P.values()]
    assert list(rings.values()) == [[None, value - 1, None] for value in LOG_P.values()]
    assert lines.keys() == rings.keys()


def test_a_run_that_thinks_nothing_has_no_such_section(tmp_path):
    assert isinstance(plot_thought_curves(Outcome.from_rows(rows(thinks=False))), str)
    write_report(rows(thinks=False), "", tmp_path / "r.html")
    assert "Do the thoughts work" not in (tmp_path / "r.html").read_text()


def test_thoughts_are_escaped_text_in_the_report(tmp_path):
    shown = [{"read": "1 + 2 =", "thought": "<b>0 0</b>"}, {"read": "2 2 =", "thought": "nothing"}]
    write_report(rows(shown=shown), "", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Do the thoughts work" in page and "plot-thoughts" in page
    assert "1 + 2 =" in page and "&lt;b&gt;0 0&lt;/b&gt;" in page and "<b>0 0</b>" not in page
