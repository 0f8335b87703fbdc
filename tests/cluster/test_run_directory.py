# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""A finished run as its directory: its best checkpoint, its finals, and what they may take."""

import io
import json

import gymnasium
import pytest
from checkpoints import write_checkpoint
from rich.console import Console

from cluster.commands.evaluate import Evaluate
from cluster.commands.export import Export
from cluster.commands.play import _make_player
from cluster.terminal.outcome_text import print_outcome
from cluster.terminal.progress import LINE_INTERVAL_S, EvaluationProgress, ProgressDisplay
from envs.validation import InputError
from tune_jobs.evaluation.evaluation_status import EvaluationStatus
from tune_jobs.jobs.job_yaml import dump_job, make_job
from tune_jobs.report.report import write_report
from tune_jobs.run_log.best_checkpoint import find_checkpoint
from tune_jobs.run_log.events import (
    CheckpointRow,
    EndRow,
    EvaluationRow,
    EventLog,
    FinalRow,
    JobRow,
    ResultRow,
    TrialRow,
    read_event_log,
)
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.winner import name_winner

SCORES = {"00": 20.0, "01": 90.0, "02": 50.0}
TRAINED_S = 60.0


def job(**changed):
    fields = {"env": "CartPole-v1", "trials": 3, "iterations": 4, "metric": "return_mean"}
    search = {"lr": {"loguniform": [1e-4, 1e-2]}}
    return make_job(fields | {"mode": "max", "search": search} | changed)


def log_of(directory):
    log = EventLog(directory / "events.jsonl")
    about = {"run": "r", "env": "CartPole-v1", "algo": "ppo", "metric": "return_mean"}
    log.append(JobRow(**about, mode="max", iterations=4, trials=3, time=0.0))
    return log


@pytest.fixture
def run(tmp_path):
    """A run of three trials of untrained policies, with two checkpoints each."""
    directory, env = tmp_path / "run", gymnasium.make("CartPole-v1")
    directory.mkdir()
    (directory / "job.yaml").write_text(dump_job(job()))
    log = log_of(directory)
    for trial, score in SCORES.items():
        log.append(TrialRow(trial=trial, config={"lr": 1e-3}, time=0.0))
        for at in (2, 4):
            path = f"trials/{trial}/checkpoint_{at}"
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            spaces = env.observation_space, env.action_space
            write_checkpoint(directory / path, *spaces, seed=int(trial) + at, hidden=(8,))
            steps = {"seconds": 1.0, "env_steps": 9, "time": TRAINED_S}
            log.append(ResultRow(trial=trial, iteration=at, score=score, **steps))
            log.append(CheckpointRow(trial=trial, iteration=at, path=path))
        log.append(EndRow(trial=trial, iteration=4, reason="budget", time=TRAINED_S))
    return directory


def silent():
    return Console(file=io.StringIO(), width=300)


# Which checkpoint it is.


def test_a_run_directory_stands_for_its_best_checkpoint(run):
    best = run / "trials/01/checkpoint_4"
    assert find_checkpoint(run) == best
    assert find_checkpoint(best) == best
    final = {"checkpoint": "c", "metric": "return_mean", "mode": "max", "error": 0.0}
    for trial, score in (("01", 10.0), ("02", 11.0)):
        row = FinalRow(trial=trial, score=score, episodes=20, seed=0, **final)
        EventLog(run / "events.jsonl").append(row)
    assert find_checkpoint(run) == run / "trials/02/checkpoint_4", "the winner of the finals"


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(run):
    (run / "trials/01/checkpoint_4/policy/weights.safetensors").write_bytes(b"")
    assert find_checkpoint(run) == run / "trials/01/checkpoint_2"


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "job.yaml").write_text(dump_job(job()))
    log_of(tmp_path)
    with pytest.raises(InputError, match="no checkpoint of a trial"):
        find_checkpoint(tmp_path)


# Commands take it.


def test_evaluate_takes_a_run_directory(run):
    found = Evaluate(checkpoint=run, episodes=5)(silent())
    assert found["checkpoint"] == str(run / "trials/01/checkpoint_4") and found["episodes"] == 5


def test_export_and_play_take_a_run_directory(run, tmp_path, monkeypatch):
    Export(checkpoint=run, out=tmp_path / "exported")(silent())
    assert (tmp_path / "exported" / "policy.pt2").is_file()
    loaded = []
    monkeypatch.setattr("algos.policy.Policy.load", loaded.append)
    world = type("World", (), {"baselines": {}})()
    _make_player(world, str(run))
    assert loaded == [run / "trials/01/checkpoint_4"]


# The comparison at the end.


def compared(run, job):
    """The finals and the evaluation that follow, and what was shown on the way."""
    shown = []
    name_winner(job, run, EventLog(run / "events.jsonl").append, shown.append)
    rows = read_event_log(run / "events.jsonl")
    winner = [row for row in rows if isinstance(row, FinalRow)]
    (evaluation,) = (row for row in rows if isinstance(row, EvaluationRow))
    return winner, evaluation, shown


def test_by_default_it_takes_a_tenth_of_the_time_and_says_how_many(run, monkeypatch):
    # Without a moment of training there is time for the least number only.
    monkeypatch.setattr("tune_jobs.winner.SHARE", 0.0)
    winner, evaluation, shown = compared(run, job())
    assert [row.episodes for row in winner] == [20] * 3
    assert (evaluation.episodes, evaluation.most) == (20, 256)
    assert winner[0].seed == 256 and evaluation.seed == 0
    assert {far.player for far in shown} == {"policy", "greedy", "random"}
    assert max(far.episodes for far in shown) == 20


def test_finalists_play_as_many_episodes_as_the_first(run, monkeypatch):
    from tune_jobs import winner

    asked = []

    def played(policy, episodes, seed, *, with_baselines, seconds, on_progress):
        asked.append((episodes, seconds))
        return evaluate(policy, min(episodes, 33), seed, with_baselines=with_baselines)

    evaluate = winner.evaluate
    monkeypatch.setattr(winner, "evaluate", played)
    rows, _, _ = compared(run, job())
    # A tenth of 60 s, of which each of three finalists has a third of a half.
    assert asked == [(256, pytest.approx(1.0)), *[(33, float("inf"))] * 2]
    assert [row.episodes for row in rows] == [33] * 3


def test_a_number_that_the_job_names_is_played_in_full(run, monkeypatch):
    monkeypatch.setattr("tune_jobs.winner.SHARE", 0.0)
    winner, evaluation, _ = compared(run, job(evaluation_episodes=45))
    assert [row.episodes for row in winner] == [45] * 3 and winner[0].seed == 45
    assert (evaluation.episodes, evaluation.most) == (45, 45)


def test_what_was_played_before_is_not_played_again(run, monkeypatch):
    monkeypatch.setattr("tune_jobs.winner.SHARE", 0.0)
    compared(run, job())
    before = (run / "events.jsonl").read_text()
    compared(run, job())
    assert (run / "events.jsonl").read_text() == before


# What is shown.


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
        "trial 03 evaluating: policy 40 of 256 episodes",
        "evaluating: greedy 40 of 256 episodes",
    ]


def test_a_terminal_shows_it_until_the_evaluation_is_there():
    out = Console(file=io.StringIO(), width=100, height=20, force_terminal=True, color_system=None)
    job_row = JobRow(
        run="r", env="e", algo="ppo", metric="m", mode="max", iterations=4, trials=1, time=0.0
    )
    progress = ProgressDisplay(job_row, console=out)

    def last():
        with out.capture() as capture:
            out.print(progress._screen())
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
