# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""A trial of several seeds: its score, its metrics, its checkpoint."""

import json
import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
import trials

from algos.checkpoint import verify_checkpoint, write_manifest
from algos.policy import Policy, save_policy
from algos.settings.training import TrainingSettings
from rungwise.run_log.trial_outcome import SPREAD
from tune_jobs.evaluation.scoring import merge_scores
from tune_jobs.session import trial as trial_module
from tune_jobs.session.trial import merge_agent_metrics

# Some 45 episodes an iteration: each of them has a score.
JOB = trials.describe_small_job("CartPole-v1", num_envs=16, rollout_length=64)


@pytest.fixture
def trial(make_trial):
    """Set a trial of some seeds up, from a checkpoint or not."""
    return lambda seeds, resume="", **changed: make_trial(JOB | {"seeds": seeds} | changed, resume)


@pytest.fixture
def three(trial):
    return trial(3)


def test_a_recording_has_nothing_of_an_abandoned_branch(trial, tmp_path):
    settings = JOB["settings"] | {"record": str(tmp_path / "recorded")}
    first = trial(1, settings=settings)
    first.step()
    (tmp_path / "saved").mkdir()
    first.save_checkpoint(str(tmp_path / "saved"))
    first.step()
    first.step()
    again = trial(1, tmp_path / "saved", settings=settings)
    again.step()
    names = sorted(path.name for path in (tmp_path / "recorded").rglob("*.parquet"))
    assert names == ["iteration-000001.parquet", "iteration-000002.parquet"]


def test_score_is_the_mean_of_the_seeds_with_their_spread(three):
    for _ in range(2):
        result = three.step()
    metrics = json.loads(result["metrics"])
    assert len(set(three.scores)) == 3, "the seeds differ"
    assert result["score"] == pytest.approx(np.mean(three.scores))
    assert metrics[SPREAD] == pytest.approx(np.std(three.scores, ddof=1))
    assert metrics["env_steps"] == sum(agent.env_steps for agent in three.agents) > 1000
    assert result["iteration"] == 2


def test_first_seed_equals_that_of_a_single_seed_trial(three, trial):
    alone = trial(1)
    assert alone.step()["score"] == pytest.approx(
        json.loads(json.dumps(three._train_agent(0)))["return_mean"]
    )
    assert SPREAD not in json.loads(alone.step()["metrics"])


def test_trial_leaves_no_thread_behind(trial):
    before = set(threading.enumerate())
    trial(2).step()
    assert set(threading.enumerate()) <= before


def test_one_seed_that_is_not_finite_loses_for_all(three):
    three.step()
    three.agents[1].__dict__["train"] = lambda: three.agents[1].flat_metrics.update(nonfinite=1)
    assert math.isnan(three.step()["score"])


def test_checkpoint_restores_all_seeds_and_the_best_policy(three, trial, tmp_path):
    three.step()
    (tmp_path / "saved").mkdir()
    three.save_checkpoint(str(tmp_path / "saved"))
    verify_checkpoint(tmp_path / "saved")
    again = trial(3, tmp_path / "saved")
    assert again.scores == three.scores and again.trained_s == three.trained_s
    assert [agent.iteration for agent in again.agents] == [1, 1, 1]
    best = int(np.argmax(three.scores))
    kept = Policy.load(tmp_path / "saved").module.state_dict()
    for place, agent in enumerate(again.agents):
        save_policy(agent, "ppo", tmp_path / str(place) / "policy")
        write_manifest(tmp_path / str(place))
        own = Policy.load(tmp_path / str(place)).module.state_dict()
        assert all(torch.equal(kept[n], own[n]) for n in kept) == (place == best)


def pool(rows):
    """By hand: the mean over single episodes, of as many last iterations as have 100 of them."""
    episodes = []
    for row in reversed(rows):
        episodes += [row["return_mean"]] * row["episodes"] if row["episodes"] else []
        if len(episodes) >= 100:
            break
    return np.mean(episodes) if len(episodes) >= 20 else None


def test_its_score_is_that_of_its_last_100_episodes(trial, tmp_path):
    """8 copies of 16 steps finish a few episodes an iteration, of some 20 steps each."""
    few = {"num_envs": 8, "rollout_length": 16, "minibatch_size": 64, "hidden": [8], "lr": 1e-6}
    made = trial(1, settings=few, iterations=40)
    rows, scores = [], []
    for _ in range(24):
        result = made.step()
        rows.append(json.loads(result["metrics"]))
        scores.append(result["score"])
        expected = pool(rows)
        assert result["score"] == (expected and pytest.approx(expected))
    assert scores[0] is None and scores[-1] is not None
    assert sum(row["episodes"] for row in rows) > 100, "the oldest of them count no more"
    (tmp_path / "saved").mkdir()
    made.save_checkpoint(str(tmp_path / "saved"))
    again = trial(1, tmp_path / "saved", settings=few, iterations=40)
    rows.append(json.loads((result := again.step())["metrics"]))
    assert result["score"] == pytest.approx(pool(rows)), "a resume knows the episodes of before"


def score_by_hand(made, place):
    """The mean over the few finished episodes of an agent, and over those that last longer."""
    pooled, metrics = made.agent_scores[place].episodes, made.agents[place].flat_metrics
    long = metrics["unfinished_episodes"]
    lost = long * metrics.get("unfinished_return_mean", 0.0)
    return (pooled.mean(1) * pooled.episodes + lost) / (pooled.episodes + long)


