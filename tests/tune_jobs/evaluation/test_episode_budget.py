# pyright: basic
"""How many episodes an evaluation plays: a number, or what a limit of steps allows."""

import numpy as np
import pytest
from synthetic_sweep import job_row, result

from tune_jobs.evaluation.episode_budget import LEAST, count_training_steps, plan_batches


class Steps:
    """Each episode takes ``each`` steps, a batch ``start`` more."""

    def __init__(self, each=1.0, start=0.0):
        self.now, self.each, self.start = 0.0, each, start

    def __call__(self):
        return self.now

    def play(self, **limits):
        """The batches as (first, count)."""
        found = []
        for first, count in plan_batches(count_steps=self, **limits):
            found.append((first, count))
            self.now += self.start + self.each * count
        return found


@pytest.mark.parametrize("episodes", [1, 19, 20, 21, 255, 256, 2000])
def test_a_number_that_is_asked_for_is_played_whatever_it_takes(episodes):
    assert Steps(1e6).play(episodes=episodes) == [(0, episodes)]


def test_where_steps_allow_the_batches_are_always_the_same():
    expected = [(0, 20), (20, 20), (40, 40), (80, 80), (160, 96)]
    for each in (1e-6, 1e-3, 0.1):
        assert Steps(each).play(episodes=256, steps=1000.0) == expected


@pytest.mark.parametrize("steps", [0.0, 1.0, 30.0])
def test_the_least_number_is_played_without_steps_for_it(steps):
    assert Steps(10.0).play(episodes=256, steps=steps) == [(0, LEAST)]
    assert Steps(10.0).play(episodes=5, steps=steps) == [(0, 5)]


@pytest.mark.parametrize(("steps", "count"), [(25, 20), (39, 20), (40, 40), (100, 100), (199, 199)])
def test_steps_are_used_up_and_not_overrun(steps, count):
    taken = Steps(1.0)
    played = taken.play(episodes=256, steps=float(steps))
    assert sum(n for _, n in played) == count
    assert [first for first, _ in played] == np.cumsum([0, *(n for _, n in played)])[:-1].tolist()
    assert taken.now <= steps


def test_copies_that_advance_together_are_not_cut_short():
    # A batch costs one whatever its size: all 256 episodes take 5.
    assert sum(n for _, n in Steps(0.0, 1.0).play(episodes=256, steps=10.0)) == 256


def test_a_batch_has_a_largest_size():
    assert Steps().play(episodes=150, most=64) == [(0, 64), (64, 64), (128, 22)]
    sizes = [n for _, n in Steps(0.0).play(episodes=256, steps=1.0, most=64)]
    assert sizes == [20, 20, 40, 64, 64, 48]


def test_the_least_number_can_be_smaller():
    assert Steps(10.0).play(episodes=256, steps=0.0, least=4) == [(0, 4)]
    assert Steps(10.0).play(episodes=256, steps=100.0, least=4) == [(0, 4), (4, 4)]
    sizes = [n for _, n in Steps(0.0).play(episodes=256, steps=1.0, most=64, least=4)]
    assert sizes == [4, 4, 8, 16, 32, 64, 64, 64]


def test_training_steps_are_those_of_all_trials_once():
    rows = [
        job_row(),
        result("00", 1, 0.1, env_steps=100),
        result("01", 1, 0.1, env_steps=90),
        result("00", 2, 0.1, env_steps=200),
        # Killed, and resumed from its first iteration.
        job_row(resumed=True),
        result("00", 2, 0.1, env_steps=190),
    ]
    assert count_training_steps(rows) == 190 + 90
    assert count_training_steps(rows[:1]) == 0
