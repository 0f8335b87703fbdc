# pyright: basic
"""Random numbers: the distribution, and that nothing but the key decides them."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils import seeding

from envs.contract import counter_rng


def ks_distance(sample, cdf):
    """Kolmogorov-Smirnov distance of a sample from a distribution."""
    x = np.sort(sample)
    upper = np.arange(1, len(x) + 1) / len(x)
    return np.max(np.maximum(upper - cdf(x), cdf(x) - upper + 1 / len(x)))


def normal_cdf(x):
    from math import erf

    return (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2


def test_uniform_numbers_are_uniform():
    u = counter_rng.uniform(counter_rng.make_keys(0, 200), (500,)).ravel()
    assert u.min() >= 0 and u.max() < 1
    # The 0.1 % critical value of the statistic is 1.95 / sqrt(n).
    assert ks_distance(u, lambda x: x) < 1.95 / np.sqrt(len(u))


def test_normal_numbers_are_normal():
    z = counter_rng.normal(counter_rng.make_keys(1, 200), (501,)).ravel()
    assert ks_distance(z, normal_cdf) < 1.95 / np.sqrt(len(z))
    moments = [np.mean(z**k) for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.06)


@pytest.mark.parametrize("draw", [counter_rng.uniform, counter_rng.normal])
def test_keys_and_positions_are_uncorrelated(draw):
    x = draw(counter_rng.make_keys(0, 2_000), (20,))
    for a, b in ((x[:-1], x[1:]), (x[:, :-1], x[:, 1:])):
        r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        assert abs(r) < 4 / np.sqrt(a.size)


def test_folded_and_split_keys_draw_independent_numbers():
    key = counter_rng.make_keys(3, 5_000)
    parts = [
        key,
        counter_rng.fold(key, 0),
        counter_rng.fold(key, 1),
        *counter_rng.split(counter_rng.fold(key, 9), 2),
    ]
    x = np.stack([counter_rng.uniform(part) for part in parts])
    off_diagonal = np.corrcoef(x) - np.eye(len(parts))
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(5_000)


def test_no_two_keys_coincide():
    key = counter_rng.make_keys(0, 50_000)
    later = [counter_rng.fold(key, t) for t in range(4)] + [counter_rng.next_episode(key)]
    assert len(np.unique(np.concatenate((key, *later)))) == 6 * 50_000


def test_a_copy_draws_the_same_alone_and_in_a_batch():
    many = counter_rng.normal(counter_rng.make_keys(5, 128), (7, 3))
    for b in (0, 1, 63, 127):
        np.testing.assert_array_equal(
            counter_rng.normal(counter_rng.make_keys(5 + b, 1), (7, 3))[0], many[b]
        )


def test_fold_takes_one_number_for_all_or_one_for_each_copy():
    key = counter_rng.make_keys(0, 3)
    each = counter_rng.fold(key, np.array([4, 5, 6]))
    assert [int(each[b]) for b in range(3)] == [
        int(counter_rng.fold(key, 4 + b)[b]) for b in range(3)
    ]


def test_the_numbers_never_change_between_versions():
    # A trained policy is compared on seeds: their episodes must stay what they were.
    assert counter_rng.make_keys(0, 2).tolist() == [12489560693144743404, 15617515972362896305]


def test_integers_fill_their_range_evenly():
    drawn = counter_rng.integers(counter_rng.make_keys(0, 10_000), 5)
    counts = np.bincount(drawn, minlength=5)
    assert len(counts) == 5
    assert np.abs(counts - 2_000).max() < 4 * np.sqrt(10_000 * 0.2 * 0.8)


def test_low_discrepancy_is_the_golden_ratio_in_one_dimension():
    golden = (np.sqrt(5) - 1) / 2
    expected = (0.5 + golden * np.arange(1, 6)) % 1
    np.testing.assert_allclose(counter_rng.low_discrepancy(5, 1)[:, 0], expected)
    np.testing.assert_allclose(counter_rng.low_discrepancy(2, 1, skip=3)[:, 0], expected[3:])


def test_actions_do_not_share_random_numbers_with_the_env():
    def drawn(seed):
        space = spaces.Discrete(3, seed=seed)
        return np.array([space.sample() for _ in range(300)])

    hidden = seeding.np_random(5)[0].integers(3, size=300)
    assert np.array_equal(drawn(5), hidden)  # what makes a seed of their own necessary
    assert abs(np.mean(drawn(counter_rng.derive_seed(5, "actions")) == hidden) - 1 / 3) < 0.1
    assert counter_rng.derive_seed(5, "actions") != counter_rng.derive_seed(5, "rules")
