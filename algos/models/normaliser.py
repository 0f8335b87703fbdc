"""Running mean and variance: observations are normalised and value targets standardised by them.

The statistics are buffers of the network, so that they travel with its weights: to runners, into
checkpoints and exports. The learner, which sees the rows of all runners, updates them once per
update (``learning/learner.py``); during a rollout and its update they are fixed, so that the
log-probabilities of learning equal those of acting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from algos.actions.array_backend import Array, get_array_module, to_float32
from rungwise.validation import InputError

LIMIT = 10.0
"""Deviations from the mean at which a normalised observation is clipped, as in OpenAI Baselines."""
EPSILON = 1e-12
"""Added to a variance: deviations below 1e-6 count as none."""
CONSTANT_VARIANCE = 1e-4 * EPSILON
"""Variance below which a standardised entry deviates by less than a hundredth: as good as none."""
CHUNK_ROWS = 1024
"""Rows whose sums are taken at a time: in float64 all rows at once could exhaust the memory."""

SumOverLearners = Callable[[Tensor], Tensor]
"""Return the sum of a tensor over all learners."""


class RunningMoments(nn.Module):
    """Mean and variance, by entry, of all rows so far."""

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        # float64: in float32 a count stands still at 2**24 rows. Without rows, standardising
        # changes nothing.
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))
        self._arrays: list[Array] = []
        self._arrays_of = (0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether no row has been seen."""
        return not self.count

    @property
    def constant_entries(self) -> int:
        """Number of entries without any spread over the rows so far; all of them without rows."""
        if self.is_empty:
            return self.variance.numel()
        return int((self.variance < CONSTANT_VARIANCE).sum())

    @torch.no_grad()
    def update(self, rows: Tensor, sum_over_learners: SumOverLearners) -> None:
        """Merge rows [N, *shape] of this learner, and those of the others, into the moments.

        Chan, Golub and LeVeque 1983, eq. 1.5. The squares are taken around the mean of the new
        rows, in a second pass: sums of squares lose small deviations of large numbers.
        """
        parts = rows.split(CHUNK_ROWS)
        total = sum_over_learners(_add_up(part.double().sum(0) for part in parts))
        added = sum_over_learners(torch.full_like(self.count, len(rows)))
        mean = total / added
        squares = sum_over_learners(
            _add_up((part.double() - mean).square().sum(0) for part in parts)
        )
        count, shift = self.count + added, mean - self.mean
        squares += self.variance * self.count + shift.square() * self.count * added / count
        self.count.copy_(count)
        self.mean.add_(shift * added / count)
        self.variance.copy_(squares / count)

    def rescale(self, factor: float) -> None:
        """Make the moments those of all rows so far, each multiplied by a factor."""
        self.mean.mul_(factor)
        self.variance.mul_(factor**2)

    def standardise(self, x: Array) -> Array:
        """Return x [N, *shape] in deviations from the mean, in the type that results."""
        mean, deviation = self._get_mean_and_deviation(x)
        return (x - mean) / deviation

    def restore(self, x: Array) -> Array:
        """Return the numbers whose standardised ones are x [N, *shape]."""
        mean, deviation = self._get_mean_and_deviation(x)
        return x * deviation + mean

    def _get_mean_and_deviation(self, like: Array) -> tuple[Array, Array]:
        """Return both, of the array's kind; the same numbers for both kinds.

        In float32; but the mean of float64 as it is, as 1e7 in float32 is off by up to 0.5.
        """
        wide = like.itemsize == 8
        if not isinstance(like, np.ndarray):
            return self._round_mean(wide), self._round_deviation()
        # Acting on numpy is for speed: only changed buffers (or those of a copy) are converted.
        variance: Any = self.variance
        current = variance.data_ptr(), variance._version
        if self._arrays_of != current:
            tensors = self._round_mean(False), self._round_mean(True), self._round_deviation()
            self._arrays, self._arrays_of = [x.cpu().numpy().copy() for x in tensors], current
        return self._arrays[wide], self._arrays[2]

    # At least one axis: the type of a tensor without any does not count in arithmetic.

    def _round_mean(self, wide: bool) -> Tensor:
        return torch.atleast_1d(self.mean if wide else self.mean.float())

    def _round_deviation(self) -> Tensor:
        return torch.atleast_1d((self.variance + EPSILON).sqrt().float())


