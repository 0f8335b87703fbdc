# pyright: basic
"""The outcome of a run as the terminal prints it."""

import math
from dataclasses import replace

import pytest
from rich.cells import cell_len
from terminal_screens import JOB, console, drawn, noticed, rows_of, written

from cluster.terminal.outcome_text import print_outcome
from cluster.terminal.progress import ProgressDisplay
from rungwise.health.diagnosis import SHORTEST
from rungwise.run_log.events import (
    CheckpointRow,
    EndRow,
    EvaluationRow,
    FinalRow,
    JobEndRow,
    ResultRow,
    VideoRow,
)
from rungwise.run_log.outcome import Outcome


def show(*rows, job=JOB, directory=None):
    """Return the lines printed of a sweep of 12 trials with these further rows."""
    out = console(width=300, terminal=False)
    print_outcome(Outcome.from_rows([job, *rows_of(), *rows]), out, directory)
    return written(out).splitlines()


def evaluation(episodes=256, **figures):
    return EvaluationRow(trial="00", checkpoint="c", episodes=episodes, seed=1, **figures)


def test_the_result_says_what_each_symptom_points_at():
    text = "".join(show(*(noticed(f"{i:02d}") for i in range(12))))
    assert "kl runaway: all 12 trials that came as far, so it comes from what they share" in text


def test_the_result_names_best_comparison_compute_and_report():
    row = evaluation(
        policy={"median": 0.071, "q90": 0.14},
        baselines={"random": {"median": 1.09}, "round robin": {}},
    )
    out = console(terminal=False)
    rows = [JOB, *rows_of(), row, JobEndRow(reason="interrupted", seconds=1.0)]
    print_outcome(Outcome.from_rows(rows), out, "runs/causal-1")
    text = written(out)
    table, result = text.split("\n\n")
    assert max(map(cell_len, table.splitlines())) <= 80
    assert result.splitlines() == [
        "Best: trial 00: median 0.0710 on 256 fresh episodes (in training excess risk 0.111 after "
        "9 iterations)",
        "Evaluated: trial 00 on 256 fresh episodes: median 0.0710, q90 0.140",
        "Episodes with the same seeds (median): random 1.09 · round robin -",
        "Compute: 43 of 108 iterations run, 56 % saved (ASHA 50 %, health 6 %), 4 still open",
        "Report: runs/causal-1/report.html",
        "Continue: rungwise resume runs/causal-1",
        "Too short to judge: the budget is 9 iterations, and below 20 the health rules only warn, "
        "except for NaN and infinity.",  # one of its trials has ended by them
    ]


def test_the_best_line_names_an_earlier_checkpoint_and_the_last_score(tmp_path):
    best = {"best": "c/best_000004", "best_iteration": 4, "best_score": 0.05}
    row = CheckpointRow(trial="00", iteration=9, path="c/9", **best)
    (tmp_path / "my runs" / "c" / "best_000004").mkdir(parents=True)
    lines = show(row, directory=tmp_path / "my runs")
    best = "Best: trial 00, in training: excess risk 0.0500 at iteration 4, but 0.111 at 9"
    assert best in lines
    assert f"Checkpoint: {tmp_path}/my runs/c/best_000004" in lines
    assert f"Continue: rungwise resume '{tmp_path}/my runs'" in lines


def test_a_checkpoint_that_was_deleted_is_not_named(tmp_path):
    row = CheckpointRow(trial="00", iteration=9, path="c/9")
    assert "Checkpoint" not in "".join(show(row, directory=tmp_path))


@pytest.mark.parametrize(
    ("share", "episodes", "advised"),
    [(None, 256, False), (0.74, 256, False), (0.75, 256, True), (0.75, 20, True), (1.0, 19, False)],
)
def test_sampling_is_advised_where_greedy_scores_worse(share, episodes, advised):
    row = evaluation(
        episodes=episodes,
        policy={"median": 0.43},
        baselines={"greedy": {"median": 1.48}},
        better_than_greedy=share,
    )
    advice = [line for line in show(row) if "greedy=False" in line]
    assert bool(advice) == advised
    if advised:
        assert "on 75 % of the seeds" in advice[0]


def test_only_a_short_run_is_called_too_short_to_judge():
    for iterations in (SHORTEST - 1, SHORTEST):
        last = show(job=replace(JOB, iterations=iterations))[-1]
        assert last.startswith("Too short to judge") == (iterations < SHORTEST)


