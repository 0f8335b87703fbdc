# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_jobs.schedulers import Rungs, decide


def test_the_best_third_goes_on_and_the_sentence_says_why():
    # Six scores at the rung before; of seven, the best three go on (7 / 3, rounded up).
    others = [0.2, 0.3, 0.6, 0.7, 0.8, 0.9]
    kept = decide("06", 9, 0.25, others, "min", 3)
    assert (kept.keep, kept.rank, kept.of, kept.cut) == (True, 2, 7, 0.3)
    lost = decide("06", 9, 0.65, others, "min", 3)
    assert (lost.keep, lost.rank, lost.cut) == (False, 4, 0.6)
    assert lost.sentence == "rung 9: 0.65 is above 0.6, the cut for the best 3 of 7"
    said = decide("06", 9, 0.65, others[::-1], "max", 3).sentence
    assert said.startswith("rung 9: 0.65 is below 0.7")


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_not_finite_always_loses(score, mode):
    assert not decide("01", 3, score, [], mode, 3).keep
    assert not decide("01", 3, score, [1.0], mode, 3).keep
    rungs = Rungs([3], mode, 3)
    assert not rungs.decide("00", 3, score).keep
    assert rungs.decide("01", 3, 1.0).keep, "and it is no score to be compared with"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(2, 5))
def test_the_best_score_is_never_stopped_and_enough_are(scores, factor):
    rungs = Rungs([1], "max", factor)
    decisions = [rungs.decide(f"{i:02d}", 1, score) for i, score in enumerate(scores)]
    for i, decision in enumerate(decisions):
        if scores[i] == max(scores):
            assert decision.keep
        better = sum(s > scores[i] for s in scores[:i])
        assert decision.keep == (better < math.ceil((i + 1) / factor))


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
    assert not after.decide("03", 3, 0.6).keep


def test_who_comes_first_is_let_through_and_ends_once_overtaken():
    rungs = Rungs([3, 9], "max", 3)
    assert rungs.decide("00", 3, 1.0).sentence == "rung 3: 1 is the first score here"
    assert rungs.decide("01", 3, 2.0).keep
    assert rungs.decide("00", 4, 5.0) is None, "of two, no third can be told"
    assert not rungs.decide("02", 3, 1.5).keep
    end = rungs.decide("00", 5, 5.0)
    assert (end.keep, end.iteration, end.rung, end.score, end.rank) == (False, 5, 3, 1.0, 3)
    assert end.sentence == (
        "let through early, then overtaken at rung 3: 1 is below 2, the cut for the best of 3"
    )
    assert rungs.decide("01", 6, 2.0) is None, "the best is never overtaken"


def test_who_has_reached_the_next_rung_is_judged_there_and_no_longer_below():
    rungs = Rungs([3, 9], "max", 3)
    rungs.decide("00", 3, 1.0)
    assert rungs.decide("00", 9, 3.0).keep
    for trial, score in (("01", 2.0), ("02", 3.0), ("03", 4.0)):
        rungs.decide(trial, 3, score)
    assert rungs.decide("00", 10, 3.0) is None


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.permutations(range(9)), st.sampled_from(["min", "max"]))
def test_in_whatever_order_they_come_the_best_third_of_a_rung_is_left(order, mode):
    rungs = Rungs([1], mode, 3)
    alive = [str(s) for s in order if rungs.decide(str(s), 1, float(s)).keep]
    alive = [t for t in alive if rungs.decide(t, 2, 0.0) is None]
    best = {"8", "7", "6"} if mode == "max" else {"0", "1", "2"}
    assert set(alive) <= best
    assert ("8" if mode == "max" else "0") in alive
