# pyright: basic
"""Conformance to the Gymnasium interface, and determinism."""

import gymnasium
import pytest
from checks import check, get_severities
from gymnasium.wrappers import NormalizeReward, TimeLimit

from tune_jobs.check.check_target import load_check_target


def test_timings_in_info_are_a_note():
    answer = check("SickInformal-v0", "conformance", "determinism")
    assert get_severities(answer) == {"info_differs": "note"}
    assert answer["figures"]["conformance"]["violations"] == 0


def test_a_nan_that_comes_again_is_the_same_reward():
    answer = check("SickCracked-v0", "determinism")
    assert get_severities(answer) == {}
    assert answer["figures"]["determinism"] | {"seconds": 0} == {
        "episodes_twice": 8,
        "differing": 0,
        "seconds": 0,
    }


def test_state_that_reset_keeps_is_found_by_another_order_of_the_seeds():
    answer = check("SickTired-v0", "determinism")
    assert get_severities(answer) == {"same_seed": "warn"}


def test_a_start_that_continues_the_episode_before_is_named():
    answer = check("SickResumed-v0", "determinism")
    assert get_severities(answer) == {"reset_keeps_state": "warn"}
    assert "1 of 2 entries" in answer["findings"][0]["evidence"]


def test_the_wrappers_of_gymnasium_are_found_in_any_layer(monkeypatch):
    def make(held=False):
        env = NormalizeReward(gymnasium.make("SickTargets-v0"))
        env.update_running_mean = not held
        return TimeLimit(env, 9)

    target = load_check_target("SickTargets-v0")
    monkeypatch.setattr(target, "make_bare_env", make)
    answer = check(target, "determinism")
    assert get_severities(answer) == {"moving_units": "warn"}
    assert "NormalizeReward" in answer["findings"][0]["evidence"]
    monkeypatch.setattr(target, "make_bare_env", lambda: make(held=True))
    assert get_severities(check(target, "determinism")) == {}


def test_rewards_that_differ_by_their_size_alone_are_in_moving_units():
    answer = check("SickUnfolding-v0", "determinism")
    assert get_severities(answer) == {"moving_units": "warn"}
    assert "by the size of rewards alone" in answer["findings"][0]["evidence"]


def test_the_first_step_at_which_two_plays_differ_is_named():
    answer = check("SickLateFog-v0", "determinism")
    assert answer["findings"][0]["evidence"].endswith("(seen first after 7 steps)")


@pytest.mark.parametrize(("kwargs", "found"), [({"joins": 99}, True), ({"joins": 2}, False)])
def test_an_agent_that_never_appears_is_a_reason_to_stop(kwargs, found):
    pytest.importorskip("pettingzoo", reason="the extra pettingzoo is not installed")
    target = load_check_target("pettingzoo:agent_games", env_kwargs=kwargs)
    answer = check(target, "conformance", share=0.5)
    assert get_severities(answer).get("cannot_start") == ("stop" if found else None)
    evidence = [f["evidence"] for f in answer["findings"] if f["symptom"] == "cannot_start"]
    assert all("a2 of agent_games appeared in none of 8 games" in text for text in evidence)
