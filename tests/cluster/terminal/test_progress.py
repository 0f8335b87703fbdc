"""The live table and the final one say what happens, on any terminal and for any values."""

# pyright: basic
import io
import math

import pytest
from rich.cells import cell_len
from rich.console import Console

from cluster.terminal.outcome_text import print_outcome
from cluster.terminal.progress import LINE_INTERVAL_S, ProgressDisplay
from cluster.terminal.trial_table import choose_visible_trials
from cluster.terminal.widgets import draw_bar, draw_sparkline, estimate_seconds_left
from tune_jobs.run_log.events import (
    EndRow,
    EvaluationRow,
    FinalRow,
    FindingRow,
    JobEndRow,
    JobRow,
    ResultRow,
    TrialRow,
)
from tune_jobs.run_log.outcome import Outcome

JOB = JobRow(
    run="causal-1",
    env="envs:CausalLearning-v0",
    algo="ppo",
    metric="excess_risk",
    mode="min",
    iterations=9,
    trials=12,
    searched=["algo.lr", "algo.clip", "algo.entropy_coef", "env.size"],
    time=0.0,
)
WHY = "stopped at rung 3: 1.071 is above 0.620, the cut for the best third of 9"


def rows_of(trials=12):
    """The first ends, the second is NaN, the third still runs, the rest stop at rung 3."""
    rows = []
    for place in range(trials):
        trial, ends = f"{place:02d}", {0: 9, 1: 2, 2: 5}.get(place, 3)
        config = {"algo.lr": 10.0**-place, "algo.clip": 0.2, "algo.entropy_coef": None}
        rows.append(TrialRow(trial=trial, config=config, time=place))
        for i in range(1, ends + 1):
            score = math.nan if place == 1 else (place + 1) / i
            steps = {"seconds": 2.0 * i, "env_steps": i, "time": place + i}
            rows.append(ResultRow(trial=trial, iteration=i, score=score, **steps))
        if place != 2:
            reason = {0: "budget", 1: "health"}.get(place, "asha")
            sentence = {0: "", 1: "the loss\nis NaN"}.get(place, WHY)
            fields = {"reason": reason, "sentence": sentence, "time": place + 9}
            rows.append(EndRow(trial=trial, iteration=ends, **fields))
    return rows


def console(width=80, height=24, terminal=True):
    file = io.StringIO()
    return Console(
        file=file,
        width=width,
        height=height,
        force_terminal=terminal,
        color_system=None,
        legacy_windows=False,
    )


def written(screen):
    return screen.file.getvalue()


def drawn(progress, screen):
    with screen.capture() as capture:
        screen.print(progress._render_screen())
    return capture.get().splitlines()


def test_without_a_terminal_each_end_is_a_line():
    out, now = console(terminal=False), [0.0]
    with ProgressDisplay(JOB, console=out, clock=lambda: now[0]) as progress:
        for row in rows_of():
            progress.update(row)
    lines = written(out).splitlines()
    assert len(lines) == 11
    assert lines[0] == "trial 00 9/9 excess risk 0.111 finished"
    assert lines[1] == "trial 01 2/9 excess risk not finite stopped: the loss is NaN"
    assert lines[2] == f"trial 03 3/9 excess risk 1.33 {WHY}"


def noticed(trial, siblings=""):
    return FindingRow(
        trial=trial, iteration=2, symptom="kl_runaway", severity="warn", since=1,
        evidence="KL 14", remedy="less", siblings=siblings,
    )  # fmt: skip


ALONE = "only trial 02 of 12: suspect its setting (its lr=0.5 is the highest)"


def test_what_is_noticed_is_said_with_whether_other_trials_have_it():
    out = console(terminal=False)
    progress = ProgressDisplay(JOB, console=out, clock=lambda: 0.0)
    for row in [noticed("02", ALONE), noticed("03")]:
        progress.update(row)
    assert written(out).splitlines() == [
        f"trial 02 kl runaway noticed ({ALONE}): KL 14",
        "trial 03 kl runaway noticed: KL 14",
    ]
    screen = console(width=200)
    progress = ProgressDisplay(JOB, earlier=[*rows_of(), noticed("02", ALONE)], console=screen)
    assert any(f"running, kl runaway noticed ({ALONE}" in line for line in drawn(progress, screen))


def test_the_result_says_what_each_symptom_points_at():
    out = console(width=200)
    rows = [JOB, *rows_of(), *(noticed(f"{i:02d}") for i in range(12))]
    print_outcome(Outcome.from_rows(rows), out)
    assert "kl runaway: all 12 trials that came as far: suspect the environment" in written(out)


