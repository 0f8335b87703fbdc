# pyright: basic
"""Schedules: where they start, where they end, how they get there."""

import itertools
import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algos import algorithm
from algos.learning.learner import CLONE, PROGRESS
from algos.schedules import (
    ScheduleKind,
    adapt_entropy_coef,
    schedule,
    schedule_log_std,
    schedule_update,
)

MOVING: tuple[ScheduleKind, ...] = ("linear", "cosine", "exponential")
VALUES = st.floats(1e-6, 1.0)


@pytest.mark.parametrize("kind", ["cosine", "linear", "exponential"])
@settings(derandomize=True, max_examples=100)
@given(warmup=st.sampled_from([0.0, 0.1, 0.7]), start=VALUES, end=VALUES)
def test_a_schedule_reaches_its_end_exactly_at_1_and_stays(kind, warmup, start, end):
    assert schedule(kind, start, end, 1.0, warmup=warmup) == end
    assert schedule(kind, start, end, 1.7, warmup=warmup) == end


@pytest.mark.parametrize("kind", (*MOVING, "constant"))
def test_a_schedule_begins_at_its_start(kind):
    assert schedule(kind, 0.3, 0.1, 0.0) == 0.3
    assert schedule(kind, 0.3, 0.1, -1.0) == 0.3


@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0, 2.0])
def test_a_constant_stays_where_it_is(progress):
    assert schedule("constant", 0.3, 0.1, progress) == 0.3


def test_the_middle_worked_out_by_hand():
    # From 4 to 1: the mean, the mean (cos 90 degrees is 0), and the geometric mean.
    assert schedule("linear", 4, 1, 0.5) == pytest.approx(2.5)
    assert schedule("cosine", 4, 1, 0.5) == pytest.approx(2.5)
    assert schedule("exponential", 4, 1, 0.5) == pytest.approx(2)
    # A quarter of the way: 4 - 0.25 * 3; 1 + 3 * (1 + cos 45 degrees) / 2; 4 * (1/4)^(1/4).
    assert schedule("linear", 4, 1, 0.25) == pytest.approx(3.25)
    assert schedule("cosine", 4, 1, 0.25) == pytest.approx(3.560660)
    assert schedule("exponential", 4, 1, 0.25) == pytest.approx(2**1.5)


def test_an_exponential_schedule_has_equal_ratios_in_equal_times():
    values = [schedule("exponential", 1e-3, 1e-5, t / 10) for t in range(11)]
    ratios = [b / a for a, b in itertools.pairwise(values)]
    assert ratios == pytest.approx([0.01**0.1] * 10)


@pytest.mark.parametrize("kind", (*MOVING, "constant"))
def test_the_warm_up_rises_linearly_from_0_to_the_start(kind):
    found = [schedule(kind, 0.8, 0.1, p, warmup=0.4) for p in (0.0, 0.1, 0.2, 0.3, 0.4)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_a_schedule_spans_the_training_after_the_warm_up():
    assert schedule("linear", 1.0, 0.0, 0.6, warmup=0.2) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize("warmup", [0.0, 0.3])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_no_update_of_a_schedule_is_void(kind, warmup, count):
    ends = [(i / count, (i + 1) / count) for i in range(count)]
    found = [schedule_update(kind, 1.0, 1e-9, *at, warmup=warmup) for at in ends]
    assert min(found) > 1e-8 and max(found) == 1.0


def test_a_schedule_without_a_start_is_0_throughout():
    assert schedule("exponential", 0.0, 0.1, 0.5) == 0.0


def test_a_warm_start_spends_nothing_of_the_budget(monkeypatch):
    calls = []

    def update_learners(rows, timesteps):
        calls.append((rows, timesteps))
        return {"warm_start_loss": 2.0}

    for name, result in (
        ("make_vector_env", SimpleNamespace(close=lambda: None)),
        ("get_world", 0),
    ):
        monkeypatch.setattr(algorithm, name, lambda *_, result=result: result)
    monkeypatch.setattr(algorithm, "collect_teacher_rows", lambda *_: "rows")
    started = SimpleNamespace(
        settings=SimpleNamespace(warm_start="teacher", warm_start_episodes=1),
        config=SimpleNamespace(env="", env_config={}, seed=0, total_iterations=8),
        _make_head=lambda: None,
        _update_learners=update_learners,
        push_weights=lambda: calls.append("pushed"),
    )
    cls: Any = algorithm.ColumnAlgorithm
    started._make_world, started._imitate_teacher = (
        partial(method, started) for method in (cls._make_world, cls._imitate_teacher)
    )
    metrics = algorithm.ColumnAlgorithm.start_training(started)  # type: ignore[arg-type]
    assert metrics == {"warm_start_loss": 2.0}
    assert calls == [("rows", {PROGRESS: 0.0, CLONE: True}), "pushed"]


def test_the_entropy_weight_never_reaches_0():
    coef = 0.1
    for _ in range(1000):
        coef = adapt_entropy_coef(coef, 1.0, 0.5)
    assert coef > 0
    for _ in range(1000):
        coef = adapt_entropy_coef(coef, 0.0, 0.5)
    assert coef == 10.0


def test_the_entropy_weight_moves_by_its_rate_within_bounds():
    assert adapt_entropy_coef(1.0, 0.4, 0.5, rate=0.5) == 1.5
    assert adapt_entropy_coef(1.5, 0.5, 0.5, rate=0.5) == pytest.approx(1.0)
    assert adapt_entropy_coef(1.0, 0.0, 0.5, rate=0.5, high=1.2) == 1.2
    assert adapt_entropy_coef(1e-6, 1.0, 0.5) == 1e-6
    assert adapt_entropy_coef(0.0, 1.0, 0.5) == 1e-6


SPREAD = {"start": -1.0, "end": -3.0}


@pytest.mark.parametrize(
    ("kind", "progress", "expected"),
    [
        ("constant", 0.5, -1),
        ("constant", 1.0, -1),
        ("linear", 0.25, -1.5),
        ("linear", 1.0, -3),
        ("cosine", 0.5, -2),
    ],
)
def test_the_spread_follows_its_schedule_whatever_the_score(kind, progress, expected):
    for score in (None, 0.9):
        found = schedule_log_std(kind, **SPREAD, progress=progress, score=score, scores=(0, 1))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("score", "scores", "expected"),
    [
        (0.0, (0, 1), -1),
        (0.5, (0, 1), -2),
        (0.9, (0, 0.8), -3),
        (-0.3, (0, 1), -1),
        # An error of 3 at first that is to fall to 1, and has come half of the way.
        (2.0, (3, 1), -2),
        (None, (0, 1), None),
        (math.nan, (0, 1), None),
    ],
)
def test_by_performance_the_spread_follows_the_score(score, scores, expected):
    found = schedule_log_std("performance", **SPREAD, progress=0.1, score=score, scores=scores)
    assert found == (None if expected is None else pytest.approx(expected))
