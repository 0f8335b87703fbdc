# pyright: basic
"""What random play shows: episodes, observations and rewards."""

import dataclasses

from checks import get_severities

from tune_jobs.check import examine, load_check_target
from tune_jobs.check.rollouts import sample_random_play


def test_a_bandit_is_paid_by_chance_and_not_always():
    answer = examine(load_check_target("SickBandit-v0"), 0.1, only=("observations", "rewards"))
    assert get_severities(answer) == {"observation_constant": "note"}
    assert 0.2 < answer["figures"]["rewards"]["reward_mean"] < 0.47


def test_too_few_episodes_say_nothing_of_a_constant_reward():
    target = load_check_target("SickAlways-v0")
    seen = sample_random_play(target, 0.5)
    target.probe_cache["sample"] = dataclasses.replace(seen, episodes=seen.episodes[:7])
    answer = examine(target, 0.1, only=("rewards",))
    assert get_severities(answer) == {}
    assert "7 episodes only" in answer["not_judged"]["constant_reward"]


def test_an_image_without_an_encoder_is_noted():
    answer = examine(load_check_target("SickScreen-v0"), 0.1, only=("observations",))
    assert get_severities(answer) == {"image_flattened": "note"}
    (finding,) = answer["findings"]
    assert "210 x 160 x 3" in finding["evidence"]
