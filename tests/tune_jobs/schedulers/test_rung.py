# pyright: basic
"""What noise and ties explain at a rung."""

import math

import pytest

from tune_jobs.schedulers.rung import Rung


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    ("difference", "errors", "explained"),
    [
        (0.0, (None, None), True),  # a tie
        (0.1, (None, None), False),
        (5.0, (3.0, 4.0), True),
        (5.1, (3.0, 4.0), False),
        (3.0, (3.0, None), True),
        (4.0, (3.0, 0.0), True),  # 0 counts as the noise of the other trial
        (4.0, (0.0, 3.0), True),
        (4.3, (0.0, 3.0), False),
    ],
)
def test_one_standard_error_explains_a_difference(mode, difference, errors, explained):
    rung = Rung(5, mode)
    rung.enter("cut", 5, 0.0, errors[0], 0.0)
    rung.enter("below", 5, -difference if mode == "max" else difference, errors[1], 0.0)
    assert rung.is_explained("below", 1) == explained


def test_rung_ranks_the_earlier_of_equal_scores_first():
    rung = Rung(3, "max")
    for trial, score in (("a", 1.0), ("b", 2.0), ("c", math.nan), ("d", 2.0), ("e", -1.0)):
        rung.enter(trial, 3, score, None, 0.0)
    assert [rung.rank(trial) for trial in "abcde"] == [3, 1, 5, 2, 4]
    rung.remove_waiting("d")
    assert [entry.trial for entry in rung.waiting] == ["b", "a", "e"]
    assert [rung.find_cut(allowed).score for allowed in (1, 2, 3, 4, 9)] == [2, 2, 1, -1, -1]
