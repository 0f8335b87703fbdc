# pyright: basic
"""Rewards that do not depend on the action are found, rewards by chance are not."""

import numpy as np
import pytest
import sick_worlds
from checks import check, get_only_evidence, get_severities

from tune_jobs.check.dependence import (
    LEVEL,
    NEGLIGIBLE,
    SETTLED_P,
    count_informative_starts,
    summarise_test,
)
from tune_jobs.check.rollouts import Episode
from tune_jobs.check.statistics import run_paired_test


@pytest.mark.system
def test_unseeded_dice_differ_from_a_reward_of_the_action(monkeypatch):
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(0))
    monkeypatch.setattr(sick_worlds.Targets, "length", 3)
    answer = check("SickOwnDice-v0", "rewards", "dependence", share=1)
    assert get_severities(answer) == {"reward_blind_to_action": "warn"}
    figures = answer["figures"]["dependence"]["fresh_noise"]
    assert figures["p"] > SETTLED_P > LEVEL
    assert figures["detectable_fraction"] < NEGLIGIBLE
    monkeypatch.setattr(sick_worlds, "DICE", np.random.default_rng(0))
    assert get_severities(check("SickUnseeded-v0", "dependence", share=0.5)) == {}


def test_observations_that_no_seed_decides_are_judged_by_functions_of_them():
    answer = check("SickUnseededSight-v0", "rewards", "dependence", share=0.5)
    assert get_severities(answer) == {}
    figures = answer["figures"]["dependence"]
    assert figures["repeated"]["p"] > LEVEL >= figures["fresh_noise"]["p"]


@pytest.mark.system
def test_a_coin_tossed_after_the_action_is_no_effect_of_it():
    answer = check("SickCoinToss-v0", "rewards", "dependence", share=1)
    assert get_severities(answer) == {"reward_blind_to_action": "warn"}
    assert answer["figures"]["dependence"]["repeated"]["variance_fraction"] == 1
    assert answer["figures"]["dependence"]["fresh_noise"]["variance_fraction"] < 0.05


def test_a_reward_that_is_nan_now_and_then_is_not_blind_to_actions():
    answer = check("SickCracked-v0", "dependence", share=0.5)
    assert get_severities(answer) == {}
    assert answer["not_judged"] == {}
    assert answer["figures"]["dependence"]["repeated"]["differing"] > 0


@pytest.mark.system
@pytest.mark.parametrize("kind", [sick_worlds.PaidByTheClock, sick_worlds.CoinToss])
def test_an_effect_is_not_denied_where_returns_are_not_finite(monkeypatch, kind):
    # The starts that are left out may be those at which the actions matter.
    monkeypatch.setattr(sick_worlds.Targets, "paid", kind.paid)
    answer = check("SickCracked-v0", "dependence", share=0.5)
    assert get_severities(answer) == {}
    assert "not a finite number" in answer["not_judged"]["reward_blind_to_action"]


def test_a_generator_that_cannot_be_set_leaves_the_question_open():
    answer = check("SickSealedCoinToss-v0", "rewards", "dependence", share=1)
    assert get_severities(answer) == {}
    assert "np_random, cannot be set" in answer["not_judged"]["reward_blind_to_action"]
    assert answer["figures"]["dependence"]["repeated"]["starts"] > 0


def test_rewards_that_were_never_met_are_not_called_blind():
    for world in ("Broke", "Always"):
        answer = check(f"Sick{world}-v0", "dependence")
        assert get_severities(answer) == {}
        assert "no reward but" in answer["not_judged"]["reward_blind_to_action"]


def test_the_evidence_says_if_actions_reach_the_observations():
    answer = check("SickBrokenSampler-v0", "dependence", share=1)
    evidence = get_only_evidence(answer, "reward_blind_to_action")
    assert "exactly the same" in evidence
    assert "nor do the observations" in evidence


def test_a_world_tries_several_actions_from_the_same_state():
    figures = check("CausalLearning-v0", "dependence")["figures"]["dependence"]
    assert figures["step"]["variance_fraction"] == 1
    assert figures["step"]["starts"] > 300
    assert 0.5 < figures["step_fresh_noise"]["variance_fraction"] < 1


def make_starts(*rewards):
    return [[Episode(list(part)) for part in start] for start in rewards]


def test_a_start_is_informative_where_it_differs_from_the_usual():
    usual, paid = [0.0, 0.0], [0.0, 1.0]
    assert count_informative_starts([]) == 0
    assert count_informative_starts(make_starts([usual] * 4, [usual] * 4)) == 0
    assert count_informative_starts(make_starts([usual] * 4, [usual, usual, usual, paid])) == 1
    # A cost of each step carries no information, an episode of another length does.
    cost = [-1.0, -1.0]
    assert count_informative_starts(make_starts([cost] * 4, [cost, cost, cost, [-1.0]])) == 1


def test_a_test_is_summarised_by_its_figures():
    figures = summarise_test(run_paired_test(np.array([[[1, 1], [2, 2]]] * 5)))
    assert (figures["starts"], figures["differing"], figures["variance_fraction"]) == (5, 5, 1)
    assert figures["p"] < 0.01
