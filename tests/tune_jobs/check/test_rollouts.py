# pyright: basic
"""Rollouts of a check: the same plan gives the same actions; memory is bounded."""

from collections.abc import Mapping

import numpy as np
import pytest
from checks import check

from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.rollouts import (
    MAX_ENTRIES,
    EpisodePlan,
    ObservationSample,
    RandomPlay,
    play_plans,
    sample_random_play,
)


def test_actions_of_one_plan_are_the_same_each_time():
    target = load_check_target("SickTargets-v0")
    first, second = (play_plans(target, [EpisodePlan(3, 3), EpisodePlan(4, 4)]) for _ in range(2))
    assert [e.rewards for e in first] == [e.rewards for e in second]
    assert first[0].rewards != first[1].rewards


def test_observations_that_are_not_finite_do_not_count_for_the_scale():
    seen: list[Mapping[str, np.ndarray]] = [
        {"obs": np.array([value, 1.0])} for value in (1.0, np.nan, 3.0)
    ]
    assert np.array_equal(RandomPlay([], seen, 1.0).scale or (), ([2, 1], [1, 1]))
    assert RandomPlay([], seen[1:2], 1.0).scale is None


@pytest.mark.system
def test_of_pictures_fewer_are_kept_and_drawn_for():
    target = load_check_target("SickScreen-v0")
    answer = check(target, "observations", "sampler", look_s=0.003)
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
