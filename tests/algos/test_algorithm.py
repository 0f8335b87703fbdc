# pyright: basic
"""The algorithm on Ray: checkpoints lose nothing, runners never lag, failures are told."""

import copy
import os
import signal
from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small
from ray.rllib.algorithms.algorithm import Algorithm

import algos
from algos.ppo import PPO
from algos.rollouts.curriculum import Curriculum
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.return_scale import ReturnScale
from algos.rollouts.reward_signal import RewardSignal
from rungwise.validation import InputError

pytestmark = pytest.mark.usefixtures("local_ray")

CAUSAL = "envs:CausalLearning-v0"
STEERED = {"entropy_coef": 0.1, "entropy_target": 0.9}
SHORT = {"num_envs": 3, "rollout_length": 25, "minibatch_size": 25, "lr": 0.01}


def told(flat):
    """The metrics without those that only say how long it took."""
    return {name: value for name, value in flat.items() if not name.endswith("_s")}


def trained(algorithm, iterations):
    """The metrics of some iterations, and the weights after each."""
    history = []
    for _ in range(iterations):
        algorithm.train()
        history.append((told(algorithm.flat_metrics), small.learner_weights(algorithm)))
    return history


def assert_same(found, expected):
    for (metrics, weights), (other_metrics, other_weights) in zip(found, expected, strict=True):
        assert metrics == other_metrics
        assert small.same_weights(weights, other_weights)


@pytest.mark.parametrize("model", ["set", "mlp"])
def test_training_continues_from_a_checkpoint_bit_for_bit(model, tmp_path):
    chosen = {**STEERED, **SHORT, "model": model, "lr_schedule": "linear", "lr_end": 0.001}
    chosen |= {"normalise_values": True, "normalise_observations": model == "mlp"}
    with small.algorithm(CAUSAL, iterations=6, **chosen) as undisturbed:
        trained(undisturbed, 2)
        undisturbed.save_to_path(str(tmp_path))
        expected = trained(undisturbed, 2)
    with small.algorithm(CAUSAL, seed=9, iterations=6, **chosen) as restored:
        restored.restore_from_path(str(tmp_path))
        assert restored.iteration == 2
        assert_same(trained(restored, 2), expected)
    # Coefficients that adapt are no longer those of the settings, and finished episodes count.
    assert expected[-1][0]["entropy_coef"] != chosen["entropy_coef"]
    assert expected[-1][0]["episodes"] > 0


def test_a_live_algorithm_goes_back_to_an_earlier_state(tmp_path):
    with small.algorithm(CAUSAL, **STEERED, **SHORT) as algorithm:
        trained(algorithm, 1)
        algorithm.save_to_path(str(tmp_path))
        expected = trained(algorithm, 2)
        assert not small.same_weights(expected[0][1], expected[1][1])
        algorithm.restore_from_path(str(tmp_path))
        assert_same(trained(algorithm, 2), expected)


def test_the_same_seed_trains_alike_and_another_one_does_not():
    def run(seed):
        with small.algorithm(CAUSAL, seed=seed, **SHORT) as algorithm:
            return trained(algorithm, 2)

    first = run(3)
    assert_same(run(3), first)
    other = run(4)
    assert other[0][0]["reward_mean"] != first[0][0]["reward_mean"]
    assert not small.same_weights(other[0][1], first[0][1])


def test_metrics_of_an_iteration_worked_out_by_hand():
    # Two copies, eight steps each: 1 2 3 | 1 2 3 | 1 2, so four episodes of return 6.
    with small.algorithm("toy_worlds:Counting-v0") as algorithm:
        algorithm.train()
        flat = algorithm.flat_metrics
        assert (flat["episodes"], flat["return_mean"], flat["episode_length"]) == (4, 6, 3)
        assert flat["return_mean_100"] == 6 and flat["return_std"] == 0
        assert flat["reward_mean"] == pytest.approx(15 / 8)
        assert (flat["env_steps"], flat["updates"], flat["epochs_run"]) == (16, 8, 4)
        assert 0 < flat["learn_s"] < flat["iteration_s"]
        algorithm.train()
        assert algorithm.flat_metrics["env_steps"] == 32


@pytest.mark.parametrize(
    "env_kwargs",
    [
        {"sickness": "reward"},
        {"sickness": "observation"},
        {"sickness": "observation", "at": 8},  # seen only in what the last step led to
    ],
    ids=["reward", "observation", "last observation"],
)
def test_nothing_is_learnt_from_numbers_that_are_not_finite(env_kwargs):
    with small.algorithm("toy_worlds:Sick-v0", env_kwargs) as algorithm:
        before = small.learner_weights(algorithm)
        algorithm.train()
        assert algorithm.flat_metrics["nonfinite"] > 0 and algorithm.flat_metrics["nonfinite_where"]
        assert small.same_weights(small.learner_weights(algorithm), before)


def test_the_mean_of_returns_leaves_out_those_that_are_not_finite():
    sick = {"sickness": "reward"}
    with small.algorithm("toy_worlds:Sick-v0", sick, num_envs=1, rollout_length=100) as algorithm:
        algorithm.train()
        assert algorithm.flat_metrics["return_mean"] == np.inf
        assert "return_mean_100" not in algorithm.flat_metrics


