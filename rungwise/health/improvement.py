"""Has the score improved? The statistic that nearly every health rule is conditioned on.

Low entropy, explained variance near zero and clipped gradients are found in healthy runs as often
as in sick ones; the difference is whether the return has risen meanwhile.
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from rungwise.validation import AtLeastOne, Between, Fraction, NonNegative, Positive, validate

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

TREND_BLOCKS = 100
"""Kendall's tau compares all pairs of rows: of more rows than this, the means of this many blocks.
The tau of 100 independent numbers is above 0.2, the usual limit, in 0.15 % of cases."""
NEWEST_ROWS = 200
"""Rows at the end of a series whose pairs :func:`is_rising` compares."""
RISE_ROWS = 10
"""Scores of the shortest stretch that may rise."""
RISE_DEVIATIONS = 3.0
"""Standard deviations by which a stretch must rise. It is the best of many stretches."""
CONSTANT = 1e-6
"""Range of returns, as a fraction of their size, up to which they are one number."""
LARGE = 1e150
"""Numbers whose squares are near the end of the float range: diverged runs log such returns."""
CEILING, BELOW = 0.2, 0.05
"""Shares of the scores that are at a ceiling, and clearly below it, at least."""
SETTLED = 0.75
"""Share of the usual length, or number, of episodes from which a row is like the others."""
FEWEST_JUMPS = 10
"""Jumps of which the largest tenth are more than a single one, such as a fall."""


@dataclasses.dataclass(frozen=True)
class Improvement:
    """scores [R] (higher is better), episodes [R] -> improved: yes, no, or None (too early).

    The gain is the median of the last third minus the mean of the first rows. It counts when it is
    larger than its noise and than a share of the scores' size, or far beyond its noise, and when
    the score either tends upwards (Kendall's tau) or had most of the gain early and kept it. A
    score at its ceiling (:func:`is_at_ceiling`) has nothing left to gain.

    The rows are means over the episodes of one iteration, thus nearly independent, so the noise of
    the gain is the standard error of its two ends: a median of k rows has sd * sqrt(pi / 2k), a
    mean of m rows sd / sqrt(m). The sd is that of the last third around its own straight line; the
    start's is larger where its rows jump more. (Two runs that were paid noise learnt to end their
    episodes soon: their returns scattered ever less. A moving average, whose rows repeat each
    other, has more noise than this says.)

    Thresholds: ``noise`` to ``early_noise`` separated 50 sick from 43 healthy runs of PPO, A2C, DQN
    and SAC, there in units of a moving average's sd; ``first_rows`` and ``leap`` are ours, for runs
    of few iterations that are solved within the first of them.

    Warm-up: ``rows`` finite scores. NaN policy: rows without a finite score are left out.
    """

    noise: Annotated[float, Positive] = 3.0
    """The gain must be larger than this many standard errors."""
    relative: Annotated[float, Fraction] = 0.05
    """The gain must be larger than this share of the scores' size at either end, or ..."""
    far_noise: Annotated[float, Positive] = 8.0
    """... than this many standard errors: where a score begins at -1,000 and -960 is the best that
    there is, its size says nothing of the gain."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau above which the score tends upwards."""
    early_gain: Annotated[float, Fraction] = 0.6
    """Share of the gain that must be there in the second quarter to count as solved early."""
    early_noise: Annotated[float, Positive] = 6.0
    """A gain solved early must be larger than this many standard errors."""
    rows: Annotated[int, Between(6)] = 8
    """Finite scores before anything is said."""
    first_rows: Annotated[int, AtLeastOne] = 5
    """The start is the mean of the first tenth of the rows, but of no more rows than this: a run
    solved within its first tenth would otherwise hide its own gain."""
    episodes: Annotated[int, NonNegative] = 50
    """The start is looked for from the row of this episode on, because short (mostly bad) episodes
    are the first to finish; at most a fifth of the rows is skipped for it."""
    leap: Annotated[float, Fraction] = 0.5
    """A run that learns within those skipped rows is known by a gain on its very first ones of more
    than this share of the scores' size; short episodes alone were measured to give 0.2 to 0.3."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, scores: FloatArray, episodes: FloatArray) -> bool | None:
        """Whether the scores have improved."""
        # A row in which no episode finished has no score; a zero would fake a drop or a gain.
        is_finite = np.isfinite(scores)
        finished = np.cumsum(np.nan_to_num(episodes[is_finite], nan=0.0))
        r = scores[is_finite]
        if r.size < self.rows:
            return None
        # Where the episodes are not counted the sums are 0 and nothing is skipped.
        skipped = int(np.searchsorted(finished, self.episodes)) if finished[-1] > 0 else 0
        # With long episodes the first 50 may take most of the rows: the cap leaves enough.
        settled = r[min(skipped, r.size // 5) :]
        # Each test covers a curve that the others miss: a steady gain, one during the skipped rows,
        # and one within the very first row.
        return (
            is_at_ceiling(r)
            or self._rose(settled, self.relative, self.far_noise)
            or self._rose(r, self.leap, math.inf)
            or self._solved_at_once(r)
        )

    def _rose(self, r: FloatArray, relative: float, far_noise: float) -> bool:
        start = min(math.ceil(r.size / 10), self.first_rows)
        gain, error, size = _gain(r, start)
        # A NaN (scores near the float limit overflow) is larger than nothing: no improvement.
        is_large = gain > relative * size or gain > far_noise * max(error, CONSTANT * size)
        if not (is_large and gain > self.noise * error):
            return False
        if kendall_tau(r) > self.tau:
            return True
        # A run solved early is flat for most of its rows, so its tau is near 0. Without a trend
        # that confirms the gain, it must be further beyond the noise.
        return gain > self.early_noise * error and self._was_early(r, start, gain)

    def _solved_at_once(self, r: FloatArray) -> bool:
        gain, error, size = _gain(r, 1)
        large = gain > max(self.early_noise * error, self.leap * size)
        return large and self._was_early(r, 1, gain)

    def _was_early(self, r: FloatArray, start: int, gain: float) -> bool:
        # A gain that is there in the second quarter as well is not a lucky last third.
        second_quarter = median(r[r.size // 4 : r.size // 2])
        return second_quarter - float(r[:start].mean()) >= self.early_gain * gain


def is_rising(scores: FloatArray) -> bool:
    """Return whether the last of the scores [R] (higher is better) rise more than noise does.

    :class:`Improvement` compares a whole run with its start: a run that has dipped, or that starts
    late, has not improved while it recovers. So each stretch of at least ``RISE_ROWS`` last scores
    is tested by the Mann-Kendall trend test: the pairs in rising order minus those in falling
    order, in standard deviations of that number under pure noise. Ties make the test stricter.

    A score of few episodes, or the length of an episode, does not matter to it: only the order of
    the scores counts. Of 30 independent scores of noise 0.7 % rise by this test. Rows without a
    finite score are left out.
    """
    # All pairs are compared, so the cost is quadratic. The newest rows are kept, not means of
    # blocks, because the question is whether the score rises now.
    r = keep_finite(scores)[-NEWEST_ROWS:]
    if r.size < RISE_ROWS:
        return False
    # Signs only: a single lucky mean of few episodes must not decide the trend.
    later_minus_earlier = np.sign(r[None, :] - r[:, None])
    # From row i to the end: what the stretch from i + 1 has, and the pairs of i with those.
    pairs = np.triu(later_minus_earlier, 1).sum(axis=1)[::-1].cumsum()
    size = np.arange(1, r.size + 1)
    # Without ties, which make the true one smaller.
    deviation = np.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    # The start of a recovery is unknown, so stretches of all lengths are tried.
    return bool(np.any((pairs > RISE_DEVIATIONS * deviation)[RISE_ROWS - 1 :]))


def count_unsettled(
    scores: FloatArray, lengths: FloatArray, episodes: FloatArray, steps: FloatArray
) -> int:
    """Return how many first rows [R] have a mean return that says nothing about the start.

    The first episodes that end are those that end at once. At most a fifth of the rows are counted,
    and none unless the return falls when longer episodes end. Where most of the steps are those of
    ended episodes, it is a real fall. (An estimated number of episodes accounts for all steps.)
    """
    sizes = lengths if np.isfinite(lengths).any() else episodes
    settled = sizes >= SETTLED * median_of_finite(sizes)
    count = min(int(np.argmax(settled)), scores.size // 5) if settled.any() else 0
    if not count or scores[:count].mean() <= scores[count : 2 * count].mean():
        return 0
    ended, taken = float(np.nansum((lengths * episodes)[:count])), float(steps[count - 1])
    return 0 if ended > taken / 2 and not math.isclose(ended, taken) else count


def is_constant(returns: FloatArray, spread: float = CONSTANT) -> bool:
    """Return whether there are returns [R], and all are one number but for a part ``spread``."""
    return returns.size > 0 and bool(np.ptp(returns) <= spread * np.abs(returns).max())


def is_at_ceiling(scores: FloatArray) -> bool:
    """Return whether scores [R] (higher is better) are at a ceiling, as where a task is solved.

    It is the best score and twice as frequent as any other; some are clearly worse, and the last
    tenth is at it as often. Equal scores have none: a reward that is never found looks the same.
    """
    if not scores.size:
        return False
    best = float(scores.max())
    at = scores >= best - CONSTANT * abs(best)
    # In most runs hardly a score is as good as the best: the rest need not be counted.
    if at.mean() < CEILING or 1 - at.mean() < BELOW:
        return False
    most_of_others = np.unique(scores[~at], return_counts=True)[1].max()
    lately = at[-math.ceil(scores.size / 10) :].mean()
    return bool(at.sum() >= 2 * most_of_others and lately >= CEILING)


def keep_finite(values: FloatArray) -> FloatArray:
    """Return the values [at most R] that are finite, in their order."""
    return values[np.isfinite(values)]


def median_of_finite(values: FloatArray) -> float:
    """Return the median of the finite values [R], NaN if there is none."""
    finite = keep_finite(values)
    return median(finite) if finite.size else math.nan


def median(values: FloatArray) -> float:
    """Return the median of values [N], N > 0.

    It is that of NumPy, NaN included, in a fifth of the time: the rules take many, of few values.
    """
    ordered, middle = np.sort(values), values.size // 2
    if math.isnan(ordered[-1]):
        return math.nan
    if values.size % 2:
        return float(ordered[middle])
    return float((ordered[middle - 1] + ordered[middle]) / 2)


def quantile(values: FloatArray, share: float) -> float:
    """Return a quantile of values [N], N > 0, none of them NaN, as NumPy interpolates it.

    In a fifth of NumPy's time.
    """
    ordered, position = np.sort(values), share * (values.size - 1)
    low = int(position)
    high, rest = min(low + 1, values.size - 1), position - low
    below, above = float(ordered[low]), float(ordered[high])
    # From the nearer end, so that it is exact at both.
    step = above - below
    return below + step * rest if rest < 0.5 else above - step * (1 - rest)


def slide_mean(values: FloatArray, size: int) -> FloatArray:
    """Return the mean of each ``size`` neighbours: values [R] -> [R - size + 1]."""
    return np.lib.stride_tricks.sliding_window_view(values, size).mean(axis=1)


def pool_scores(
    scores: FloatArray, episodes: FloatArray, fewest: int
) -> tuple[IndexArray, FloatArray, FloatArray]:
    """Pool neighbouring rows until each holds at least ``fewest`` episodes.

    Args:
        scores: [R]; rows without a finite one are left out.
        episodes: [R] that each score is the mean of.
        fewest: of a pool; an incomplete one at the end is left out.

    Returns:
        The last row [P] of each pool, its mean over episodes [P] and their number [P].
    """
    rows: list[int] = []
    means: list[float] = []
    counts: list[float] = []
    count = total = 0.0
    for row, (score, finished) in enumerate(zip(scores, episodes, strict=True)):
        # Weighted by episodes, so that a row with two lucky ones counts for no more than those two.
        if math.isfinite(score):
            count, total = count + finished, total + finished * score
        if count >= fewest:
            rows.append(row)
            means.append(float(total / count))
            counts.append(float(count))
            count = total = 0.0
    return np.array(rows, np.intp), np.array(means), np.array(counts)


def _gain(r: FloatArray, start: int) -> tuple[float, float, float]:
    """Scores [R] -> the gain from the mean of the first rows, its standard error, their size."""
    last = math.ceil(r.size / 3)
    # The end has enough rows for a median, which a few collapsed rows do not move. The start is a
    # handful of rows, whose mean is less noisy than their median.
    first, plateau = float(r[:start].mean()), median(r[-last:])
    # Around a line, because a score that still rises in the last third is progress, not noise. The
    # line costs two degrees of freedom, so at least six rows are used.
    around = fit_line(r[-max(last, 6) :])[1]
    sd = root_sum_of_squares(around) / math.sqrt(around.size - 2)
    early_sd = max(sd, estimate_score_sd(r[: max(last, 6)]))
    error = math.hypot(sd * math.sqrt(math.pi / 2 / last), early_sd / math.sqrt(start))
    return plateau - first, error, max(abs(first), abs(plateau))


def estimate_jump_sd(values: FloatArray) -> float:
    """The standard deviation of the jumps from row to row: values [R], R > 1 -> at least 0.

    By their median size around their median, so that neither a slope nor a leap is noise.
    """
    jumps = np.diff(values)
    # The factor converts the median absolute deviation of normal noise to a standard deviation.
    return 1.4826 * median(np.abs(jumps - median(jumps)))


def estimate_score_sd(values: FloatArray) -> float:
    """The standard deviation of one row by the jumps between rows: values [R], R > 1."""
    # A jump is the difference of two scores, so its variance is twice that of one score.
    return estimate_jump_sd(values) / math.sqrt(2)


def kendall_tau(values: FloatArray) -> float:
    """The share of pairs of rows that rise minus the share that falls: values [R] -> -1 to 1."""
    if values.size < 2:
        return 0.0
    if values.size > TREND_BLOCKS:
        # Means instead of single rows: the noise of each shrinks with its rows, so that a slow rise
        # shows in a long run. A return of 0 or 1 in every row shows one in no other way.
        first = np.linspace(0, values.size, TREND_BLOCKS, endpoint=False).astype(int)
        values = np.add.reduceat(values, first) / np.diff(first, append=values.size)
    earlier, later = values[:, None], values[None, :]
    ordered = _pairs_in_order(values.size)
    # Ties count in neither number but stay in the denominator: a flat score has a tau of 0.
    rising = np.count_nonzero((later > earlier) & ordered)
    falling = np.count_nonzero((later < earlier) & ordered)
    return (rising - falling) / (values.size * (values.size - 1) / 2)


@cache
def _pairs_in_order(rows: int) -> BoolArray:
    return np.tri(rows, k=-1, dtype=np.bool_).T


def fit_line(values: FloatArray) -> tuple[float, FloatArray]:
    """Return the slope of the straight line through values [R], R > 1, and what is around it."""
    # With centred times slope and level are independent, so the fit needs no linear solver.
    t = np.arange(values.size) - (values.size - 1) / 2
    level = values - values.mean()
    slope = float(t @ level) / float(t @ t)
    return slope, level - t * slope


def root_sum_of_squares(values: FloatArray) -> float:
    """The Euclidean norm: values [R] -> at least 0, also where their squares overflow."""
    largest = float(np.abs(values).max(initial=0.0))
    if not LARGE < largest < math.inf:
        return math.sqrt(float(values @ values))
    return largest * math.sqrt(float(np.square(values / largest).sum()))


def average_errors(errors: FloatArray, weights: FloatArray | None = None) -> float:
    """Return the standard error of the mean of values with these errors [N].

    Args:
        errors: of each value, independent of those of the others.
        weights: of each value [N], with a sum of 1; equal by default.
    """
    shares = np.full(errors.size, 1 / errors.size) if weights is None else weights
    return root_sum_of_squares(shares * errors)


def estimate_row_noise(scores: FloatArray) -> float:
    """Return the standard deviation of a row, from the jumps to the next.

    By the larger of their median size and that of which a tenth are larger: the median of rare
    rewards is 0, and of heavy tails small. One jump, the fall itself, moves neither in long runs.
    """
    # Jumps instead of deviations from the mean, since a trend is not noise. The factors convert
    # quantiles of normal noise to its standard deviation and a jump to one row.
    jumps = np.abs(np.diff(scores))
    middle = median(jumps)
    large = quantile(jumps, 0.9) if jumps.size >= FEWEST_JUMPS else 0.0
    return float(max(1.4826 * middle, large / 1.645)) / math.sqrt(2)
