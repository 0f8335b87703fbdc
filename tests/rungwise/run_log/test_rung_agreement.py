# pyright: basic, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
"""How well a first rung predicted the next."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr
from synthetic_sweep import job_row, result

from rungwise.run_log.outcome import Outcome
from rungwise.run_log.rung_agreement import measure_rung_agreement

RUNGS = {"kind": "asha", "rungs": [2, 4, 8]}


def sweep(first, second, **job):
    """Trials with these scores from the first rung on, and at the second; None never came."""
    rows = [job_row(scheduler=RUNGS, trials=len(first), iterations=10, **job)]
    for i, (early, late) in enumerate(zip(first, second, strict=True)):
        rows += [result(f"{i:02d}", 1, 100.0), result(f"{i:02d}", 2, early)]
        if late is not None:
            rows += [result(f"{i:02d}", at, late) for at in (3, 4)]
    return Outcome.from_rows(rows)


def test_the_figure_is_spearmans_over_those_that_reached_both():
    rng = np.random.default_rng(0)
    early, late = rng.normal(size=24), rng.integers(4, size=24).astype(float)
    found = sweep([*early, 5.0, 6.0], [*late, None, None]).rung_agreement
    assert found.trials == 24 and found.rung == 2 and found.tied == 0
    assert found.correlation == pytest.approx(spearmanr(early, late).statistic)


def test_a_rung_that_says_nothing_is_flagged_and_one_that_tells_is_not():
    early = [float(i) for i in range(16)]
    shuffled = [float(i * 7 % 16) for i in range(16)]
    telling, blind = sweep(early, early), sweep(early, shuffled)
    assert telling.rung_agreement.correlation == pytest.approx(1)
    assert telling.as_dict()["rung_agreement"]["warning"] == ""
    assert blind.as_dict()["rung_agreement"]["warning"] == "uninformative_rungs"
    assert "risky" in blind.rung_agreement.sentence
    assert "risky" not in telling.rung_agreement.sentence


def test_equal_scores_at_the_rung_are_flagged_whatever_comes_after():
    found = sweep([0.0] * 19 + [1.0], [float(i) for i in range(20)]).rung_agreement
    assert found.tied == 0.95 and found.is_low and "95 %" in found.sentence
    constant = sweep([0.0] * 9, [0.0] * 9)
    assert constant.rung_agreement.is_low
    assert constant.as_dict()["rung_agreement"]["rank_correlation"] is None


def test_few_trials_or_rungs_say_nothing():
    assert sweep([1.0] * 7, [1.0] * 7).rung_agreement is None
    assert sweep([1.0] * 9 + [math.nan], [1.0] * 7 + [None] * 3).rung_agreement is None
    trials = sweep([1.0] * 9, [1.0] * 9).trials
    assert measure_rung_agreement(trials, [2]) is None
