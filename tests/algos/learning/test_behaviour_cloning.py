# pyright: basic
"""The warm start: what the teacher does becomes likely, before training or again and again."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

import algos.algorithm as algorithm_module
from algos.actions.kinds import make_action_head
from algos.learning.behaviour_cloning import collect_teacher_rows
from algos.rollouts.columns import Columns
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.rollouts.rollout_io import write_columns
from rungwise.validation import InputError

pytestmark = pytest.mark.usefixtures("local_ray")

CAUSAL, BANDIT = "envs:CausalLearning-v0", "toy_worlds:Bandit-v0"
TAUGHT: dict[str, Any] = {
    "warm_start": "parents_first",
    "warm_start_episodes": 130,
    "num_envs": 8,
    "lr": 0.01,
}
LENGTH: dict[str, Any] = {"rollout_length": 25, "minibatch_size": 100}


def logp(algorithm, rows):
    """Mean log-probability of what the rows did, under the policy that collects."""
    module = algorithm.env_runner_group.local_env_runner.module
    columns = rows.to_torch()
    with torch.no_grad():
        return module._forward(columns)["dist"].logp(columns).mean().item()


def taught(algorithm, seed=0):
    """Episodes of the teacher that the warm start did not see."""
    world = algorithm.env_runner_group.local_env_runner.env.world
    return collect_teacher_rows("parents_first", world, algorithm._make_head(), 130, seed)


def first_score(**changed):
    """The excess risk of the first iteration, before anything was learnt from it."""
    with small.algorithm(
        CAUSAL, **{**LENGTH, "num_envs": 64, "minibatch_size": 50} | changed
    ) as algorithm:
        algorithm.train()
        return algorithm.flat_metrics["excess_risk"]


def test_imitating_a_rule_makes_its_actions_likely_just_once(tmp_path):
    with small.algorithm(CAUSAL, **TAUGHT, **LENGTH) as algorithm:
        rows = taught(algorithm)
        before = logp(algorithm, rows)
        told = algorithm.start_training()
        after = logp(algorithm, rows)
        assert after > before + 1
        assert told["warm_start_loss"] == pytest.approx(-after, abs=0.5)
        algorithm.training_started = True
        algorithm.train()
        assert "warm_start_loss" not in algorithm.flat_metrics
        algorithm.save_to_path(str(tmp_path))
    with small.algorithm(CAUSAL, seed=9, **TAUGHT, **LENGTH) as restored:
        assert not restored.training_started
        restored.restore_from_path(str(tmp_path))
        restored.train()
        assert restored.training_started and "warm_start_loss" not in restored.flat_metrics


def test_it_is_part_of_the_first_iteration_only():
    with small.algorithm(CAUSAL, **TAUGHT, **LENGTH) as algorithm:
        algorithm.train()
        assert algorithm.flat_metrics["warm_start_loss"] > 0
        assert algorithm.flat_metrics["env_steps"] == 200  # what was played for it is not counted
        algorithm.train()
        assert "warm_start_loss" not in algorithm.flat_metrics


def test_the_teacher_is_imitated_again_where_asked_for():
    repeated = {**TAUGHT, **LENGTH, "warm_start_interval": 2, "warm_start_episodes": 40}
    with small.algorithm(CAUSAL, **repeated, iterations=6) as algorithm:
        rows = taught(algorithm)
        losses, likely = [], []
        for _ in range(6):
            algorithm.train()
            losses.append(algorithm.flat_metrics.get("warm_start_loss"))
            likely.append(logp(algorithm, rows))
        # Before the first iteration, after the second and fourth, and not after the last.
        assert [loss is not None for loss in losses] == [True, True, False, True, False, False]
        # The runners act with what was imitated, not with the weights of before.
        assert likely[1] > likely[0] and likely[3] > likely[2]
        assert losses[3] < losses[0]


def test_repeated_imitation_plays_episodes_of_its_own(monkeypatch):
    played = []
    monkeypatch.setattr(
        algorithm_module,
        "collect_teacher_rows",
        lambda name, world, head, episodes, seed: played.append((seed, episodes)),
    )
    settings = small.settings(warm_start="parents_first", warm_start_interval=2)
    self: Any = SimpleNamespace(settings=settings, iteration=0)
    self.config = SimpleNamespace(env=CAUSAL, env_config={}, seed=0, total_iterations=6)
    self._update_learners = lambda rows, timesteps: {"warm_start_loss": 0.0}
    self._make_head = self._make_world = lambda: None
    cls: Any = algorithm_module.ColumnAlgorithm
    self._imitate_teacher = partial(cls._imitate_teacher, self)
    for self.iteration in range(6):
        cls._repeat_warm_start(self)
    first = TRAINING_SEED + 256  # after those of the warm start before training
    assert played == [(first + 256, 128), (first + 3 * 256, 128)]


def test_an_interval_without_a_teacher_is_refused():
    with pytest.raises(InputError, match=r"warm_start must name .* every 3 iterations"):
        small.settings(warm_start_interval=3)


def test_a_warm_start_scores_better_from_the_first_rollouts():
    warm = {"warm_start": "parents_first", "lr": 0.01}
    assert first_score(**warm) < 0.9 * first_score()


def test_the_reference_is_the_policy_after_the_warm_start():
    grouped = {"algo": "grpo", "reference_kl_coef": 0.1, "minibatch_size": 96, "iterations": 3}
    with small.algorithm(CAUSAL, **grouped, **TAUGHT, rollout_length=12) as algorithm:
        rows = taught(algorithm)
        algorithm.train()
        reference = algorithm.learner_group._learner.reference
        columns = rows.to_torch()
        with torch.no_grad():
            referenced = reference._forward(columns)["dist"].logp(columns).mean().item()
        assert referenced == pytest.approx(-algorithm.flat_metrics["warm_start_loss"], abs=0.5)


def of_an_expert(folder, count=400):
    """Recorded rollouts of somebody who knows the bandit."""
    context = np.random.default_rng(0).integers(0, 2, count)
    rows = {"obs": np.eye(2, dtype=np.float32)[context], "choice": context}
    write_columns(Columns(rows | {"reward": np.ones(count, np.float32)}), folder / "expert.parquet")


def test_recorded_rollouts_are_imitated(tmp_path):
    of_an_expert(tmp_path)
    learnt = {"warm_start": str(tmp_path), "warm_start_epochs": 10, "lr": 0.01}
    with small.algorithm(BANDIT, num_envs=8, **learnt) as algorithm:
        algorithm.train()
        assert algorithm.flat_metrics["warm_start_loss"] < 0.1
        assert algorithm.flat_metrics["return_mean"] > 3.5  # of 4; a coin makes 2


def test_what_is_no_teacher_is_refused_in_a_sentence(tmp_path):
    with small.algorithm(CAUSAL, warm_start="parents_frist") as algorithm:
        offered = "one of parents_first, posterior_variance_design, random, round_robin, or a fold"
        with pytest.raises(
            InputError, match=rf"warm_start must be {offered}er of recorded .*frist"
        ):
            algorithm.train()
        head = algorithm._make_head()
    with pytest.raises(InputError, match="warm_start must be a folder of recorded rollouts, but"):
        collect_teacher_rows("parents_first", None, head, 8, 0)
    of_an_expert(tmp_path)
    with pytest.raises(InputError, match=r"do not fit this environment's actions: .* column value"):
        collect_teacher_rows(str(tmp_path), None, head, 8, 0)


@pytest.mark.parametrize("episodes", [1, 128, 129])
def test_a_rule_plays_as_many_episodes_as_are_asked_for(episodes):
    from envs.factory import make_world

    world = make_world("envs.causal.learning.world:CausalLearning", {"interventions": 3})
    head = make_action_head(world.action_space)
    rows = collect_teacher_rows("parents_first", world, head, episodes, 5)
    assert len(rows) == 3 * episodes
    assert {"obs.nodes", "obs.mask", "choice", "value"} <= set(rows)


def test_only_observations_and_actions_of_a_recording_are_read(tmp_path):
    head = make_action_head(spaces.Discrete(2))
    names = ("obs.nodes", "obs", "observed", "next.obs", "choice", "reward")
    write_columns(Columns({name: np.arange(3) for name in names}), tmp_path / "a.parquet")
    rows = collect_teacher_rows(str(tmp_path), None, head, 8, 0)
    assert set(rows) == {"obs.nodes", "obs", "choice"}
    with pytest.raises(InputError, match=r"warm_start must be a folder of recorded .*none'\.$"):
        collect_teacher_rows(str(tmp_path / "none"), None, head, 8, 0)


@pytest.mark.parametrize("name", ["seed-000000", "run/seed-000000", "run/00/none", "run/01/seed-1"])
def test_a_recording_that_is_not_there_names_those_that_are(tmp_path, monkeypatch, name):
    (tmp_path / "recorded/run/00/seed-7").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    head = make_action_head(spaces.Discrete(2))
    with pytest.raises(InputError, match=r"there are recordings in .*/recorded/run/00/seed-7"):
        collect_teacher_rows(f"recorded/{name}", None, head, 8, 0)
