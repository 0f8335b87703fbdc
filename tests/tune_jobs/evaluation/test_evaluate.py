# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""A policy compared with baselines on the same seeds."""

import json
import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from command_line import answer, call, rungwise

from algos import get_algorithm_class
from algos.models import MODELS
from algos.policy import Policy
from algos.rollouts.env_factory import make_vector_env
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, EndRow, EvaluationRow, ResultRow
from rungwise.validation import InputError
from tune_jobs.evaluation.episode_budget import LEAST_SINGLE, SLOW_STEPS
from tune_jobs.evaluation.evaluate import Evaluation, _count_steps, evaluate
from tune_jobs.evaluation.evaluation_world import list_changed_arguments, make_world
from tune_jobs.evaluation.players import EvaluatedEpisodes

SMALL = {"num_envs": 4, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]}
CAUSAL = {
    "env": "CausalLearning-v0",
    "env_kwargs": {"scm": "ace5", "interventions": 3},
    "settings": SMALL | {"rollout_length": 16},
}


class Counted(gymnasium.Env):
    """Counts its steps and shows nothing."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    seen = np.zeros(1, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.seen, {}


class Lottery(Counted):
    """Three steps, each of which pays what the seed says, whatever is done."""

    def step(self, action):
        self.steps += 1
        return self.seen, float(self.np_random.normal()), self.steps == 3, False, {}


class SlowWalk(Counted):
    """Episodes of 3 steps for choice 1 and 30 for choice 0."""

    def step(self, action):
        self.steps += 10 if action else 1
        return self.seen, -1.0, self.steps >= 30, False, {}


class Endless(SlowWalk):
    """Episodes without an end."""

    def step(self, action):
        return *super().step(action)[:2], False, False, {}


class Circle(Counted):
    """An episode ends with a choice that is not the first one again."""

    def step(self, action):
        self.steps += 1
        self.first = action if self.steps == 1 else self.first
        return self.seen, 1.0, action != self.first, False, {}


class Steady(Counted):
    """Episodes that the environment itself cuts off, by a limit of its own name."""

    def __init__(self, patience=9):
        self.patience = patience

    def step(self, action):
        self.steps += 1
        return self.seen, 1.0, False, self.steps == self.patience, {}


for env_class in (Lottery, SlowWalk, Endless, Circle, Steady):
    gymnasium.register(f"{env_class.__name__}-v0", env_class)


def policy(env="CartPole-v1", **about):
    settings = get_algorithm_class("ppo").settings_class(hidden=(8,))
    made = gymnasium.make(env)
    module = MODELS["mlp"](
        observation_space=made.observation_space,
        action_space=made.action_space,
        model_config=settings.model_config,
    )
    return Policy(module.eval(), {"env": env, "env_kwargs": {}, **about})


def test_all_players_play_the_same_number_of_episodes():
    reports = []
    evaluation = evaluate(
        policy(), 256, 0, steps=0, on_progress=lambda *report: reports.append(report)
    )
    assert set(evaluation.episodes) == {"policy", "greedy", "random"}
    assert {len(episodes) for episodes in evaluation.episodes.values()} == {LEAST_SINGLE}
    assert set(evaluation.summarise("policy")) == {"return_mean", "return_std"}
    assert (evaluation.metric, evaluation.mode, evaluation.world) == ("return", "max", None)
    for player in evaluation.episodes:
        done = [report for report in reports if report[0] == player]
        assert done[-1][:3] == (player, LEAST_SINGLE, 256)
        assert [d[1] for d in done] == sorted(d[1] for d in done)


def test_all_players_play_the_same_seeds():
    # What is paid there follows from the seed alone.
    found = evaluate(policy("Lottery-v0"), 30, 4, steps=1e9).episodes
    returns = {name: episodes.metrics["return"].tolist() for name, episodes in found.items()}
    assert returns["policy"] == returns["greedy"] == returns["random"]
    assert len(set(returns["policy"])) == 30


def test_a_seed_below_zero_is_refused():
    with pytest.raises(InputError, match="at least 0, but it is -1"):
        evaluate(policy("Lottery-v0"), 4, -1)


def test_progress_counts_the_episodes_of_all_batches():
    done: dict[str, list[int]] = {}

    def on_progress(name, episodes, of, steps):
        done.setdefault(name, []).append(episodes)

    evaluate(policy(), 30, 0, steps=1e9, on_progress=on_progress)
    for counts in done.values():
        assert counts == sorted(counts) and counts[-1] == 30 and LEAST_SINGLE in counts


def test_a_limit_of_steps_does_not_change_the_episodes():
    judged = policy()
    one, two = (evaluate(judged, 30, 5, steps=1e9).episodes for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name].metrics["return"], two[name].metrics["return"])
    few = evaluate(judged, 30, 5, steps=0).episodes
    for name in one:
        first = one[name].metrics["return"][:LEAST_SINGLE]
        np.testing.assert_array_equal(few[name].metrics["return"], first)


def count_steps(played):
    return {name: int(episodes.lengths.sum()) for name, episodes in played.items()}


@pytest.mark.parametrize("steps", [2_000, 5_000, 10_000])
def test_long_episodes_keep_to_the_steps(steps):
    played = evaluate(policy("SlowWalk-v0"), 256, 0, steps=steps).episodes
    each = count_steps(played)
    assert steps / 3 < sum(each.values()) <= steps * 1.1
    assert len({len(episodes) for episodes in played.values()}) == 1, "the same seeds for all"
    # They divide the steps by what their episodes take, not in equal parts.
    assert max(each.values()) > 2 * min(each.values())


def test_steps_of_a_slow_baseline_count_for_more():
    played = {"policy": EvaluatedEpisodes({}, lengths=np.array([3, 4]))}
    played |= {"oracle": EvaluatedEpisodes({}, lengths=np.array([5]))}
    assert _count_steps([played, played], played, {"oracle"}) == 2 * (7 + 5 * SLOW_STEPS)
    assert _count_steps([played, played], {"policy": None}, {"oracle"}) == 2 * 7


def test_a_player_whose_episodes_have_no_end_leaves_the_steps_to_the_others(monkeypatch):
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.FEWEST_STEPS", 100)
    found = evaluate(policy("Circle-v0"), 40, 0, steps=600)
    counts = {name: len(episodes) for name, episodes in found.episodes.items()}
    assert counts == {"policy": 40, "greedy": 2, "random": 40}
    compared = found.compare_players()
    assert compared["cut_off"] == {"greedy": 2} and compared["better_than_greedy"] is None
    assert compared["baselines"]["greedy"]["return_mean"] == 100
    # Without a limit of steps everybody plays what was asked for.
    assert len(evaluate(policy("Circle-v0"), 4, 0).episodes["greedy"]) == 4


def test_episodes_without_an_end_are_cut_off(monkeypatch):
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.MOST_STEPS", 25)
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.FEWEST_STEPS", 10)
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.STEPS", 600)
    # A limit of the steps of all three players leaves each the two episodes that are always played.
    for steps, count, length in ((math.inf, 7, 25), (math.inf, 10, 20), (90, 2, 15), (9, 2, 10)):
        most = 70 if math.isfinite(steps) else count
        found = evaluate(policy("Endless-v0"), most, 0, steps=steps)
        assert found.cut_off == {"policy": count, "greedy": count, "random": count}
        for episodes in found.episodes.values():
            assert set(episodes.lengths) == {length}
            assert set(episodes.metrics["return"]) == {-float(length)}
    assert evaluate(policy("Lottery-v0"), 6, 0).cut_off == {}


def test_a_longer_limit_of_the_environment_holds(monkeypatch):
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.MOST_STEPS", 2)
    gymnasium.register("LimitedLottery-v0", Lottery, max_episode_steps=3)
    found = evaluate(policy("LimitedLottery-v0"), 4, 0)
    assert found.episodes["policy"].lengths.tolist() == [3] * 4 and not found.cut_off


@pytest.mark.parametrize(("kwargs", "steps"), [({}, 9), ({"patience": 6}, 6)])
def test_a_limit_that_is_an_argument_holds(monkeypatch, kwargs, steps):
    monkeypatch.setattr("tune_jobs.evaluation.episode_budget.MOST_STEPS", 5)
    found = evaluate(policy("Steady-v0"), 4, 0, kwargs)
    assert found.episodes["policy"].lengths.tolist() == [steps] * 4 and not found.cut_off


@pytest.mark.parametrize(
    ("trained", "evaluated", "changed"),
    [
        ({}, {"patience": 9}, {}),
        ({"patience": 5}, {"patience": 5}, {}),
        ({}, {"patience": 7}, {"patience": 7}),
        ({}, {"max_episode_steps": 7}, {"max_episode_steps": 7}),
    ],
)
def test_only_other_values_than_in_training_are_changed(trained, evaluated, changed):
    assert list_changed_arguments("Steady-v0", trained, trained | evaluated) == changed


def test_a_default_of_a_family_is_no_change():
    world, env = make_world("envs:CausalLearning-v0", {}), "envs:CausalLearning-v0"
    default = {"interventions": world.params.interventions}
    assert list_changed_arguments(env, {}, default) == {}
    assert list_changed_arguments(env, {}, {"interventions": 99}) == {"interventions": 99}


def test_standard_errors_are_those_of_numpy():
    found = evaluate(policy("Lottery-v0"), 30, 4)
    returns = found.episodes["policy"].metrics["return"]
    errors = found.compute_standard_errors("policy")
    assert errors == {"return_mean": pytest.approx(np.std(returns, ddof=1) / np.sqrt(30))}
    assert errors["return_mean"] > 0.1
    assert evaluate(policy("Lottery-v0"), 1, 4).compute_standard_errors("policy") == {}


def test_only_means_of_a_world_have_standard_errors():
    world = make_world("envs:CausalLearning-v0", {})
    excess = np.array([0.1, 0.4, 0.2, 0.9])
    found = Evaluation(
        {"policy": EvaluatedEpisodes({"excess_risk": excess})}, "excess_risk", "min", world
    )
    assert {"median", "mean", "q90"} <= set(found.summarise("policy"))
    errors = found.compute_standard_errors("policy")
    assert errors == {"mean": pytest.approx(np.std(excess, ddof=1) / 2)}
    excess[0] = np.inf
    assert found.compute_standard_errors("policy") == {}


def test_copies_are_made_once_for_batches_of_one_size(monkeypatch):
    sizes = []

    def make(env_id, env_kwargs, count):
        sizes.append(count)
        return make_vector_env(env_id, env_kwargs, count)

    monkeypatch.setattr("tune_jobs.evaluation.players.make_vector_env", make)
    evaluate(policy("Lottery-v0"), 200, 0)
    assert sizes == [64, 8]


def test_better_fraction_counts_seeds_in_the_metrics_mode():
    episodes = {
        "policy": EvaluatedEpisodes({"loss": np.array([1.0, 2.0, 3.0, 5.0])}),
        "random": EvaluatedEpisodes({"loss": np.array([2.0, 2.0, 4.0, 4.0])}),
    }
    assert Evaluation(episodes, "loss", "min", None).compute_better_fraction("random") == 0.5
    assert Evaluation(episodes, "loss", "max", None).compute_better_fraction("random") == 0.25


@pytest.mark.system
def test_held_out_patience_ends_a_run_with_its_result(
    tmp_path,
):
    """A learning rate of nothing: no look is better than the first."""
    options = {
        **{"settings.lr": 1e-12, "settings.num-envs": 4, "settings.rollout-length": 32},
        **{
            "settings.minibatch-size": 64,
            "iterations": 20,
            "patience": 4,
            "checkpoint-interval": 2,
        },
        **{"held-out-interval": 2, "held-out-episodes": 8, "metric": "held_out_return_mean"},
        **{"evaluation-episodes": 0, "out": "run"},
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = rungwise("train", "--env", "CartPole-v1", *flags, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = read_event_log(tmp_path / "run" / "events.jsonl")
    end = next(row for row in rows if isinstance(row, EndRow))
    results = [row for row in rows if isinstance(row, ResultRow)]
    scores = np.array([row.score for row in results])
    assert end.reason == "plateau" and len(results) < 20
    last = [row for row in rows if isinstance(row, CheckpointRow)][-1]
    assert answer(done)["checkpoint"] == str(Path("run") / last.best)
    assert answer(done)["metrics"]["score"] == scores[last.best_iteration - 1]
    assert not any(isinstance(row, EvaluationRow) for row in rows)


@pytest.mark.system
def test_evaluate_uses_the_environment_of_the_jobs_evaluation(tmp_path):
    """Not in that of its training, whose goals or models it may know by heart."""
    (tmp_path / "job.yaml").write_text(
        json.dumps(CAUSAL | {"algo": "ppo", "evaluation_env_kwargs": {"interventions": 7}})
    )
    done = rungwise(
        *("train", "job.yaml", "--iterations", 1, "--evaluation-episodes", 8, "--cpus", 1),
        *("--out", "run", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (compared,) = (
        r for r in read_event_log(tmp_path / "run" / "events.jsonl") if isinstance(r, EvaluationRow)
    )
    evaluate = ("evaluate", answer(done)["checkpoint"], "--episodes", 8, "--json")
    told = answer(call(*evaluate, cwd=tmp_path))
    assert told["env_kwargs"] == {"interventions": 7}
    assert told["policy"] == pytest.approx(compared.policy)
    other = answer(call(*evaluate, "--env-kwargs", "interventions", 3, cwd=tmp_path))
    assert other["env_kwargs"] == {"interventions": 3}
    assert other["baselines"]["random"]["mean"] > told["baselines"]["random"]["mean"]
