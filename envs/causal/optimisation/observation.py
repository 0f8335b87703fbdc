"""The observation of CausalOptimisation: rows, and what was set in them.

Observations are functions of :class:`Experiments` alone, which holds no truth, and treat all nodes
alike: renumbering the nodes renumbers the observation.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from envs.contract.pytree import Array, Bools, Floats, Ints

BINS = 5
"""Number of equal parts of a domain into which the values set on a node are sorted."""
NATURAL = 7
"""Figures of each node in rows without an intervention; see :func:`natural`."""
FEATURES = 9 + NATURAL + 2 * BINS
"""Figures of each node; see :func:`statistics`."""
CONTEXT = 5
"""Figures of the whole; see :func:`statistics`."""
CHANNELS = 3
"""Figures of each node in each row; see :func:`rows`."""
ALONE = 3
"""Which of the natural figures is the effect that the regression on the node alone promises."""


@dataclasses.dataclass(frozen=True)
class Experiments:
    """Observations of B experimenters, of n nodes in O rows and up to T interventions."""

    target: Ints
    """[B]: the node to be driven down."""
    allowed: Bools
    """[B, n]: which nodes may be set."""
    real: Bools
    """[B, n]: which nodes there are; others fill up smaller models."""
    low: Floats
    """[B, n]: the smallest value that each may be set to."""
    high: Floats
    """[B, n]: the largest."""
    observed: Floats
    """[B, O, n]: rows without an intervention."""
    natural: Floats
    """[B, n, NATURAL]: what these say of each node."""
    means: Floats
    """[B, T, n]: the mean of the rows under each intervention; 0 for those still to come."""
    is_set: Bools
    """[B, T, n]: which nodes were set then."""
    position: Floats
    """[B, T, n]: where in their domains, from -1 to 1; 0 where they were not."""
    step: Ints
    """[B]: interventions done."""

    @property
    def done(self) -> Bools:
        """[B, T]: which interventions have been done."""
        return np.arange(self.means.shape[1]) < self.step[:, None]

    @property
    def outcomes(self) -> Floats:
        """[B, T]: the target's mean under each intervention."""
        return self.means[np.arange(len(self.target)), :, self.target]

    def standardise(self) -> Floats:
        """Return outcomes [B, T] in standard deviations from the observed mean; 0 if not done."""
        y = self.observed[np.arange(len(self.target)), :, self.target]
        centred = self.outcomes - y.mean(axis=1, keepdims=True)
        return np.where(self.done, centred / _spread(y), 0.0)


def describe_observed_rows(
    observed: Floats, target: Ints, real: Bools, low: Floats, high: Floats
) -> Floats:
    """Return figures [B, n, NATURAL] of each node from rows [B, O, n] without an intervention.

    Its mean and spread in its domain; of its relation to the target [B] the correlation, the effect
    of half its domain that the regression on it alone promises (``ALONE``), the same for the
    regression on all nodes, and the correlation once all others are accounted for; and the share of
    its own variance that all others account for. A small ridge decides where the rows are too few
    for as many nodes. Effects are in the target's standard deviations, on the scale of arsinh.
    """
    every, n = np.arange(len(target)), observed.shape[2]
    # A node without a domain has width 0.
    half = np.maximum(high - low, 1e-9) / 2
    x = np.where(real[:, None], observed, 0.0).astype(np.float64)
    mean = x.mean(axis=1)
    x = x - mean[:, None]
    # The ridge also makes the matrix invertible for constant columns, such as fillers.
    covariance = x.mT @ x / x.shape[1] + 1e-3 * np.eye(n)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    spread = np.sqrt(variance)
    target_spread = spread[every, target, None]
    with_target = covariance[every, target]
    # The precision matrix gives regression on all nodes and partial correlations at once.
    inverse = np.linalg.inv(covariance)
    diagonal = np.diagonal(inverse, axis1=1, axis2=2)
    # For a precision matrix P, -P_ti / P_tt is the regression coefficient of t on i, and 1 - 1 /
    # (P_ii C_ii) the share of i's variance that the others account for.
    row, of_target = inverse[every, target], diagonal[every, target, None]
    figures = (
        (mean - (low + high) / 2) / half,
        spread / half,
        with_target / (spread * target_spread),
        # arsinh is linear near 0 and logarithmic far out: effects of different models stay
        # comparable without clipping.
        np.arcsinh(with_target / variance * half / target_spread),
        np.arcsinh(-row / of_target * half / target_spread),
        -row / np.sqrt(diagonal * of_target),
        1 - 1 / (diagonal * variance),
    )
    table = np.stack(figures, axis=2)
    table[every, target, 2:-1] = 0.0  # the target says nothing of itself
    return table


