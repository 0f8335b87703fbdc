# pyright: basic
"""Environments as users bring them: bandits, timings in info, masks, pictures, waiting steps."""

import dataclasses
import time

import gymnasium
import numpy as np
import pytest
import sick_worlds

from envs.validation import InputError
from tune_jobs.check import PROBES, examine, load_check_target, run_probes
from tune_jobs.check.rollouts import (
    MAX_ENTRIES,
    EpisodePlan,
    ObservationSample,
    play_episodes,
    sample_random_play,
)
from tune_jobs.check.time_limit import TimeUpError, time_limit

UNTRAINED = tuple(name for name in PROBES if name != "overfit")


def found(answer):
    return {finding["symptom"]: finding["severity"] for finding in answer["findings"]}


def test_a_bandit_is_paid_by_chance_and_not_always():
    answer = examine(load_check_target("SickBandit-v0"), 0.1, only=("observations", "rewards"))
    assert found(answer) == {"observation_constant": "note"}
    assert 0.2 < answer["figures"]["rewards"]["reward_mean"] < 0.47


def test_too_few_episodes_say_nothing_of_a_constant_reward():
    target = load_check_target("SickAlways-v0")
    seen = sample_random_play(target, 0.5)
    target.probe_cache["sample"] = dataclasses.replace(seen, episodes=seen.episodes[:7])
    answer = examine(target, 0.1, only=("rewards",))
    assert found(answer) == {}
    assert "7 episodes only" in answer["not_judged"]["constant_reward"]


def test_actions_of_one_plan_are_the_same_each_time():
    target = load_check_target("SickTargets-v0")
    first, second = (
        play_episodes(target, [EpisodePlan(3, 3), EpisodePlan(4, 4)]) for _ in range(2)
    )
    assert [e.rewards for e in first] == [e.rewards for e in second]
    assert first[0].rewards != first[1].rewards


def test_timings_in_info_are_a_note():
    answer = examine(load_check_target("SickInformal-v0"), 0.1, only=("conformance", "determinism"))
    assert found(answer) == {"info_differs": "note"}
    assert answer["figures"]["conformance"]["violations"] == 0


def test_a_mask_that_no_policy_reads_is_obeyed_by_random_play():
    answer = examine(load_check_target("SickClosed-v0"), 0.1, only=UNTRAINED)
    assert found(answer).keys() & {"mask_unread", "raises"} == {"mask_unread"}
    assert found(answer)["mask_unread"] == "stop"
    assert {"dependence", "headroom", "determinism"} <= set(answer["judged"])
    assert "illegal actions" in answer["not_judged"]["gradients"]


def test_an_illegal_action_met_late_is_not_called_a_fault_of_the_environment():
    target = load_check_target("SickClosed-v0")
    target.illegal_raises = None  # as if trying had found nothing
    answer = examine(target, 0.1, only=("episodes", "rewards"))
    assert found(answer) == {"mask_unread": "stop"}
    assert answer["judged"] == ["rewards"]


def test_a_step_that_never_returns_is_cut_off_and_placed(monkeypatch):
    monkeypatch.setattr(run_probes, "OVERRUN_FACTOR", 0.1)
    monkeypatch.setattr(run_probes, "OVERRUN_S", 1.0)
    started = time.monotonic()
    answer = examine(load_check_target("SickWaiting-v0"), 0.05)
    assert time.monotonic() - started < 20
    assert found(answer) == {"does_not_return": "warn"}
    assert "sick_worlds.py:" in answer["not_judged"]["conformance"]
    assert answer["not_judged"]["headroom"] == "calls of the environment take too long"


def test_probes_share_the_time_of_a_check(monkeypatch):
    monkeypatch.setattr(run_probes, "TOTAL_S", -1.0)
    answer = examine(load_check_target("CartPole-v1"))
    assert answer["judged"] == []
    assert set(answer["not_judged"]) == set(PROBES)


def test_of_pictures_fewer_are_kept_and_drawn_for():
    target = load_check_target("SickScreen-v0")
    answer = examine(target, 0.2, only=("observations", "sampler"))
    assert answer["judged"] == ["observations", "sampler"]
    assert len(sample_random_play(target, 1.0).observations) * 210 * 160 * 3 <= MAX_ENTRIES
    assert answer["figures"]["sampler"]["draws"] < 4000


def test_kept_observations_are_spread_over_all_that_were_noted(monkeypatch):
    monkeypatch.setattr("tune_jobs.check.rollouts.MAX_OBSERVATIONS", 10)
    kept = ObservationSample()
    for step in range(100):
        kept.add({"obs": np.array([step])})
    steps = [int(row["obs"][0]) for row in kept.rows]
    assert len(steps) <= 10
    assert steps[0] == 0
    assert steps[-1] >= 80


def test_arguments_that_are_missing_are_a_wrong_call():
    class Needy(sick_worlds.Targets):
        def __init__(self, size):
            self.length = size

    gymnasium.register("Needy-v1", Needy)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="--env-kwargs size VALUE"):
        load_check_target("Needy-v1")
    assert (
        found(
            examine(load_check_target("Needy-v1", env_kwargs={"size": 3}), 0.1, only=("rewards",))
        )
        == {}
    )
    del gymnasium.registry["Needy-v1"]


def test_a_time_limit_outlasts_code_that_swallows_exceptions():
    def stubborn():
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    started = time.monotonic()
    with pytest.raises(TimeUpError), time_limit(0.2):
        stubborn()
    assert time.monotonic() - started < 5
    with time_limit(60.0):
        pass
