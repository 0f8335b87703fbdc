# pyright: basic
"""Which episodes that have not ended count."""

import numpy as np
import pytest

from algos.rollouts.unfinished_episodes import FEW, LONG, measure_unfinished


def running(*lengths):
    """Copies whose running episodes lose 1 a step."""
    return -np.array(lengths, float), np.array(lengths)


def test_beside_few_that_ended_every_longer_one_counts():
    found = measure_unfinished([running(30, 1), running(90, 7)], [10] * (FEW - 1))
    assert found == {"unfinished_episodes": 2, "unfinished_return_mean": -60.0}


@pytest.mark.parametrize(("length", "counts"), [(10 * LONG, False), (10 * LONG + 1, True)])
def test_beside_many_only_those_that_last_much_longer_count(length, counts):
    found = measure_unfinished([running(int(length), 5)], [10] * FEW)
    assert found["unfinished_episodes"] == counts
    assert ("unfinished_return_mean" in found) == counts


def test_without_one_that_ended_nothing_is_long():
    assert measure_unfinished([running(10_000)], []) == {}


def test_a_return_that_is_not_finite_does_not_count():
    returns, lengths = running(30, 90)
    returns[0] = np.nan
    found = measure_unfinished([(returns, lengths)], [10])
    assert found == {"unfinished_episodes": 1, "unfinished_return_mean": -90.0}
