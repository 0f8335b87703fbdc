# pyright: basic
"""Before rewards differ, the errors of a value function must not pass for advantages."""

import numpy as np
import pytest
import small

from algos.rollouts.reward_signal import RewardSignal

LIMITED = {"terminates": False, "truncates": True}


def record(*rollouts):
    signal = RewardSignal()
    for rollout in rollouts:
        signal.record(*rollout)
    return signal


@pytest.mark.parametrize(
    ("rollouts", "found"),
    [
        ((), False),
        ([(0, 0, False)], False),
        ([(0, 0, True)], False),  # without rewards all episodes are equally good, however long
        ([(-1, -1, False), (-1, -1, False)], False),
        ([(-1, -1, True), (-1, -1, False)], True),
        ([(-1, 0, False), (0, 0, False)], True),
        ([(0, 0, False), (1, 1, False)], True),  # equal within each runner
        ([(np.inf, -np.inf, False)], False),  # a rollout without a valid step
    ],
)
def test_a_signal_is_any_difference_in_reward_or_an_end_that_spares_steps(rollouts, found):
    signal = record(*rollouts)
    assert signal.found == found
    again = RewardSignal()
    again.set_state(signal.get_state())
    assert again.found == found and vars(again) == vars(signal)


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("algo", ["ppo", "reinforce"])
@pytest.mark.parametrize(("env_kwargs", "size"), [(LIMITED, 0.25), ({}, 1.0)])
def test_advantages_are_small_before_a_signal(algo, env_kwargs, size):
    chosen = {"num_envs": 2, "rollout_length": 16, "normalise_advantages": True}
    with small.algorithm("toy_worlds:Alike-v0", env_kwargs, algo=algo, **chosen) as algorithm:
        sent = []
        algorithm._update_learners = lambda rows, timesteps: sent.append(rows) or {}
        algorithm.train()
    assert float(sent[0]["advantages"].std()) == pytest.approx(size, rel=1e-4)


def test_a_baseline_of_other_episodes_has_no_errors_to_make_smaller():
    settings = {"baseline": "leave_one_out", "group_size": 2, "num_envs": 2}
    assert not small.objective("reinforce", **settings).has_critic
    assert small.objective("reinforce").has_critic