class ObservationNormaliser(nn.Module):
    """The moments of each normalised observation column."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        # torch forbids the point in names; quoting first keeps `a/b` and `a.b` apart.
        self.names = {name: quote(name, safe="").replace(".", "/") for name in shapes}
        self.moments = nn.ModuleDict(
            {self.names[name]: RunningMoments(shape) for name, shape in shapes.items()}
        )

    @property
    def is_empty(self) -> bool:
        """Whether no row has been seen."""
        return all(moments.is_empty for moments in self._by_column().values())

    def update(self, columns: Mapping[str, Tensor], sum_over_learners: SumOverLearners) -> None:
        """Merge observation columns [N, ...] into the moments."""
        for name, moments in self._by_column().items():
            moments.update(columns[name], sum_over_learners)

    def compute_constant_fraction(self) -> float:
        """Return the fraction of normalised entries in which all rows so far were alike."""
        moments = self._by_column().values()
        entries = sum(m.variance.numel() for m in moments)
        return sum(m.constant_entries for m in moments) / max(entries, 1)

    def normalise(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return the columns [N, ...] with normalised observations, clipped, in float32."""
        normalised = dict(columns)
        for name, moments in self._by_column().items():
            column = moments.standardise(columns[name])
            lib = get_array_module(column)
            normalised[name] = to_float32(lib.clip(column, -LIMIT, LIMIT))
        return normalised

    def _by_column(self) -> dict[str, Any]:
        return {name: self.moments[key] for name, key in self.names.items()}


def make_observation_normaliser(
    wanted: bool | Literal["auto"],
    columns: Mapping[str, spaces.Space[Any]],
    any_size: bool,
    depth: int = 1,
) -> ObservationNormaliser | None:
    """Return the normaliser of the observation columns that the setting selects; None for none.

    Args:
        wanted: the setting: all float columns, none, or `auto`: those that are neither images nor
            known to lie between -1 and 1.
        columns: the spaces of the columns that may be normalised, by name.
        any_size: whether the network accepts any number of nodes: its columns hold one entry for
            each node, in any order, and an entry has no statistics of its own.
        depth: observations in a stack; each has statistics of its own.

    Raises:
        InputError: the setting is true, but no column can be normalised.
    """
    able = {} if any_size else {n: s for n, s in columns.items() if _is_float(s)}
    if wanted is True and not able:
        why = "this network reads a set of any size" if any_size else "no part of it is a float Box"
        raise InputError(
            "settings.normalise_observations is true, but it would do nothing: the observation is "
            f"{', '.join(map(str, columns.values()))}, and {why}. Set it to auto."
        )
    # Judged before it is stacked: a stack of tables has the three axes of an image.
    stack = (depth,) if depth > 1 else ()
    chosen = {
        name: (*stack, *(space.shape or ()))
        for name, space in able.items()
        if wanted is True or (wanted == "auto" and not (_is_image(space) or _has_unit_range(space)))
    }
    return ObservationNormaliser(chosen) if chosen else None


def _is_float(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)


def _is_image(space: spaces.Space[Any]) -> bool:
    # The same thing may be seen anywhere in an image: its pixels share one scale.
    return len(space.shape or ()) >= 3


def _has_unit_range(space: spaces.Space[Any]) -> bool:
    """Return whether all entries are known to lie between -1 and 1."""
    return isinstance(space, spaces.Box) and bool(
        (space.low >= -1).all() and (space.high <= 1).all()
    )


def _add_up(parts: Iterable[Tensor]) -> Tensor:
    """Return the sum of tensors of one shape."""
    total: Any = sum(parts)
    return total