def statistics(experiments: Experiments) -> dict[str, Array]:
    """Return ``nodes`` [B, n, FEATURES], ``mask`` [B, n] and ``context`` [B, CONTEXT].

    Float32, about unit scale. Of each node: whether it is the target, whether it may be set, its
    natural figures, and what :func:`_describe_interventions` says. Of the whole [B, CONTEXT]: time
    gone, time left, the best and the last outcome, and the target's spread in its domain. Outcomes
    are in observed standard deviations, on the scale of arsinh.
    """
    B, T, n = experiments.means.shape
    every, progress = np.arange(B), experiments.step / T
    outcome = experiments.standardise()
    is_target = np.arange(n) == experiments.target[:, None]
    nodes = np.empty((B, n, FEATURES), np.float32)
    nodes[:, :, 0], nodes[:, :, 1] = is_target, experiments.allowed
    nodes[:, :, 2 : 2 + NATURAL] = experiments.natural
    nodes[:, :, 2 + NATURAL :] = _describe_interventions(experiments, outcome)
    # The columns of nodes that do not exist stay empty, by which a model knows them.
    nodes = np.clip(nodes, -10, 10) * experiments.real[:, :, None]
    # Before the first step this reads column 0, which is still 0.
    last = outcome[every, np.maximum(experiments.step - 1, 0)]
    spread = experiments.natural[every, experiments.target, 1]
    context = (progress, 1 - progress, np.arcsinh(outcome.min(axis=1)), np.arcsinh(last), spread)
    return {
        "nodes": nodes.astype(np.float32),
        "mask": experiments.allowed.astype(np.float32),
        "context": np.clip(np.stack(context, axis=1), -10, 10).astype(np.float32),
    }


def _describe_interventions(experiments: Experiments, outcome: Floats) -> Floats:
    """Return figures [B, n, 7 + 2 * BINS] of each node from outcomes [B, T] of interventions.

    How often it was set; whether and where it was set last; the slope of the outcomes on its
    values; the best mean outcome among the parts of its domain, and how far behind the best of all
    that is; the correlation with the target in rows in which it was not set; then for each part of
    its domain a mean outcome, shrunk to 0 by one imagined row, and a figure that grows with how
    often it was tried.
    """
    every, last = np.arange(len(outcome)), np.maximum(experiments.step - 1, 0)
    part = np.minimum((experiments.position + 1) / 2 * BINS, BINS - 1).astype(np.int64)
    # [B, T, n, BINS]: one-hot parts, 0 where the node was not set.
    one_hot = ((part[..., None] == np.arange(BINS)) & experiments.is_set[..., None]).astype(
        np.float64
    )
    counts = one_hot.sum(axis=1)
    shrunk = np.einsum("btnk,bt->bnk", one_hot, outcome) / (counts + 1)
    best = shrunk.min(axis=2)
    along = np.einsum("btn,bt->bn", experiments.position, outcome)
    figures = (
        np.log1p(counts.sum(axis=2)) / 2,
        experiments.is_set[every, last],
        experiments.position[every, last],
        np.arcsinh(along / ((experiments.position**2).sum(axis=1) + 1)),
        np.arcsinh(best),
        np.arcsinh(best - best.min(axis=1, keepdims=True)),
        _unset_correlation(experiments, outcome),
    )
    alone: Floats = np.stack(figures, axis=2).astype(np.float64)
    return np.concatenate([alone, np.arcsinh(shrunk), counts / (counts + 1)], axis=2)


def _unset_correlation(experiments: Experiments, outcome: Floats) -> Floats:
    """Correlate nodes and outcomes [B, T] over interventions that set other nodes: [B, n]."""
    # Interventions that set the node itself say nothing about how it varies with the target.
    w = (experiments.done[:, :, None] & ~experiments.is_set).astype(np.float64)
    count = np.maximum(w.sum(axis=1, keepdims=True), 1)
    x = (experiments.means - (w * experiments.means).sum(axis=1, keepdims=True) / count) * w
    y = outcome[:, :, None]
    y = (y - (w * y).sum(axis=1, keepdims=True) / count) * w
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return (x * y).sum(axis=1) / np.maximum(scale, 1e-6)


def rows(experiments: Experiments) -> Array:
    """Return rows [B, O + T, n, CHANNELS], float32: the newest last, zeros before the first.

    Channels: the value, standardised by one mean and spread over all rows and nodes; whether the
    node is the target; whether it was set. An intervention is one row, the mean of its rows.
    """
    B, T, n = experiments.means.shape
    length = experiments.observed.shape[1] + T
    values = np.concatenate([experiments.observed, experiments.means], axis=1)
    was_set = np.concatenate([np.zeros_like(experiments.observed), experiments.is_set], axis=1)
    # Observed rows and finished interventions; later columns are padding.
    is_filled = np.arange(length) < (length - T + experiments.step)[:, None]
    exists = experiments.real[:, None] & is_filled[:, :, None]
    count = np.maximum(exists.sum(axis=(1, 2), keepdims=True), 1)
    centred = (values - (values * exists).sum(axis=(1, 2), keepdims=True) / count) * exists
    scale = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True) / count)
    is_target = (np.arange(n) == experiments.target[:, None])[:, None] & exists
    channels = np.stack([centred / np.maximum(scale, 1e-6), is_target, was_set], axis=3)
    # A rotation by the number of steps to come: padding moves to the front, and the newest row to
    # the end.
    newest_last = (np.arange(length) - (T - experiments.step)[:, None]) % length
    return np.clip(channels[np.arange(B)[:, None], newest_last], -10, 10).astype(np.float32)


def _spread(y: Floats) -> Floats:
    """Return standard deviations [B, 1] of targets [B, O], bounded away from 0."""
    return np.maximum(y.std(axis=1, keepdims=True), 1e-3)