def test_at_the_end_of_the_budget_a_few_episodes_have_to_do(trial):
    tiny = {"num_envs": 2, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
    made = trial(2, settings=tiny, iterations=2)
    assert made.step()["score"] is None
    last = made.step()
    assert 0 < json.loads(last["metrics"])["episodes"] < 40
    assert last["score"] == pytest.approx(np.mean([score_by_hand(made, i) for i in range(2)]))


def test_a_trial_is_undecided_while_any_of_its_seeds_is():
    assert merge_scores([1.0, 3.0], over=False) == 2.0
    assert merge_scores([1.0, None], over=False) is None
    assert merge_scores([1.0, None], over=True) == 1.0
    assert merge_scores([None, None], over=True) is None
    assert math.isnan(merge_scores([None, math.nan], over=False)), "one has diverged"


def test_metric_missing_in_one_seed_is_the_mean_of_the_others():
    found = [{"kl": 0.1}, {"kl": 0.3, "return_mean": 2.0}, {"return_mean": 4.0}]
    assert merge_agent_metrics(found) == {"kl": pytest.approx(0.2), "return_mean": 3.0}


def test_counts_of_seeds_add_up_and_the_rest_is_averaged():
    found = [{"env_steps": 10, "kl": 0.1, "why": "a"}, {"env_steps": 12, "kl": 0.3, "why": "b"}]
    assert merge_agent_metrics(found) == {"env_steps": 22, "kl": pytest.approx(0.2), "why": "a"}
    assert merge_agent_metrics(found[:1]) == found[0]


class Preparing:
    """An agent, without Ray, that needs three parts before its first iteration."""

    settings = TrainingSettings()

    def __init__(self):
        self.iteration, self.env_steps, self.parts, self.preparation_metrics = 0, 0, 0, {}

    def prepare(self, seconds):
        self.parts += 1
        self.env_steps += 10
        left = 3 - self.parts
        self.preparation_metrics = {
            "v_star_starts": self.parts,
            "v_star_starts_left": left,
            "v_star_mean": float(self.parts),
            "v_star_left_s": 5.0 * left,
        }
        return not left

    def train(self):
        self.iteration += 1
        self.flat_metrics = {"iteration_s": 2.0, "nonfinite": 0, "return_mean": 1.0, "episodes": 50}


@pytest.fixture
def preparing(tmp_path, monkeypatch):
    """A trial of two such agents."""
    monkeypatch.setattr(trial_module.algos, "build_algorithm", lambda *_, **__: Preparing())
    return trials.make_trial(JOB | {"seeds": 2}, tmp_path)


def test_what_precedes_training_is_reported_in_parts(preparing):
    results = [preparing.step() for _ in range(4)]
    assert [r["iteration"] for r in results] == [0, 0, 1, 2]
    assert [r["score"] for r in results[:2]] == [None, None] and results[2]["score"] == 1.0
    assert not any(r["done"] or r["fault"] for r in results)
    progress = [json.loads(r["metrics"]) for r in results[:2]]
    assert [p["v_star_starts"] for p in progress] == [2, 4], "of both agents together"
    assert [p["v_star_left_s"] for p in progress] == [20.0, 10.0]
    assert [p["v_star_mean"] for p in progress] == [1.0, 2.0]
    assert progress[1]["env_steps"] == 40
    assert [agent.parts for agent in preparing.agents] == [3, 3]


def test_preparing_agents_take_time_but_no_checkpoint_interval(preparing, monkeypatch):
    monkeypatch.setattr(trial_module, "PREPARATION_CHECKPOINT_S", math.inf)
    first = preparing.step()
    assert first["training_iteration"] % 1 and first["trained_s"] > 0
    preparing.step()
    trained = preparing.step()
    assert trained["training_iteration"] == 1 and trained["trained_s"] > 4.0


def test_a_long_preparation_is_saved_from_time_to_time(preparing, monkeypatch):
    monkeypatch.setattr(trial_module, "PREPARATION_CHECKPOINT_S", 0.0)
    assert preparing.step()["training_iteration"] % preparing.job.checkpoint_interval == 0


def test_each_part_of_a_preparation_is_watched_by_itself(preparing):
    limit = preparing.watchdog.limit
    preparing.step()
    assert len(preparing.preparation_watchdog.seconds) == 2
    # The first iteration, with its update, has a first limit of its own.
    assert preparing.watchdog.limit == limit and not preparing.watchdog.seconds
    assert not list(preparing.watchdog.report_path.parent.glob("*.hang"))


def test_an_unfinished_stage_1_continues_from_its_checkpoint(trial, tmp_path, monkeypatch):
    monkeypatch.setattr(trial_module, "PREPARATION_S", 0.0)
    counts = {"num_envs": 4, "starts": 6, "reference_samples": 2, "minibatch_size": 2}
    bandit = {"env": "toy_worlds:Bandit-v0", "algo": "astar_po", "settings": counts}
    first = trial(1, **bandit)
    assert first.step()["iteration"] == 0
    agent: Any = first.agents[0]
    known = dict(agent.v_star.values)
    (tmp_path / "saved").mkdir()
    first.save_checkpoint(str(tmp_path / "saved"))
    again = trial(1, tmp_path / "saved", **bandit)
    # Two starts a batch: four are left.
    assert [again.step()["iteration"] for _ in range(2)] == [0, 1]
    agent = again.agents[0]
    values = agent.v_star.values
    assert len(values) == 6 and len(known) == 2 and known.items() <= values.items()


def test_without_cuda_a_trial_works_on_the_cpu_and_says_so(trial, monkeypatch):
    monkeypatch.setattr("torch.backends.cuda.is_built", lambda: False)
    settings = JOB["settings"] | {"acting_device": "gpu"}
    made = trial(1, settings=settings, gpus_per_trial=1, held_out_interval=1)
    result = made.step()
    assert "built without CUDA" in result["idle_gpu"]
    assert made.agents[0].config.num_gpus_per_learner == 0
    runner: Any = made.agents[0].env_runner_group.local_env_runner
    assert runner.module.device.type == "cpu"
