# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false
"""Who wins: not the luckiest score of training, but the best on fresh seeds."""

import math

import gymnasium
import numpy as np
import pytest
from synthetic_sweep import job_row, result

from algos import get_algorithm_class
from algos.models import MODELS
from algos.policy import Policy
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import EvaluationRow, FinalRow, VideoRow
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError
from tune_jobs.evaluation.evaluate import Evaluation
from tune_jobs.evaluation.players import EvaluatedEpisodes
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.session import winner as finals

SCORES = {"00": 0.30, "01": 0.10, "02": 0.20, "03": math.nan}


def rows(mode="min"):
    return [job_row(mode=mode, trials=4), *(result(t, 9, s) for t, s in SCORES.items())]


def final(trial, score, mode="min"):
    about = {"checkpoint": "c", "metric": "excess_risk", "episodes": 8, "seed": 64, "error": 0.0}
    return FinalRow(trial=trial, score=score, mode=mode, **about)


def test_without_finals_the_best_score_of_training_wins():
    outcome = Outcome.from_rows(rows())
    assert [trial.id for trial in outcome.ranked] == ["01", "02", "00"]
    assert (outcome.best.id, outcome.best_score) == ("01", 0.10)
    told = outcome.as_dict()["best"]
    assert (told["score"], told["score_from"]) == (0.10, "training")
    assert Outcome.from_rows(rows("max")).best.id == "00"


def test_who_plays_the_finals_follows_from_the_later_half_of_training():
    lucky = [result("03", at, score) for at, score in ((7, 9.0), (8, 9.0), (9, 0.0))]
    assert Outcome.from_rows([*rows(), *lucky]).ranked[-1].id == "03"


@pytest.mark.parametrize(("mode", "winner"), [("min", "02"), ("max", "01")])
def test_with_finals_the_best_on_fresh_seeds_wins(mode, winner):
    finals = [final("01", 0.4, mode), final("02", 0.3, mode), final("00", math.nan, mode)]
    assert Outcome.from_rows([*rows(), *finals]).best.id == winner


def test_a_later_look_at_a_finalist_replaces_an_earlier_one():
    looks = [final("01", 0.4), final("02", 0.3), final("02", 0.9)]
    assert Outcome.from_rows([*rows(), *looks]).best.id == "01"


def test_the_score_of_the_best_is_the_one_that_decided():
    finals = [final("01", 0.4), final("02", 0.3), final("00", 0.9)]
    outcome = Outcome.from_rows([*rows(), *finals])
    assert (outcome.best.id, outcome.best_score) == ("02", 0.3)
    assert outcome.best_by == "8 fresh episodes of each of the best 3"
    told = outcome.as_dict()["best"]
    assert (told["score"], told["training_score"]) == (0.3, 0.20)
    assert (told["score_from"], told["metric"]) == (outcome.best_by, "excess_risk")


def record(tmp_path, videos=2):
    """The rows that recording the winner of this run adds to its log."""
    job, log = make_job({"env": "CartPole-v1", "videos": videos}), tmp_path / "events.jsonl"
    before = len(read_event_log(log))
    finals.record_winner(job, tmp_path, EventLog(log).append, lambda status: None)
    return read_event_log(log)[before:]


@pytest.fixture
def finished(monkeypatch, tmp_path):
    """A run whose best trial, 01, has a checkpoint that no policy is loaded from."""
    monkeypatch.setattr(finals.Policy, "load", lambda path, device: None)
    found = tmp_path / "trials/01/checkpoint_9"
    monkeypatch.setattr(finals, "find_best_checkpoint", lambda *a: found)
    for row in rows():
        EventLog(tmp_path / "events.jsonl").append(row)
    return tmp_path


def test_the_winner_is_recorded_once(finished, monkeypatch):
    def recorded(policy, directory, trial, checkpoint, episodes, on_progress, greedy):
        name = checkpoint.relative_to(directory).as_posix()
        for seed in range(episodes):
            about = {"trial": trial, "checkpoint": name, "greedy": greedy}
            yield VideoRow(path=f"videos/{seed}.mp4", seed=seed, **about)

    monkeypatch.setattr(finals, "record_checkpoint", recorded)
    assert [(row.trial, row.seed) for row in record(finished)] == [("01", 0), ("01", 1)]
    assert record(finished) == [], "a resume finds them"


