# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""A finished run as its directory: its best checkpoint, its finals, and what they may take."""

import io
import json

import pytest
from finished_run import TRAINED_STEPS, job, silent
from rich.console import Console

from cluster.terminal.outcome_text import print_outcome
from cluster.terminal.progress import LINE_INTERVAL_S, EvaluationProgress, ProgressDisplay
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import EvaluationRow, FinalRow, JobRow, TrialRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.evaluation.episode_budget import LEAST_SINGLE
from tune_jobs.report.report import write_report
from tune_jobs.session.winner import name_winner


def compared(run, job):
    """The finals and the evaluation that follow, and what was shown on the way."""
    shown = []
    name_winner(job, run, EventLog(run / "events.jsonl").append, shown.append)
    rows = read_event_log(run / "events.jsonl")
    winner = [row for row in rows if isinstance(row, FinalRow)]
    (evaluation,) = (row for row in rows if isinstance(row, EvaluationRow))
    return winner, evaluation, shown


def test_evaluation_takes_a_fifth_of_the_steps_by_default(run, monkeypatch):
    # Without a step of training there are steps for the least number only.
    monkeypatch.setattr("tune_jobs.session.winner.SHARE", 0.0)
    winner, evaluation, shown = compared(run, job())
    assert winner == [], "too few episodes to choose a winner by"
    assert (evaluation.episodes, evaluation.most) == (LEAST_SINGLE, 256)
    assert evaluation.trial == "01", "the best score of training"
    assert {far.player for far in shown} == {"policy", "greedy", "random"}
    assert max(far.episodes for far in shown) == LEAST_SINGLE


def test_finals_and_comparison_take_different_seeds(run):
    winner, evaluation, _ = compared(run, job())
    assert winner[0].seed == 256 and evaluation.seed == 0
    assert len({row.episodes for row in winner}) == 1 and winner[0].episodes >= 20


def test_finalists_play_as_many_episodes_as_the_first(run, monkeypatch):
    from tune_jobs.session import winner

    asked = []

    def played(policy, episodes, seed, *, with_baselines, steps, longest, on_progress):
        asked.append((episodes, steps))
        return evaluate(policy, min(episodes, 33), seed, with_baselines=with_baselines)

    evaluate = winner.evaluate
    monkeypatch.setattr(winner, "evaluate", played)
    rows, _, _ = compared(run, job())
    # A fifth of the steps of three trials, of which each of three finalists has a third of a half.
    assert asked == [(256, pytest.approx(TRAINED_STEPS / 10)), *[(33, float("inf"))] * 2]
    assert [row.episodes for row in rows] == [33] * 3


def test_a_number_that_the_job_names_is_played_in_full(run, monkeypatch):
    monkeypatch.setattr("tune_jobs.session.winner.SHARE", 0.0)
    winner, evaluation, _ = compared(run, job(evaluation_episodes=45))
    assert [row.episodes for row in winner] == [45] * 3 and winner[0].seed == 45
    assert (evaluation.episodes, evaluation.most) == (45, 45)


def test_what_was_played_before_is_not_played_again(run, monkeypatch):
    monkeypatch.setattr("tune_jobs.session.winner.SHARE", 0.0)
    compared(run, job())
    before = (run / "events.jsonl").read_text()
    compared(run, job())
    assert (run / "events.jsonl").read_text() == before


def test_progress_says_how_far_the_evaluation_has_come():
    out, now = silent(), [0.0]
    row = JobRow(
        run="r", env="e", algo="ppo", metric="m", mode="max", iterations=4, trials=1, time=0.0
    )
    progress = ProgressDisplay(row, console=out, clock=lambda: now[0])
    alone = EvaluationProgress(console=out, clock=lambda: now[0])
    for episodes in (20, 40, 64):
        now[0] += LINE_INTERVAL_S / 2
        progress.update(EvaluationStatus("03", "policy", episodes, 256))
        alone("greedy", episodes, 256)
    assert out.file.getvalue().splitlines() == [
        "trial 03 evaluating: policy 20 of 256 episodes (0 s)",
        "evaluating: most likely action 40 of 256 episodes",
        "trial 03 evaluating: policy 64 of 256 episodes (5 s)",
    ]


def test_a_terminal_shows_it_until_the_evaluation_is_there():
    out = Console(file=io.StringIO(), width=100, height=20, force_terminal=True, color_system=None)
    job_row = JobRow(
        run="r", env="e", algo="ppo", metric="m", mode="max", iterations=4, trials=1, time=0.0
    )
    progress = ProgressDisplay(job_row, console=out)

    def last():
        with out.capture() as capture:
            out.print(progress._render_screen())
        return capture.get().splitlines()[-1]

    progress.update(TrialRow(trial="03", config={}))
    progress.update(EvaluationStatus("03", "policy", 64, 256))
    assert "policy 64 of 256 episodes" in last()
    progress.update(EvaluationRow(trial="03", checkpoint="c", episodes=256, seed=0, policy={}))
    assert "evaluating" not in last()


def test_the_best_checkpoint_is_printed_and_stands_in_the_report(run):
    out, rows = silent(), read_event_log(run / "events.jsonl")
    print_outcome(Outcome.from_rows(rows), out, run)
    best = str(run / "trials/01/checkpoint_4")
    assert f"Checkpoint: {best}" in out.file.getvalue().splitlines()
    write_report(rows, (run / "job.yaml").read_text(), run / "report.html")
    assert best in (run / "report.html").read_text()
    json.dumps(Outcome.from_rows(rows).as_dict(run))
