"""Rule ``not_finite``: sick and healthy runs, each threshold, warm-up and NaN."""

import math

import pytest
from health_runs import Metrics, from_row, history, rising, seen

from tune_jobs.health.rules.training_faults import NotFinite

RULE = NotFinite()


def test_a_counted_number_is_found_where_it_was_first_met():
    where: Metrics = {"nonfinite_where": lambda i: "rewards" if i == 3 else None}
    finding = RULE(history(5, 50, nonfinite=from_row(3, 7.0, 0.0), **where))
    assert finding
    assert (finding.severity, finding.since) == ("stop", 3)
    assert "21 non-finite numbers, the first in rewards, in iteration 3" in finding.evidence


@pytest.mark.parametrize("name", ["policy_loss", "value_loss", "entropy", "kl", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logs_without_a_count_are_judged_by_their_metrics(name: str, value: float):
    assert seen(RULE, 5, score=1, **{name: from_row(5, value, 1.0)}) == ("stop", 5)


def test_nan_in_explained_variance_is_healthy():
    assert seen(RULE, 37, score=rising(37), explained_variance=math.nan) is None


def test_an_empty_cell_is_healthy():
    assert seen(RULE, 9, score=1, policy_loss=from_row(2, 0.1, None)) is None


def test_a_row_that_counted_none_is_believed():
    assert seen(RULE, 9, nonfinite=0, kl=math.nan) is None


def test_a_return_may_be_nan_only_when_no_episode_finished():
    assert seen(RULE, 9, return_mean=math.nan, episodes=0) is None
    assert seen(RULE, 9, return_mean=math.nan, episodes=3) == ("stop", 1)
    assert seen(RULE, 9, return_mean=math.inf, episodes=0) == ("stop", 1)
    # Where episodes are not counted, those that finished have a mean length.
    assert seen(RULE, 9, return_mean=math.nan) is None
    assert seen(RULE, 9, return_mean=math.nan, episode_length=math.nan) is None
    assert seen(RULE, 9, return_mean=math.nan, episode_length=8.0) == ("stop", 1)
