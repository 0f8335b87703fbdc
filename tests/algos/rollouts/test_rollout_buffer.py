# pyright: basic
"""The rollout buffer: steps stored one by one become a rollout with next values."""

import numpy as np

from algos.rollouts.advantages import compute_next_values
from algos.rollouts.rollout_buffer import RolloutBuffer


def filled(steps, length=4):
    """A buffer of two copies whose stored column and value count the steps from 1."""
    buffer = RolloutBuffer(length, 2)
    for t in range(steps):
        buffer.store({"obs": np.full((2, 3), t + 1.0)})
        buffer.values[t] = t + 1
        buffer.steps += 1
    buffer.trim()
    return buffer


def test_steps_that_were_not_filled_are_trimmed():
    buffer = filled(3)
    assert buffer.columns["obs"].shape == (3, 2, 3)
    assert buffer.columns["obs"][:, 0, 0].tolist() == [1, 2, 3]
    assert buffer.rewards.shape == buffer.truncated.shape == (3, 2)


def test_same_step_autoreset_bootstraps_from_final_values():
    buffer = filled(2)
    buffer.truncated[0, 0], buffer.final_values[0, 0] = True, 9
    last = np.array([7, 8], np.float32)
    found = buffer.finish(compute_next_values, last, 1.0, resetting=None, first_episodes_only=False)
    assert found.next_values.tolist() == [[9, 2], [7, 8]]
    assert found.valid.all() and found.done.tolist() == [[True, False], [False, False]]


def test_next_step_autoreset_skips_the_step_that_only_resets():
    buffer = filled(2)
    buffer.truncated[0, 0] = True
    last, resetting = np.array([7, 8], np.float32), np.array([False, True])
    found = buffer.finish(
        compute_next_values, last, 1.0, resetting=resetting, first_episodes_only=False
    )
    assert found.valid.tolist() == [[True, False], [False, True]]
    assert found.next_values[0, 0] == 2  # the row after the end holds the final observation


def test_first_episodes_are_cut_off_at_the_end():
    buffer = filled(2)
    buffer.terminated[0, 0] = True
    last = np.zeros(2, np.float32)
    found = buffer.finish(compute_next_values, last, 1.0, resetting=None, first_episodes_only=True)
    assert found.valid.tolist() == [[True, True], [False, True]]
    assert found.done.tolist() == [[True, False], [False, True]]
