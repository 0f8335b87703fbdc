"""Rule ``head_starves``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, flat, from_row, rising, seen, severity

from tune_jobs.health.rules.policy_steps import HeadStarves

RULE = HeadStarves()

STARVED: Metrics = {"grad_norm_head": 1e-4, "grad_norm_backbone": 3.0, "advantage_std": 1.0}


def test_a_starved_head_is_warned_about_from_its_onset():
    head = from_row(31, 1e-4, 0.5)
    metrics: Metrics = {**STARVED, "grad_norm_head": head}
    assert seen(RULE, 60, score=flat(60), **metrics) == ("warn", 31)


def test_a_starved_head_is_healthy_while_the_score_improves():
    assert seen(RULE, 60, score=rising(60), **STARVED) is None


def test_a_single_well_fed_iteration_among_the_last_is_healthy():
    metrics: Metrics = {**STARVED, "grad_norm_head": lambda i: 0.5 if i == 55 else 1e-4}
    assert seen(RULE, 60, score=flat(60), **metrics) is None


def test_equal_advantages_leave_no_gradient_to_starve_of():
    assert seen(RULE, 60, score=flat(60), **{**STARVED, "advantage_std": 0.0}) is None


def test_a_network_without_any_gradient_starves_no_head():
    metrics: Metrics = {**STARVED, "grad_norm_head": 0.0, "grad_norm_backbone": 0.0}
    assert seen(RULE, 60, score=flat(60), **metrics) is None


def test_advantages_that_are_not_known_do_not_silence_it():
    metrics: Metrics = {**STARVED, "advantage_std": math.nan}
    assert seen(RULE, 60, score=flat(60), **metrics) == ("warn", 1)


def test_rows_without_the_norms_are_left_out():
    metrics: Metrics = {**STARVED, "grad_norm_head": math.nan}
    assert seen(RULE, 60, score=flat(60), **metrics) is None


@pytest.mark.parametrize(("head", "expected"), [(0.0029, "warn"), (0.0031, None)])
def test_severity_at_the_threshold(head: float, expected: str | None):
    metrics: Metrics = {**STARVED, "grad_norm_head": head, "score": flat(60)}
    assert severity(RULE, 60, **metrics) == expected
