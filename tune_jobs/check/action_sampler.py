"""Probe ``sampler``: do sampled actions match their log-probabilities, masks and spaces?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from gymnasium.vector.utils import batch_space, iterate

from algos.actions.choice_values import BinnedValue
from algos.actions.choice_with_value import ChoiceWithValueHead
from algos.actions.choices import DiscreteHead, MultiDiscreteHead
from algos.actions.head import ActionHead
from algos.actions.topk import TopK, TopKHead
from algos.actions.values import BoxHead
from algos.models.base import MASK, PolicyModule
from envs.contract.scalar_actions import restore_scalars
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import sample_random_play, to_named_arrays
from tune_jobs.check.statistics import compute_frequencies_p_value

DRAWS = 4000
"""Actions drawn per observation: enough to detect a cell of 12 % instead of 10 %."""
MIN_DRAWS, MAX_ENTRIES = 500, 2**26
"""Minimum number of draws, and the maximum number of entries of all copies of one observation."""
OBSERVATIONS = 4
"""Number of observations for which actions are drawn."""
RETRY_LEVEL, LEVEL = 0.02, 1e-3
"""A p-value below the first repeats the draws; a second one below ``LEVEL`` is a finding."""
ERRORS = 5.0
"""Standard errors between the mean of -log p and the entropy above which they differ."""

Array: TypeAlias = np.ndarray[Any, Any]
Columns: TypeAlias = Mapping[str, Array]
Cells: TypeAlias = tuple[dict[str, Array], Array, Array]
"""Action columns [M] at the middle of each cell, widths [M] and the draws in each [M]."""

MAX_CELLS = 2000
"""Number of cells above which an action space is not enumerated."""
VALUE_CELLS = 200
"""Number of cells of a value without bins."""


def probe_sampler(target: CheckTarget, seconds: float) -> ProbeResult:
    """Compare the actions that the policy draws with their log-probabilities."""
    outcome = ProbeResult()
    module, deadline = target.module, target.clock() + seconds
    sample = sample_random_play(target, seconds).observations
    # Spread over the whole play, since observations near each other have nearly the same policy.
    ids = np.unique(np.linspace(0, len(sample) - 1, OBSERVATIONS).astype(int))
    tests: list[dict[str, Any]] = []
    for k, i in enumerate(ids):
        # At least one observation is tested, however short the time.
        if tests and target.clock() > deadline:
            break
        tests.append(_test_draws(module, sample[i], k))
        if (tests[-1]["p"] or 1) <= RETRY_LEVEL:  # repeated, as one small p-value may be chance
            tests[-1] = _test_draws(module, sample[i], 1000 + k)
    outcome.figures = {"draws": sum(f["draws"] for f in tests)} | {
        name: worst([f[name] for f in tests if f[name] is not None], default=None)
        for name, worst in (
            ("illegal", max),
            ("p", min),
            ("mass", _find_furthest_mass),
            ("errors", max),
        )
    }
    _judge_figures(outcome, tests[0]["draws"])
    count = 4 if isinstance(module.head, TopKHead) else 256  # a graph takes 1 MB
    action, _, _ = module.act(_repeat(module, sample[0], count), torch.Generator().manual_seed(9))
    if alteration := _describe_alteration(
        module.head, {name: part.numpy() for name, part in action.items()}
    ):
        outcome.add_finding("action_altered", "stop", alteration)
    return outcome


def _test_draws(module: PolicyModule, observation: Columns, seed: int) -> dict[str, Any]:
    """Draw many actions for one observation and return the statistics."""
    if isinstance(module.head, TopKHead):
        return _test_ordered_picks(module, observation, seed)
    size = sum(np.size(part) for part in observation.values())
    # Each draw repeats the observation: images would exhaust the memory.
    draws = int(np.clip(MAX_ENTRIES // max(size, 1), MIN_DRAWS, DRAWS))
    batch = _repeat(module, observation, draws)
    action, logp, _ = module.act(batch, torch.Generator().manual_seed(seed))
    row = {name: torch.from_numpy(column[:1]) for name, column in batch.items()}
    with torch.no_grad():
        outputs, _ = module.compute_outputs(module.normalise_observations(row))
        surprise, entropy = -logp.double(), float(module.dist(outputs, row).entropy()[0])
    # The mean of -log p estimates the entropy. The floor is for a uniform policy, where all -log p
    # are equal and the true error is rounding.
    error = max(float(surprise.std()) / np.sqrt(draws), 1e-6)
    figures: dict[str, Any] = {"draws": draws, "illegal": None, "p": None, "mass": None}
    figures["errors"] = abs(float(surprise.mean()) - entropy) / error
    # A masked action must have probability zero, so a single one drawn is a fault.
    if MASK in batch and module.head.mask_size:
        figures["illegal"] = _count_illegal(module.head, batch[MASK][0], action)
    table = count_cells(module.head, {name: part.numpy() for name, part in action.items()})
    if table is None:
        return figures
    columns, widths, counts = table
    rows = {name: part.expand(len(counts), *part.shape[1:]) for name, part in row.items()}
    with torch.no_grad():
        # A density times the width of its cell is the mass of a value; choices have width 1.
        all_actions = {name: torch.from_numpy(column) for name, column in columns.items()}
        dist = module.dist(outputs.expand(len(counts), *outputs.shape[1:]), rows)
        masses = dist.logp(all_actions).double().exp().numpy() * widths
    return figures | {"mass": float(masses.sum()), "p": compute_frequencies_p_value(counts, masses)}


def _count_illegal(head: ActionHead, mask: Array, action: Mapping[str, Any]) -> int:
    """Count the drawn actions [N] that take an option which the mask [choices] forbids."""
    if isinstance(head, MultiDiscreteHead):
        # An option's number among those of all choices, which follow one another in the mask.
        first = np.cumsum([0, *head.sizes[:-1]])
        return int((mask[action["choices"].numpy() + first] == 0).any(-1).sum())
    return int((mask[action["choice"].numpy()] == 0).sum())


def _test_ordered_picks(module: PolicyModule, observation: Columns, seed: int) -> dict[str, Any]:
    """Draw ordered picks from the row with the most orders that can be enumerated."""
    rows = {n: torch.from_numpy(c) for n, c in _repeat(module, observation, 1).items()}
    with torch.no_grad():
        outputs, _ = module.compute_outputs(module.normalise_observations(rows))
        dist = cast("TopK", module.dist(outputs, rows))
    legal = dist.mask[0].sum(-1).tolist()
    # Ordered picks without replacement: the number of sequences grows factorially.
    orders = [math.perm(count, min(dist.k, count)) for count in legal]
    row = max(range(len(legal)), key=lambda r: orders[r] if orders[r] <= MAX_CELLS else 0)
    figures: dict[str, Any] = {"illegal": None, "p": None, "mass": None, "errors": 0.0}
    figures["draws"] = DRAWS
    if not 1 < orders[row] <= MAX_CELLS:
        return figures

    def copies(count: int) -> TopK:
        shape = (count, 1, dist.logits.shape[-1])
        logits, mask = (part[:, row, None].expand(shape) for part in (dist.logits, dist.mask))
        return TopK(logits, mask, dist.k)

    drawn = copies(DRAWS).sample(torch.Generator().manual_seed(seed))["picks"][:, 0].tolist()
    free = dist.mask[0, row].nonzero()[:, 0].tolist()
    # Where fewer options are legal than picks are made, the head fills up with -1.
    padding = (-1,) * max(dist.k - len(free), 0)
    all_actions = [p + padding for p in itertools.permutations(free, dist.k - len(padding))]
    index = {picks: i for i, picks in enumerate(all_actions)}
    tests = [index[tuple(picks)] for picks in drawn if tuple(picks) in index]
    masses = (
        copies(len(all_actions)).row_logp({"picks": torch.tensor(all_actions)[:, None]}).exp()[:, 0]
    )
    counts = np.bincount(tests, minlength=len(all_actions))
    # No draw among the legal orders is the worst mismatch there is.
    figures["p"] = compute_frequencies_p_value(counts, masses.double().numpy()) if tests else 0.0
    return figures | {"illegal": len(drawn) - len(tests), "mass": float(masses.sum())}


def _judge_figures(outcome: ProbeResult, draws: int) -> None:
    figures = outcome.figures
    if figures["illegal"]:
        outcome.add_finding(
            "mask_not_honoured",
            "stop",
            f"{figures['illegal']} of {draws} actions drawn for one observation were illegal by "
            "its mask",
        )
    wrong: list[str] = []
    # A tolerance of 1 %, as continuous densities are summed over cells of finite width.
    if figures["mass"] is not None and abs(figures["mass"] - 1) > 0.01:
        wrong.append(f"the probabilities of all actions sum to {figures['mass']:.4g}")
    if figures["p"] is not None and figures["p"] <= LEVEL:
        wrong.append(f"the frequencies of {draws} draws do not match them (p = {figures['p']:.2g})")
    if figures["errors"] > ERRORS:
        wrong.append(
            f"the mean of -log p is {figures['errors']:.0f} standard errors from the entropy"
        )
    if wrong:
        outcome.add_finding("sampler_mismatch", "stop", "; ".join(wrong))


def _describe_alteration(head: ActionHead, action: Columns) -> str:
    """Return how an action changes between policy and environment; empty if it does not."""
    passed = head.to_env_action(action)
    # Twice: the first conversion may clip a value to its bounds, a second must not change it.
    again = head.to_env_action(head.to_action_columns(passed))
    for name, part in to_named_arrays(passed).items():
        if not np.allclose(part, to_named_arrays(again)[name], rtol=1e-4, atol=1e-5):
            return f"{name} of an action changes when it is stored and converted again"
    stored = head.to_action_columns(passed)
    for name, part in action.items():
        # Values may be clipped on their way to the environment; choices must arrive as drawn.
        if np.issubdtype(part.dtype, np.integer) and not np.array_equal(part, stored[name]):
            return f"the {name} that the environment gets is not the one that was drawn"
    rows = iterate(batch_space(head.space, len(next(iter(action.values())))), passed)
    outside = sum(restore_scalars(head.space, row) not in head.space for row in rows)
    return f"{outside} drawn actions are outside of {head.space}" if outside else ""


def _repeat(module: PolicyModule, observation: Columns, count: int) -> dict[str, Array]:
    """Return the columns that a policy reads in ``count`` episodes that begin alike."""
    batch = {
        name: np.repeat(np.asarray(part)[None], count, axis=0) for name, part in observation.items()
    }
    return module.recall(batch, module.initial_state(count))[0]


def _find_furthest_mass(masses: list[float], default: float | None) -> float | None:
    return max(masses, key=lambda mass: abs(mass - 1), default=default)


def count_cells(head: ActionHead, action: Columns) -> Cells | None:
    """Return the cells of a head's actions and the number of drawn actions [N] in each.

    None for several values at once and for spaces with too many actions.
    """
    if isinstance(head, DiscreteHead):
        return _count_choices(head.choices, action["choice"])
    if isinstance(head, MultiDiscreteHead) and np.prod(np.array(head.sizes, float)) <= MAX_CELLS:
        all_actions = np.stack([c.reshape(-1) for c in np.indices(head.sizes)], 1)
        index = np.ravel_multi_index(tuple(action["choices"].T), tuple(head.sizes))
        counts = np.bincount(index, minlength=len(all_actions))
        return {"choices": all_actions}, np.ones(len(all_actions)), counts
    if isinstance(head, ChoiceWithValueHead) and head.choices * VALUE_CELLS <= MAX_CELLS:
        return _count_choices_with_values(head, action)
    if isinstance(head, BoxHead) and head.size == 1:
        drawn = action["value"][:, 0]
        # The cells must reach beyond the draws, or the tails would be missing from the sum to 1.
        margin = np.ptp(drawn) + 1e-3
        edges = np.linspace(drawn.min() - margin, drawn.max() + margin, 5 * VALUE_CELLS + 1)
        middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)[:, None]
        return {"value": middles}, np.diff(edges), np.histogram(drawn, edges)[0]
    return None


def _count_choices(count: int, drawn: Array) -> Cells:
    return {"choice": np.arange(count)}, np.ones(count), np.bincount(drawn, minlength=count)


def _count_choices_with_values(head: ChoiceWithValueHead, action: Columns) -> Cells:
    if head.value is BinnedValue:
        size = head.per_choice - 1
        middles, widths = np.linspace(-1, 1, size), np.ones(size)
        index = np.rint((action["value"] + 1) / 2 * (size - 1)).astype(int)
    else:
        size, edges = VALUE_CELLS, np.linspace(-1, 1, VALUE_CELLS + 1)
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        # A value exactly on the lowest edge would get the index -1.
        index = np.clip(np.searchsorted(edges, action["value"]) - 1, 0, size - 1)
    columns = {
        "choice": np.repeat(np.arange(head.choices), size),
        "value": np.tile(middles, head.choices).astype(np.float32),
    }
    counts = np.bincount(action["choice"] * size + index, minlength=head.choices * size)
    return columns, np.tile(widths, head.choices), counts
