"""Distribution-free tests: pure functions of arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DRAWS = 1999
"""Permutations, or draws, of a test: the smallest p-value is 1 in 2000."""
POWER = 0.9
"""Probability with which an effect of the detectable size is found."""
ROUNDING = 1e-9
"""Relative differences below this are rounding errors."""
LEAST_SIZE = 1e-4
"""Size of a return below which rounding errors are measured as if it were this large."""


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """Result of a test with two action sequences, each played twice from each of S starts."""

    starts: int
    """Number of starts whose four returns are finite numbers; the others are left out."""
    differing: int
    """Starts whose four plays do not all have the same return."""
    noisy: int
    """Starts at which the same actions had different returns."""
    variance_fraction: float
    """Fraction of the variance among plays from one start that is due to the actions (the
    intraclass correlation): 1 where only they matter, about 0 where they do not."""
    p_value: float
    """Probability of at least this fraction if the actions did not matter."""
    detectable_fraction: float
    """Fraction that would have been found with a probability of 90 %."""


def run_paired_test(returns: Array, level: float = 0.05) -> PairedTest:
    """Test whether the returns depend on the actions.

    Under the null hypothesis the four plays of a start can be exchanged, so each of the three ways
    to pair them is as likely as the observed one: a permutation test within starts. The statistic
    is the sum of squares between the pairs over that within all four.

    Args:
        returns: [S, 2, 2]: S starts, 2 action sequences, 2 plays each.
        level: significance level of the detectable fraction.
    """
    values = np.asarray(returns, np.float64)
    # A single NaN would make every comparison below false, as if all returns were equal.
    values = values[np.isfinite(values).all((1, 2))]
    # Equal returns may differ in their last bits where a batched sum adds in another order.
    tiny = ROUNDING * max(float(np.abs(values).max(initial=0)), 1e-300)
    four = values.reshape(-1, 4)
    # Between the pairs, for the observed pairing (01)(23) and the two others.
    halves = [four[:, [0, i]].sum(1) - four.sum(1) / 2 for i in (1, 2, 3)]
    between = np.square(np.stack(halves, 1))
    within = np.square(four - four.mean(1, keepdims=True)).sum(1)
    # Starts with four equal plays contribute nothing to either sum, whatever the pairing.
    differs = np.ptp(four, axis=1) > tiny
    noisy = (np.abs(values[:, :, 0] - values[:, :, 1]) > tiny).any(1)
    count, total = int(differs.sum()), float(within[differs].sum())
    if not count or not total:
        return PairedTest(len(four), 0, int(noisy.sum()), 0.0, 1.0, 1.0)
    between, rng = between[differs], np.random.default_rng(0)
    # A start of whose plays only one has a reward carries no information about the pairing.
    informative = int((np.ptp(between, axis=1) > ROUNDING * between.max()).sum())
    # Sums over the starts, so that starts with large returns weigh more: the null distribution has
    # the same weights, which keeps the test exact.
    observed = float(between[:, 0].sum())
    drawn = np.array(
        [between[np.arange(count), rng.integers(3, size=count)].sum() for _ in range(DRAWS)]
    )
    # The observed pairing is itself one of the permutations: without the 1 the p-value could be 0.
    p = (1 + int((drawn >= observed * (1 - 1e-12)).sum())) / (1 + DRAWS)
    # The intraclass correlation: by chance alone a third of the squares lies between halves.
    fraction = max((3 * observed - total) / (observed + total), 0.0)
    # Only informative starts count for the power, or rare rewards would seem to prove an absence.
    detectable = compute_detectable_fraction(informative, level) if informative else 1.0
    return PairedTest(len(four), count, int(noisy.sum()), min(fraction, 1.0), p, detectable)


def compute_detectable_fraction(starts: int, level: float = 0.05) -> float:
    """Return the fraction of variance between ways to act that is found with 90 % probability.

    For normal effects and noise F is (1 + 2 f / (1 - f)) times a central F of S and 2 S degrees.
    """
    from scipy.special import fdtri  # late: the import takes a tenth of a second

    # The effect must lift the lower tail of the statistic above the critical value under the null.
    low, high = fdtri(starts, 2 * starts, [1 - POWER, 1 - level])
    odds = (high / low - 1) / 2
    return float(odds / (1 + odds))


def compute_frequencies_p_value(counts: Array, probabilities: Array) -> float:
    """Return the p-value of Pearson's chi-square statistic of counts [M] and probabilities [M].

    From multinomial draws, not the chi-square distribution; cells that expect below 5 are merged.
    """
    total, p = int(counts.sum()), np.clip(np.asarray(probabilities, np.float64), 0, None)
    p = p / p.sum()
    # In cells with tiny expectations a single draw would be a large deviation.
    rare = p * total < 5
    cells = np.append(counts[~rare], counts[rare].sum()).astype(np.float64)
    p = np.append(p[~rare], p[rare].sum())
    # An action of probability zero that was drawn must give a huge statistic, no division by 0.
    expected = np.maximum(p * total, 1e-9)
    drawn = np.random.default_rng(0).multinomial(total, p / p.sum(), DRAWS)
    statistic = (np.square(cells - expected) / expected).sum()
    null = (np.square(drawn - expected) / expected).sum(1)
    return (1 + int((null >= statistic).sum())) / (1 + DRAWS)


def compute_welch_gap(first: Array, second: Array) -> float:
    """Return how many standard errors the mean of ``second`` lies above that of ``first``."""
    if min(len(first), len(second)) < 2:
        return 0.0
    gap = float(np.mean(second) - np.mean(first))
    error = np.sqrt(np.var(first, ddof=1) / len(first) + np.var(second, ddof=1) / len(second))
    return _count_errors(gap, float(error), abs(float(np.mean(first))))


def compute_paired_gap(first: Array, second: Array) -> float:
    """Return the same for returns [N] on the same seeds, by the scatter of their differences."""
    # Paired by seed, which removes the variance between starts from the error.
    difference = second - first
    error = float(np.std(difference, ddof=1) / np.sqrt(len(difference)))
    return _count_errors(float(difference.mean()), error, float(np.abs([first, second]).max()))


def _count_errors(gap: float, error: float, size: float) -> float:
    """Return a gap between means of this size in its standard errors."""
    # Returns whose rewards cancel have the rounding errors of rewards, hence the least size.
    tiny = ROUNDING * max(size, LEAST_SIZE)
    # Two deterministic returns have no error: then any difference is significant and none is not.
    if error <= tiny:
        return 0.0 if abs(gap) <= tiny else float(np.sign(gap)) * 1e6
    return gap / error