def test_an_unknown_algorithm_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"no algorithm 'pppo'.*did you mean ppo"):
        algos.get_algorithm_class("pppo")


# Remote runners. Each takes seconds to start, so that these tests share what they can.


def held_weights(algorithm):
    """What each runner would act with."""
    return algorithm.env_runner_group.foreach_env_runner(
        lambda runner: runner.module.get_state(), local_env_runner=False
    )


def assert_all_hold(algorithm, weights):
    held = held_weights(algorithm)
    assert len(held) == 2
    for own in held:
        assert small.same_weights({name: np.asarray(w) for name, w in own.items()}, weights)
    assert small.same_weights(small.learner_weights(algorithm), weights)


@pytest.mark.system
def test_remote_runners_always_hold_the_current_weights(tmp_path):
    remote = {"num_env_runners": 2, "lr": 0.01}
    with small.algorithm("toy_worlds:Drawing-v0", **remote) as algorithm:
        trained(algorithm, 1)
        saved = copy.deepcopy(small.learner_weights(algorithm))
        assert_all_hold(algorithm, saved)
        algorithm.save_to_path(str(tmp_path))
        names = set(trained(algorithm, 2)[-1][0])
        later = small.learner_weights(algorithm)
        assert not small.same_weights(later, saved)
        assert_all_hold(algorithm, later)
        algorithm.restore_from_path(str(tmp_path))
        assert_all_hold(algorithm, saved)
    with small.algorithm("toy_worlds:Drawing-v0", **remote, seed=9) as fresh:
        assert not small.same_weights(small.learner_weights(fresh), saved)
        fresh.restore_from_path(str(tmp_path))
        assert_all_hold(fresh, saved)
        assert fresh.iteration == 1 and fresh.env_steps == 32
    with small.algorithm("toy_worlds:Drawing-v0") as local:
        assert set(trained(local, 3)[-1][0]) == names


@pytest.mark.system
def test_a_runner_that_dies_comes_back_with_the_current_weights():
    with small.algorithm("toy_worlds:Drawing-v0", num_env_runners=2, lr=0.01) as algorithm:
        trained(algorithm, 1)
        group = algorithm.env_runner_group
        (first, _) = group.foreach_env_runner(lambda runner: os.getpid(), local_env_runner=False)
        os.kill(first, signal.SIGKILL)
        while True:
            # The other one collects alone until Ray has started it again.
            steps = algorithm.env_steps
            trained(algorithm, 1)
            assert algorithm.env_steps >= steps + 32
            if group.num_healthy_remote_workers() == 2:
                break
        assert_all_hold(algorithm, small.learner_weights(algorithm))


@pytest.mark.system
def test_a_fault_in_a_remote_runner_names_the_user_line():
    with small.algorithm("toy_worlds:Sick-v0", num_env_runners=1) as algorithm:
        with pytest.raises(EnvironmentFault) as fault:
            algorithm.train()
        sentence = str(fault.value)
        assert "failed in step() at step 2 of runner 1: ZeroDivisionError: the pole" in sentence
        assert "toy_worlds.py:" in sentence and "in step)" in sentence


@pytest.mark.system
def test_one_remote_learner_learns_as_the_local_one_does():
    def learnt(**changed):
        with small.algorithm("toy_worlds:Drawing-v0", lr=0.01, **changed) as algorithm:
            return trained(algorithm, 1)

    assert_same(learnt(num_learners=1), learnt())


# Without Ray: what an algorithm does with its runners and its state.


class Loose(PPO):
    """An algorithm that was never set up; runners and learners are stubs."""

    iteration = 0  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self: Any, **changed):
        self.config = SimpleNamespace(settings=small.settings(**changed), total_iterations=3)
        self.env_runner_group, self.pushed = object(), 0
        self.env_steps, self.training_started = 0, False
        self.recent_returns, self.recent_lengths = deque(maxlen=100), deque(maxlen=100)
        self.curriculum, self.reward_scale = Curriculum(None), ReturnScale()
        self.reward_signal = RewardSignal()

    def push_weights(self):
        self.pushed += 1

    def _merge_samples(self, parts):
        return parts, {}


def test_a_state_holds_our_counters(monkeypatch):
    monkeypatch.setattr(Algorithm, "get_state", lambda self: {"weights": 1})
    monkeypatch.setattr(Algorithm, "set_state", lambda self, state: None)
    one, other = Loose(), Loose()
    one.env_steps, one.training_started, one.curriculum.stage = 64, True, 2
    one.recent_returns.extend([1.0, 2.0])
    one.curriculum.recent.append(0.5)
    one.reward_scale.record_returns([3.0, 4.0])
    one.reward_signal.record(-1.0, 0.0, True)
    state = one.get_state()
    assert state["weights"] == 1
    other.set_state(state)
    assert other.pushed == 1
    assert other.get_state() == state
    assert other.recent_returns.maxlen == 100
    other.set_state({"weights": 1})  # a state of RLlib alone changes no counter
    assert other.get_state() == state
