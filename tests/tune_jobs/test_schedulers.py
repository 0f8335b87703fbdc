# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_jobs.schedulers import Rungs, decide


def test_the_best_third_goes_on_and_the_sentence_says_why():
    # Six scores at the rung before; of seven, the best two go on (7 // 3 = 2): cut 0.3.
    others = [0.2, 0.9, 0.8, 0.3, 0.7, 0.6]
    kept = decide("06", 9, 0.25, others, "min", 3)
    assert (kept.keep, kept.rank, kept.of, kept.cut) == (True, 2, 7, 0.25)
    lost = decide("06", 9, 0.4, others, "min", 3)
    assert (lost.keep, lost.rank, lost.cut) == (False, 3, 0.3)
    assert lost.sentence == "rung 9: 0.4 is above 0.3, the cut for the best 2 of 7"
    assert decide("06", 9, 0.4, others, "max", 3).sentence.startswith("rung 9: 0.4 is below 0.8")


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_not_finite_always_loses(score, mode):
    assert not decide("01", 3, score, [], mode, 3).keep
    assert not decide("01", 3, score, [math.nan, 1.0], mode, 3).keep


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(2, 5))
def test_the_best_score_is_never_stopped_and_enough_are(scores, factor):
    rungs = Rungs([1], "max", factor)
    decisions = [rungs.decide(f"{i:02d}", 1, score) for i, score in enumerate(scores)]
    for i, decision in enumerate(decisions):
        if scores[i] == max(scores):
            assert decision.keep
        better = sum(s > scores[i] for s in scores[:i])
        assert decision.keep == (better < max(1, (i + 1) // factor))


def test_a_trial_is_judged_once_at_each_rung_and_never_between():
    rungs = Rungs([3, 9], "min", 3)
    assert rungs.decide("00", 2, 1.0) is None
    assert rungs.decide("00", 3, 1.0).rung == 3
    assert rungs.decide("00", 4, 1.0) is None
    assert rungs.decide("00", 9, 1.0).rung == 9


def test_decisions_of_an_earlier_session_are_remembered():
    before = Rungs([3], "min", 3)
    rows = [before.decide(f"{i:02d}", 3, score) for i, score in enumerate([0.1, 0.5, 0.9])]
    after = Rungs([3], "min", 3)
    after.recall(rows)
    assert after.scores == before.scores
    assert not after.decide("03", 3, 0.2).keep