def test_the_most_likely_actions_are_called_so():
    row = evaluation(policy={"median": 0.4}, baselines={"greedy": {"median": 0.5}})
    lines = show(row)
    assert "Episodes with the same seeds (median): most likely action 0.500" in lines


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_only_what_is_to_be_copied_is_longer_than_a_line(width):
    out = console(width=width)
    row = evaluation(policy={f"figure_{i}": 0.4 for i in range(20)})
    directory = f"runs/{'long-name-' * 20}"
    print_outcome(Outcome.from_rows([JOB, *rows_of(), row]), out, directory)
    lines = written(out).splitlines()
    long = [line.split(":")[0] for line in lines if cell_len(line) > width]
    assert long == ["Report", "Continue"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_final_table_has_the_columns_of_the_live_one(width):
    screen, out = console(width=width, height=8), console(width=width, terminal=False)
    progress = ProgressDisplay(JOB, console=screen)
    for row in rows_of():
        progress.update(row)
    live = drawn(progress, screen)
    print_outcome(Outcome.from_rows([JOB, *rows_of()]), out)
    final = written(out).splitlines()
    assert live[0].split() == final[0].split()
    cells = "▇▇▇▇▇▇▇▇▇▇ 9/9" if width == 120 else "▇▇▇▇▇ 9/9"
    (shown,) = (line for line in live if " 00 " in line)
    (printed,) = (line for line in final if " 00 " in line)
    assert cells in shown and shown.split() == printed.split()


def test_where_finals_decide_the_result_says_so():
    """Not the trial with the best score of training, and why."""
    about = {"checkpoint": "c", "metric": "excess_risk", "mode": "min", "episodes": 256, "seed": 9}
    finals = [
        FinalRow(trial=trial, score=score, error=0.01, **about)
        for trial, score in (("00", 0.5), ("03", 0.25))
    ]
    training = "(in training excess risk 1.33 after 3 iterations)"
    lines = show(*finals)
    assert f"Best: trial 03: excess risk 0.250 ± 0.0100 on 256 fresh episodes {training}" in lines
    assert "Chosen by 256 fresh episodes of each of the best 2" in lines
    row = replace(
        evaluation(policy={"loss": 0.3}, standard_errors={"policy": {"loss": 0.02}}), trial="03"
    )
    lines = show(*finals, row)
    assert f"Best: trial 03: loss 0.300 ± 0.0200 on 256 fresh episodes {training}" in lines
    chosen = "Chosen by 256 fresh episodes of each of the best 2: excess risk 0.250 ± 0.0100"
    assert chosen in lines


def test_a_best_trial_with_a_worse_last_score_says_what_chose_it():
    scores = {"00": (0.5, 0.3, 0.2, 0.2), "01": (0.5, 0.6, 0.6, 0.1)}
    rows = [
        ResultRow(trial=trial, iteration=i, score=score, seconds=1.0, env_steps=i)
        for trial, course in scores.items()
        for i, score in enumerate(course, 1)
    ]
    out = console(width=300, terminal=False)
    print_outcome(Outcome.from_rows([replace(JOB, trials=2), *rows]), out)
    lines = written(out).splitlines()
    assert any(line.startswith("Best: trial 00, in training") for line in lines)
    assert "Chosen by the mean of the later half of its scores: 0.200 (trial 01: 0.350)" in lines


def test_the_score_is_the_mean_where_the_first_figure_is_a_median():
    """A median has no standard error; the report shows the mean, too."""
    row = evaluation(
        metric="excess_risk",
        policy={"median": 0.071, "mean": 0.083},
        baselines={"random": {"median": 1.09, "mean": 1.31}},
        standard_errors={"policy": {"mean": 0.002}, "random": {"mean": 0.1}},
    )
    lines = show(row)
    assert any(line.startswith("Best: trial 00: excess risk 0.0830 ± 0.00200 on") for line in lines)
    assert (
        "Evaluated: trial 00 on 256 fresh episodes: median 0.0710, mean 0.0830 ± 0.00200" in lines
    )
    assert "Episodes with the same seeds (excess risk): random 1.31 ± 0.100" in lines


def test_means_come_with_their_standard_errors():
    row = evaluation(
        episodes=40,
        most=256,
        policy={"return_mean": -83.2, "return_std": 20.0},
        baselines={"random": {"return_mean": -500.0}},
        standard_errors={"policy": {"return_mean": 3.2}, "random": {"return_mean": 0.5}},
    )
    lines = show(row)
    assert "Evaluated: trial 00 on 40 fresh episodes (--episodes 256" in "".join(lines)
    assert any(line.endswith(": return mean -83.2 ± 3.20, return std 20.0") for line in lines)
    assert "Episodes with the same seeds (return mean): random -500 ± 0.500" in lines


def test_videos_are_listed_with_their_returns():
    video = VideoRow(
        trial="00", checkpoint="c", path="videos/a.mp4", seed=2, steps=90, episode_return=9.5
    )
    failed = VideoRow(trial="00", checkpoint="c", failure="OSError: gone")
    lines = show(video, failed, directory="runs/r")
    assert "Video: runs/r/videos/a.mp4 (seed 2: return 9.50 in 90 steps)" in lines
    assert "No video of trial 00: OSError: gone." in lines


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 1e300, -1e308, 0, 1e-300])
def test_odd_scores_are_shown_without_complaint(score):
    rows = [ResultRow(trial="01", iteration=i, score=score, seconds=0, env_steps=0) for i in (1, 2)]
    screen = console()
    progress = ProgressDisplay(JOB, console=screen)
    for row in [*rows, EndRow(trial="02", iteration=0, reason="odd")]:
        progress.update(row)
    assert any("02" in line for line in drawn(progress, screen))
    print_outcome(Outcome.from_rows([JOB, *rows]), screen)
