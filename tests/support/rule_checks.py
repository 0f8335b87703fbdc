"""Assertions about a health rule: from when on, and which of the last rows, it judges.

The score is flat unless the metrics have one.
"""

import math
from typing import Any

from health_runs import Curve, flat, from_row, history, severity

from rungwise.health import RULES


def assert_starts_at(symptom: str, n: int, budget: int, **metrics: Curve) -> None:
    """The rule finds something after n rows, and nothing after n - 1."""
    metrics = {"score": flat(n)} | metrics
    assert severity(RULES[symptom], n, budget, **metrics)
    assert severity(RULES[symptom], n - 1, budget, **metrics) is None


def assert_needs_last(
    symptom: str, rows: int, name: str, sick: Any, healthy: Any, **metrics: Curve
) -> None:
    """All of the last ``rows`` of 40 iterations must be sick."""
    metrics = {"score": flat(40)} | metrics
    metrics[name] = from_row(41 - rows, sick, healthy)
    assert severity(RULES[symptom], 40, **metrics)
    metrics[name] = from_row(42 - rows, sick, healthy)
    assert severity(RULES[symptom], 40, **metrics) is None


def assert_judges_median(
    symptom: str, rows: int, name: str, sick: float, low: float, near: float, **metrics: Curve
) -> None:
    """The median of the last ``rows`` of 60 iterations is judged.

    A window of one row more or less would give another median: ``low`` is so healthy that its mean
    with ``sick`` is healthy as well, ``near`` so close to the limit that this mean is sick.
    """
    metrics = {"score": flat(60)} | metrics
    half = rows // 2
    metrics[name] = from_row(60 - half, sick, low)
    assert severity(RULES[symptom], 60, **metrics)
    healthy, count = (near, half) if rows % 2 else (low, half)
    metrics[name] = from_row(61 - count, sick, healthy)
    assert severity(RULES[symptom], 60, **metrics) is None


def assert_skips_nan(symptom: str, name: str, sick: float, **metrics: Curve) -> None:
    """Rows in which the metric is NaN are left out; without any other there is no finding."""
    metrics = {"score": flat(40)} | metrics
    metrics[name] = lambda i: math.nan if i % 2 else sick
    assert severity(RULES[symptom], 40, **metrics)
    metrics[name] = math.nan
    assert severity(RULES[symptom], 40, **metrics) is None


def assert_evidence(symptom: str, words: str, **metrics: Curve) -> None:
    """The evidence of the finding in a run of 60 rows has these words."""
    finding = RULES[symptom](history(60, **{"score": flat(60)} | metrics))
    assert finding and words in finding.evidence
