# pyright: basic
"""A tiny problem is learnt, an unlearnable one is not."""

import gymnasium
import numpy as np
import pytest
import sick_worlds
from checks import check, get_severities
from gymnasium import spaces

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.overfit_probe import has_generalised, has_learnt


class Guess(gymnasium.Env):
    """One guess of a side, which is shown, or is a coin that only the seed knows."""

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, shown):
        self.shown = shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self.side = int(seen[0] > 0) if self.shown else int(self.np_random.integers(2))
        return seen, {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action == self.side), True, False, {}


gymnasium.register("Guess-v0", lambda **kwargs: Guess(**kwargs))


@pytest.mark.system
def test_a_tiny_problem_is_learnt_and_an_unlearnable_one_noted(monkeypatch):
    figures = check("SickTargets-v0", "overfit", share=1)["figures"]["overfit"]
    assert figures["standard_errors"] > 3
    assert figures["return_last"] > figures["return_random"]
    # 20 steps of random play, then 180 iterations, as nothing ends them early.
    monkeypatch.setattr(sick_worlds.PaidByTheClock, "length", 2)
    unlearnable = check("SickPaidByTheClock-v0", "overfit", share=1, look_s=0.1)
    assert get_severities(unlearnable) == {"not_learnt_quickly": "note"}
    # From its starts every episode returns the same, which a longer training cannot change.
    assert (
        "every episode from the same 4 starts returned 3" in unlearnable["findings"][0]["evidence"]
    )


def test_training_whose_returns_are_not_finite_is_not_judged(monkeypatch):
    monkeypatch.setattr(sick_worlds.Cracked, "rate", 1.0)
    monkeypatch.setattr(sick_worlds.Cracked, "length", 2)
    answer = check("SickCracked-v0", "overfit", share=0.2, look_s=0.1)
    assert get_severities(answer) == {}
    assert "not a finite number" in answer["not_judged"]["not_learnt_quickly"]


def test_a_zero_sum_game_is_not_said_to_be_unlearnt():
    answer = check("agent_games:Pennies-v0", "overfit", share=0.1, look_s=0.1)
    assert get_severities(answer) == {}
    assert "zero-sum" in answer["not_judged"]["not_learnt_quickly"]


def test_what_has_just_been_learnt_leaves_headroom():
    assert get_severities(check("SickTargets-v0", "headroom")) == {"no_headroom_seen": "note"}
    both = check("SickTargets-v0", "headroom", "overfit", share=1)
    assert both["figures"]["overfit"]["standard_errors"] > 3
    assert get_severities(both) == {}


@pytest.mark.parametrize("shown", [True, False])
def test_what_was_learnt_by_heart_does_not_hold_from_other_starts(shown):
    answer = check(CheckTarget("Guess-v0", {"shown": shown}), "overfit", share=1)
    figures = answer["figures"]["overfit"]
    assert has_learnt(figures)
    assert has_generalised(figures) == shown
