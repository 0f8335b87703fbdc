# pyright: basic
"""Baselines that beat random play are named."""

import re

import pytest
from checks import check, get_severities
from gymnasium import spaces

from tune_jobs.check import headroom
from tune_jobs.check.headroom import list_constant_actions
from tune_jobs.check.rollouts import STEPS


def test_a_constant_action_that_beats_random_play_is_named():
    assert "constant_action_beats_random" in get_severities(check("Blackjack-v1", "headroom"))
    figures = check("CausalLearning-v0", "headroom", share=1)["figures"]["headroom"]
    assert figures["best"] == "posterior_variance_design"


def test_an_action_that_is_not_always_legal_is_not_called_constant():
    answer = check("masked_games:Game-info-v0", "headroom", share=1)
    names = answer["figures"]["headroom"].keys() - {"episodes", "random", "best", "seconds"}
    legal = r"always [2-6] in the \d\d% of steps where it is legal and random actions in others"
    assert len(names) == 5 and all(re.fullmatch(legal, name) for name in names)


PUSH = spaces.Box(0, 10, ())


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (spaces.Discrete(3, start=1), ["1", "2", "3"]),
        (spaces.Discrete(51), ["0", "10", "20", "30", "40", "50"]),
        (PUSH, ["lowest", "middle", "highest"]),
        (spaces.MultiDiscrete([2, 2], start=[0, 1]), ["(0, 1)", "(0, 2)", "(1, 1)", "(1, 2)"]),
        (spaces.Tuple((spaces.Discrete(1), PUSH)), ["(0, lowest)", "(0, middle)", "(0, highest)"]),
        (spaces.Dict(aim=spaces.Discrete(2)), ["(aim 0)", "(aim 1)"]),
        (spaces.MultiBinary(3), ["all 0", "all 1"]),
        (spaces.MultiDiscrete([2] * 100), [f"combination {n}" for n in range(1, 7)]),
        (spaces.Dict(aim=spaces.Discrete(2), free=spaces.Box(-1, 1e38, ())), []),
    ],
)
def test_constant_actions_of_every_kind_are_few_and_legal(space, names):
    actions = list_constant_actions(space)
    assert list(actions) == names
    assert all(action in space for action in actions.values())


def test_actions_without_bounds_are_the_reason_that_headroom_is_not_judged(monkeypatch):
    monkeypatch.setattr("sick_worlds.Targets.action_space", spaces.Box(-1e38, 1e38, ()))
    answer = check("SickTargets-v0", "headroom")
    assert "without bounds" in answer["not_judged"]["no_headroom_seen"]
    assert get_severities(answer) == {"action_unbounded": "note"}


def test_returns_of_episodes_that_are_cut_off_say_so():
    answer = check("SickEndless-v0", "headroom", share=1)
    assert answer["figures"]["headroom"]["most_steps"] == STEPS
    assert "most_steps" not in check("SickTargets-v0", "headroom")["figures"]["headroom"]


def test_seeds_with_a_return_that_is_not_finite_are_left_out():
    answer = check("SickCracked-v0", "headroom")
    assert get_severities(answer) == {}
    assert "a return that is not a finite number" in answer["not_judged"]["no_headroom_seen"]
    figures = answer["figures"]["headroom"]
    assert 0 < figures["episodes"] < headroom.MAX_EPISODES
    assert 4 < figures["random"]["return_mean"] < 6


def test_a_few_equal_returns_are_not_called_the_same(monkeypatch):
    assert "no_headroom_seen" in get_severities(check("SickAlways-v0", "headroom"))
    monkeypatch.setattr(headroom, "MAX_EPISODES", 12)
    answer = check("SickAlways-v0", "headroom")
    assert get_severities(answer) == {}
    assert "12 episodes of each policy" in answer["not_judged"]["no_headroom_seen"]
