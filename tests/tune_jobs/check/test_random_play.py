# pyright: basic
"""What random play shows: episodes, observations and rewards."""

import dataclasses
import math

import pytest
import sick_worlds
from checks import check, get_severities

from algos.ppo import PPOSettings
from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.rollouts import sample_random_play


def test_a_bandit_is_paid_by_chance_and_not_always():
    answer = check("SickBandit-v0", "observations", "rewards")
    assert get_severities(answer) == {"observation_constant": "note"}
    assert 0.2 < answer["figures"]["rewards"]["reward_mean"] < 0.47


def test_a_part_of_the_observation_that_never_changes_is_noted():
    answer = check("SickStaleLabel-v0", "observations")
    assert get_severities(answer) == {"part_constant": "note"}
    evidence = answer["findings"][0]["evidence"]
    assert evidence.startswith("The part 'label' of the observation (2 entries) was the same in")


def test_too_few_episodes_say_nothing_of_a_constant_reward():
    target = load_check_target("SickAlways-v0")
    seen = sample_random_play(target, 1e3)
    target.probe_cache["sample"] = dataclasses.replace(seen, episodes=seen.episodes[:7])
    answer = check(target, "rewards")
    assert get_severities(answer) == {}
    assert "only 7 episodes" in answer["not_judged"]["constant_reward"]


@pytest.mark.parametrize("rate", [0.01, 1.0])
def test_rewards_that_are_not_finite_are_a_reason_to_stop(monkeypatch, rate):
    monkeypatch.setattr(sick_worlds.Cracked, "rate", rate)
    answer = check("SickCracked-v0", "rewards")
    assert get_severities(answer) == {"reward_finite": "stop"}
    figures = answer["figures"]["rewards"]
    assert figures.get("reward_max") == (1 if rate < 1 else None)


KERNELS = "convolutions (8 x 8, 4 x 4, 3 x 3) over 210 x 160 pixels in 3 channels (last)"

TIMED = {"max_episode_steps": 60}


def look_at(world, settings):
    """The answer of the probe of observations for a job with these settings."""
    target = dataclasses.replace(load_check_target(world), settings=PPOSettings(**settings))
    return check(target, "observations")


@pytest.mark.parametrize(
    ("algo", "settings", "found"),
    [
        ("ppo", {}, {}),  # it standardises values and advantages: a factor changes nothing
        ("ppo", {"normalise_values": False}, {"reward_scale": "warn"}),
        ("reinforce", {}, {"reward_scale": "warn"}),
        ("grpo", {}, {"reward_scale": "warn"}),
    ],
)
def test_the_size_of_rewards_matters_where_it_is_not_normalised(algo, settings, found):
    target = load_check_target("SickMillions-v0", algo)
    target.settings = target.algorithm.settings_class(**settings)
    answer = check(target, "rewards")
    assert get_severities(answer) == found
    named = ["normalise_values=true" in finding["remedy"] for finding in answer["findings"]]
    assert named == [algo != "grpo"] * len(found)


@pytest.mark.parametrize("normalise", [True, "auto", False])
def test_large_observations_are_noted_where_they_are_not_normalised(normalise):
    answer = look_at("SickTall-v0", {"normalise_observations": normalise})
    assert answer["figures"]["observations"]["abs_max"] > 1000
    noted = [f["remedy"] for f in answer["findings"] if f["symptom"] == "observation_scale"]
    assert len(noted) == (normalise is False)
    assert all("`normalise_observations`; divide" in remedy for remedy in noted)


def test_episodes_that_a_limit_will_end_are_not_to_be_given_one():
    target = load_check_target("SickEndless-v0", env_kwargs={"max_episode_steps": 60_000})
    (finding,) = check(target, "episodes")["findings"]
    assert (finding["symptom"], finding["severity"]) == ("no_episode_ends", "note")
    assert "at least 60000 steps" in finding["remedy"]


@pytest.mark.parametrize("length", [1440, math.inf])
def test_episodes_that_are_longer_than_those_played_are_only_noted(monkeypatch, length):
    monkeypatch.setattr(sick_worlds.Endless, "length", length)
    (finding,) = check("SickEndless-v0", "episodes")["findings"]
    assert (finding["symptom"], finding["severity"]) == ("no_episode_ends", "note")
    assert "ended within 1000 steps, the most that are played here" in finding["evidence"]
    assert "later steps may end them" in finding["evidence"]
    assert "max_episode_steps" in finding["remedy"]


@pytest.mark.parametrize(("limit", "found"), [({}, {"paid_to_end": "note"}), (TIMED, {})])
def test_costs_that_only_an_end_saves_are_noted_where_nothing_else_ends_an_episode(limit, found):
    answer = check(load_check_target("SickMotor-v0", env_kwargs=limit), "episodes")
    assert get_severities(answer) == found


def test_an_image_without_an_encoder_is_noted():
    answer = look_at("SickScreen-v0", {"model": "mlp"})
    assert get_severities(answer) == {"image_flattened": "note"}
    (finding,) = answer["findings"]
    assert "210 x 160 x 3" in finding["evidence"] and KERNELS in finding["evidence"]
    assert "model: auto" in finding["remedy"]


@pytest.mark.parametrize("settings", [{}, {"frame_stack": 4}, {"memory": "gru"}], ids=str)
def test_an_image_with_an_encoder_is_described_without_a_finding(settings):
    answer = look_at("SickScreen-v0", settings)
    assert get_severities(answer) == {}
    frames = "4 frames of " if "frame_stack" in settings else ""
    expected = KERNELS.replace("over ", f"over {frames}")
    assert expected in answer["figures"]["observations"]["encoders"]


@pytest.mark.parametrize("model", ["auto", "mlp"])
@pytest.mark.parametrize("world", ["SickTargets-v0", "bad_worlds:Odd-pixel-v0"])
def test_what_has_no_image_to_encode_gets_no_hint(world, model):
    answer = look_at(world, {"model": model})
    assert "image_flattened" not in get_severities(answer)
    assert "encoders" not in answer["figures"]["observations"]