@pytest.mark.parametrize("shown", ["policy", "greedy"])
def test_videos_show_the_player_that_scored_better(finished, monkeypatch, shown):
    def recorded(*args, on_progress, greedy):
        yield VideoRow(trial="01", checkpoint="c", path="videos/a.mp4", greedy=greedy)

    monkeypatch.setattr(finals, "record_checkpoint", recorded)
    row = EvaluationRow(trial="01", checkpoint="c", episodes=2, seed=0, policy={}, shown=shown)
    EventLog(finished / "events.jsonl").append(row)
    assert [row.greedy for row in record(finished, 1)] == [shown == "greedy"]


def test_a_failed_video_ends_no_run(finished, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("the encoder has gone. See its log")

    monkeypatch.setattr(finals, "record_checkpoint", broken)
    (row,) = record(finished)
    assert (row.path, row.failure) == ("", "OSError: the encoder has gone")
    monkeypatch.setattr(finals, "record_checkpoint", lambda *a, **k: [row])
    assert len(record(finished)) == 1, "a resume tries again"


@pytest.mark.parametrize(
    ("metric", "mode", "judged"),
    [
        ("return_mean", "min", ("return_mean", "min", 2.0)),
        ("held_out_return_mean", "max", ("return_mean", "max", 2.0)),
        ("kl", "min", ("return", "max", 2.0)),
    ],
)
def test_finals_use_the_job_metric_where_episodes_have_it(
    monkeypatch, tmp_path, metric, mode, judged
):
    episodes = {"policy": EvaluatedEpisodes({"return": np.array([1.0, 3.0])})}
    evaluation = Evaluation(episodes, "return", "max", None)
    monkeypatch.setattr(finals, "evaluate", lambda *a, **k: evaluation)
    monkeypatch.setattr(finals.Policy, "load", lambda path, device: None)
    job = make_job({"env": "CartPole-v1", "held_out_interval": 1, "metric": metric, "mode": mode})
    row = finals.play_final(job, tmp_path, "00", "c", 2)
    assert (row.metric, row.mode, row.score) == judged
    assert row.error == pytest.approx(1.0)


class Endless(gymnasium.Env):
    """Episodes without an end, each step of which pays 1; nothing says a limit of steps."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, False, False, {}


gymnasium.register("EndlessFinal-v0", Endless)


def test_the_episodes_of_all_finalists_are_cut_off_at_the_same_step(monkeypatch, tmp_path):
    module = MODELS["mlp"](
        observation_space=Endless.observation_space,
        action_space=Endless.action_space,
        model_config=get_algorithm_class("ppo").settings_class(hidden=(8,)).model_config,
    )
    policy = Policy(module.eval(), {"env": "EndlessFinal-v0", "env_kwargs": {}})
    monkeypatch.setattr(finals.Policy, "load", lambda path, device: policy)
    monkeypatch.setattr(finals, "FEWEST", 2)
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.FEWEST_STEPS", 10)
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.STEPS", 600)
    job, finalists = make_job({"env": "EndlessFinal-v0"}), [("00", "a"), ("01", "b"), ("02", "c")]

    def play(earlier, steps):
        rows = []
        finals._play_finals(job, tmp_path, finalists, earlier, steps, rows.append, lambda s: None)
        return rows

    played = play((), 240)
    # After an interruption in the finals, and trained further before the missing ones.
    resumed = play(played[:1], 900)
    assert [row.trial for row in played + resumed] == ["00", "01", "02", "01", "02"]
    assert len({(row.episodes, row.score) for row in played + resumed}) == 1


@pytest.mark.parametrize("error", [InputError("no argument nosuch."), KeyError("nosuch")])
def test_a_failed_comparison_leaves_the_result_and_is_tried_again(finished, monkeypatch, error):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(finals, "evaluate", broken)
    monkeypatch.setattr("tune_jobs.evaluation.final_evaluation.evaluate", broken)
    monkeypatch.setattr("tune_jobs.evaluation.final_evaluation.Policy", finals.Policy)
    log = EventLog(finished / "events.jsonl")
    finals.name_winner(make_job({"env": "CartPole-v1"}), finished, log.append, lambda status: None)
    outcome = Outcome.from_rows(read_event_log(log.path))
    assert outcome.best.id == "01" and not outcome.evaluations
    assert "nosuch" in outcome.evaluation_failure
    before = len(read_event_log(log.path))
    finals.name_winner(make_job({"env": "CartPole-v1"}), finished, log.append, lambda status: None)
    assert len(read_event_log(log.path)) > before, "a resume tries again"
    log.append(job_row(resumed=True))
    assert not Outcome.from_rows(read_event_log(log.path)).evaluation_failure