def test_without_a_terminal_there_is_a_summary_every_few_seconds():
    out, now = console(terminal=False), [0.0]
    progress = ProgressDisplay(JOB, console=out, clock=lambda: now[0])
    for row in rows_of(trials=1)[:-1]:
        now[0] += LINE_INTERVAL_S / 3
        progress.update(row)
    lines = written(out).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("0 of 12 ended · best 0.500 (trial 00)")


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_the_live_table_keeps_within_the_terminal(width):
    screen = console(width=width, height=10)
    progress = ProgressDisplay(JOB, console=screen)
    for row in rows_of():
        progress.update(row)
    lines = drawn(progress, screen)
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 10
    if width >= 80:
        assert "11 of 12 ended" in lines[-1] and "compute saved" in lines[-1]
        assert any("running" in line for line in lines)


def test_a_live_terminal_is_drawn_and_left_clean():
    screen = console()
    with ProgressDisplay(JOB, console=screen) as progress:
        for row in rows_of():
            progress.update(row)
    assert "stopped at rung" in written(screen)


def test_a_small_screen_shows_the_running_the_best_and_the_latest():
    shown = choose_visible_trials(Outcome.from_rows([JOB, *rows_of()]), 3)
    assert [trial.id for trial in shown] == ["00", "02", "11"]


def test_rows_before_a_resume_are_known_but_not_printed_again():
    out = console(terminal=False)
    progress = ProgressDisplay(JOB, earlier=[JOB, *rows_of(3)], console=out, clock=lambda: 0.0)
    progress.update(EndRow(trial="02", iteration=5, reason="asha", sentence=WHY))
    assert written(out).splitlines() == [f"trial 02 5/9 excess risk 0.600 {WHY}"]


def test_the_result_names_best_comparison_compute_and_report():
    evaluation = EvaluationRow(
        trial="00",
        checkpoint="c",
        episodes=256,
        seed=1,
        policy={"median": 0.071, "q90": 0.14},
        baselines={"random": {"median": 1.09}, "round robin": {}},
    )
    out = console(terminal=False)
    rows = [JOB, *rows_of(), evaluation, JobEndRow(reason="interrupted", seconds=1.0)]
    print_outcome(Outcome.from_rows(rows), out, "runs/causal-1")
    text = written(out)
    table, result = text.split("\n\n")
    assert max(map(cell_len, table.splitlines())) <= 80
    assert result.splitlines() == [
        "Best: trial 00, excess risk 0.111 after 9 iterations",
        "Evaluated: trial 00 on 256 fresh episodes: median 0.0710, q90 0.140",
        "Compared on the same seeds (median): random 1.09 · round robin -",
        "Compute: 43 of 108 iterations run, 56 % saved (ASHA 50 %, health 6 %), 4 still open",
        "Report: runs/causal-1/report.html",
        "Continue: rungwise resume runs/causal-1",
    ]


def test_where_finals_decide_the_result_says_so():
    """Not the trial with the best score of training, and why."""
    about = {"checkpoint": "c", "metric": "excess_risk", "mode": "min", "episodes": 256, "seed": 9}
    finals = [
        FinalRow(trial=trial, score=score, error=0.01, **about)
        for trial, score in (("00", 0.5), ("03", 0.25))
    ]
    out = console(width=200)
    print_outcome(Outcome.from_rows([JOB, *rows_of(), *finals]), out)
    (best,) = (line for line in written(out).splitlines() if line.startswith("Best"))
    assert best == (
        "Best: trial 03, by 256 fresh episodes of each of the best 2: excess risk 0.250 ± 0.0100 "
        "(in training excess risk 1.33 after 3 iterations)"
    )


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 1e300, -1e308, 0, 1e-300])
def test_odd_scores_are_shown_without_complaint(score):
    rows = [ResultRow(trial="01", iteration=i, score=score, seconds=0, env_steps=0) for i in (1, 2)]
    screen = console()
    progress = ProgressDisplay(JOB, console=screen)
    for row in [*rows, EndRow(trial="02", iteration=0, reason="odd")]:
        progress.update(row)
    assert any("02" in line for line in drawn(progress, screen))
    print_outcome(Outcome.from_rows([JOB, *rows]), screen)


def test_bars_and_curves_have_their_width():
    assert draw_bar(16, 27, 10) == "▇▇▇▇▇▇▁▁▁▁ 16/27"
    assert draw_bar(99, 27, 5) == "▇▇▇▇▇ 99/27" and draw_bar(0, 0, 5) == "▁▁▁▁▁ 0/0"
    assert draw_sparkline([3.0, 2.0, 1.0], 8) == "█▅▁"
    assert len(draw_sparkline([float(i) for i in range(100)], 8)) == 8
    assert draw_sparkline([1e308, -1e308], 8) == "█▁" and draw_sparkline([], 8) == ""


def test_the_time_left_is_told_once_three_trials_have_ended():
    outcome = Outcome.from_rows([JOB, *rows_of(trials=3)])
    assert estimate_seconds_left(outcome, 16, 32.0) is None
    outcome = Outcome.from_rows([JOB, *rows_of()])
    # 11 ended after 38 / 11 iterations on average; trial 02 has outlived that, so 4 are left.
    assert estimate_seconds_left(outcome, 43, 86.0) == pytest.approx(8.0)
