# pyright: basic
"""How many episodes an evaluation plays: a number, or what a time limit allows."""

import numpy as np
import pytest
from synthetic_sweep import job_row, result

from tune_jobs.evaluation.episode_budget import LEAST, plan_batches, sum_training_seconds
from tune_jobs.run_log.events import EndRow, EvaluationRow, JobEndRow


class Clock:
    """Each episode takes ``each`` seconds, a batch ``start`` more."""

    def __init__(self, each=1.0, start=0.0):
        self.now, self.each, self.start = 0.0, each, start

    def __call__(self):
        return self.now

    def play(self, **limits):
        """The batches as (first, count)."""
        found = []
        for first, count in plan_batches(clock=self, **limits):
            found.append((first, count))
            self.now += self.start + self.each * count
        return found


@pytest.mark.parametrize("episodes", [1, 19, 20, 21, 255, 256, 2000])
def test_a_number_that_is_asked_for_is_played_whatever_it_takes(episodes):
    assert Clock(1e6).play(episodes=episodes) == [(0, episodes)]


def test_where_time_allows_the_batches_are_always_the_same():
    expected = [(0, 20), (20, 20), (40, 40), (80, 80), (160, 96)]
    for each in (1e-6, 1e-3, 0.1):
        assert Clock(each).play(episodes=256, seconds=1000.0) == expected


@pytest.mark.parametrize("seconds", [0.0, 1.0, 30.0])
def test_the_least_number_is_played_without_time_for_it(seconds):
    assert Clock(10.0).play(episodes=256, seconds=seconds) == [(0, LEAST)]
    assert Clock(10.0).play(episodes=5, seconds=seconds) == [(0, 5)]


@pytest.mark.parametrize(
    ("seconds", "count"), [(25, 20), (39, 20), (40, 40), (100, 100), (199, 199)]
)
def test_time_is_used_up_and_not_overrun(seconds, count):
    clock = Clock(1.0)
    played = clock.play(episodes=256, seconds=float(seconds))
    assert sum(n for _, n in played) == count
    assert [first for first, _ in played] == np.cumsum([0, *(n for _, n in played)])[:-1].tolist()
    assert clock.now <= seconds


def test_copies_that_advance_together_are_not_cut_short():
    # A batch costs a second whatever its size: all 256 episodes take 5 of them.
    assert sum(n for _, n in Clock(0.0, 1.0).play(episodes=256, seconds=10.0)) == 256


def test_a_batch_has_a_largest_size():
    assert Clock().play(episodes=150, most=64) == [(0, 64), (64, 64), (128, 22)]
    sizes = [n for _, n in Clock(0.0).play(episodes=256, seconds=1.0, most=64)]
    assert sizes == [20, 20, 40, 64, 64, 48]


def test_the_least_number_can_be_smaller():
    assert Clock(10.0).play(episodes=256, seconds=0.0, least=4) == [(0, 4)]
    assert Clock(10.0).play(episodes=256, seconds=100.0, least=4) == [(0, 4), (4, 4)]
    sizes = [n for _, n in Clock(0.0).play(episodes=256, seconds=1.0, most=64, least=4)]
    assert sizes == [4, 4, 8, 16, 32, 64, 64, 64]


def test_training_time_sums_sessions_without_pauses():
    rows = [
        job_row(time=100.0),
        result("00", 1, 0.1, time=105.0),
        # Killed, and resumed a day later; an evaluation comes after the training.
        job_row(time=90_000.0, resumed=True),
        result("00", 2, 0.1, time=90_007.0),
        EndRow(trial="00", iteration=2, reason="budget", time=90_008.0),
        EvaluationRow(trial="00", checkpoint="c", episodes=9, seed=0, policy={}, time=90_400.0),
        JobEndRow(reason="done", seconds=1.0, time=90_500.0),
    ]
    assert sum_training_seconds(rows) == pytest.approx(5 + 8)
    assert sum_training_seconds(rows[:1]) == 0
