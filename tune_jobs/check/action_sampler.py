"""Probe ``sampler``: are actions drawn as their log-probabilities say, legally, and passed on?"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from algos.actions.action_heads import (
    BoxHead,
    ChoiceWithValueHead,
    DiscreteHead,
    MultiDiscreteHead,
    TopKHead,
)
from algos.actions.distributions import BinnedValue
from algos.actions.topk import TopK
from algos.models.base import MASK, to_observation_columns
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import sample_random_play
from tune_jobs.check.statistics import compute_frequencies_p_value

DRAWS = 4000
"""Actions drawn for an observation: a cell of 10 % that is really 12 % is found."""
FEW, ENTRIES = 500, 2**26
"""Of large observations fewer: so many entries of all their copies together, and these draws."""
OBSERVATIONS = 4
"""Observations that are drawn for."""
DOUBT, LEVEL = 0.02, 1e-3
"""Below the first p-value it is drawn again; a second one below the other is no chance any more."""
ERRORS = 5.0
"""Standard errors between the mean of -log p and the entropy that are too many."""

Array: TypeAlias = np.ndarray[Any, Any]
Cells: TypeAlias = tuple[dict[str, Array], Array, Array]
"""Action columns [M] at the middle of each cell, widths [M] and the draws in each [M]."""

MOST = 2000
"""Cells beyond which an action space is not enumerated."""
VALUES = 200
"""Cells of a value without bins."""


def probe_sampler(subject: CheckTarget, seconds: float) -> ProbeResult:
    """The policy's head against its own word."""
    outcome = ProbeResult()
    module, deadline = subject.module, time.monotonic() + seconds
    seen = sample_random_play(subject, seconds).observations
    ids = np.unique(np.linspace(0, len(seen) - 1, OBSERVATIONS).astype(int))
    found: list[dict[str, Any]] = []
    for k, i in enumerate(ids):
        if found and time.monotonic() > deadline:
            break
        found.append(_test_draws(module, seen[i], k))
        if (found[-1]["p"] or 1) <= DOUBT:  # what may be chance is drawn again
            found[-1] = _test_draws(module, seen[i], 1000 + k)
    outcome.figures = {"draws": sum(f["draws"] for f in found)} | {
        name: worst([f[name] for f in found if f[name] is not None], default=None)
        for name, worst in (("illegal", max), ("p", min), ("mass", _furthest), ("errors", max))
    }
    _judge(outcome, found[0]["draws"])
    count = 4 if isinstance(module.head, TopKHead) else 256  # a graph takes a megabyte
    action, _, _ = module.act(_repeated(seen[0], count), torch.Generator().manual_seed(9))
    if lost := _lost(module.head, {name: part.numpy() for name, part in action.items()}):
        outcome.add_finding("action_altered", "stop", lost)
    return outcome


def _test_draws(module: Any, observation: Mapping[str, Array], seed: int) -> dict[str, Any]:
    """What many draws for one observation say."""
    if isinstance(module.head, TopKHead):
        return _test_ordered_picks(module, observation, seed)
    size = sum(np.size(part) for part in observation.values())
    draws = int(np.clip(ENTRIES // max(size, 1), FEW, DRAWS))
    batch = _repeated(observation, draws)
    action, logp, _ = module.act(batch, torch.Generator().manual_seed(seed))
    one = {name: torch.from_numpy(column[:1]) for name, column in batch.items()}
    with torch.no_grad():
        outputs, _ = module.compute_outputs(one)
        surprise, entropy = -logp.double(), float(module.dist(outputs, one).entropy()[0])
    error = max(float(surprise.std()) / np.sqrt(draws), 1e-6)
    told: dict[str, Any] = {"draws": draws, "illegal": None, "p": None, "mass": None}
    told["errors"] = abs(float(surprise.mean()) - entropy) / error
    if MASK in batch and "choice" in action:
        legal = batch[MASK][0].astype(bool)
        told["illegal"] = int((~legal[action["choice"].numpy()]).sum())
    table = cells(module.head, {name: part.numpy() for name, part in action.items()})
    if table is None:
        return told
    columns, widths, counts = table
    rows = {name: part.expand(len(counts), *part.shape[1:]) for name, part in one.items()}
    with torch.no_grad():
        every = {name: torch.from_numpy(column) for name, column in columns.items()}
        dist = module.dist(outputs.expand(len(counts), *outputs.shape[1:]), rows)
        masses = dist.logp(every).double().exp().numpy() * widths
    return told | {"mass": float(masses.sum()), "p": compute_frequencies_p_value(counts, masses)}


def _test_ordered_picks(module: Any, observation: Mapping[str, Array], seed: int) -> dict[str, Any]:
    """The same of ordered picks: of the row with the most orders that can all be gone through."""
    rows = {name: torch.from_numpy(c) for name, c in _repeated(observation, 1).items()}
    with torch.no_grad():
        dist: TopK = module._forward(rows)["dist"]
    legal = dist.mask[0].sum(-1).tolist()
    orders = [math.perm(count, min(dist.k, count)) for count in legal]
    row = max(range(len(legal)), key=lambda r: orders[r] if orders[r] <= MOST else 0)
    told: dict[str, Any] = {"illegal": None, "p": None, "mass": None, "errors": 0.0}
    told["draws"] = DRAWS
    if not 1 < orders[row] <= MOST:
        return told

    def copies(count: int) -> TopK:
        shape = (count, 1, dist.logits.shape[-1])
        logits, mask = (part[:, row, None].expand(shape) for part in (dist.logits, dist.mask))
        return TopK(logits, mask, dist.k)

    drawn = copies(DRAWS).sample(torch.Generator().manual_seed(seed))["picks"][:, 0].tolist()
    free = dist.mask[0, row].nonzero()[:, 0].tolist()
    padding = (-1,) * max(dist.k - len(free), 0)
    every = [p + padding for p in itertools.permutations(free, dist.k - len(padding))]
    place = {picks: i for i, picks in enumerate(every)}
    found = [place[tuple(picks)] for picks in drawn if tuple(picks) in place]
    masses = copies(len(every)).row_logp({"picks": torch.tensor(every)[:, None]}).exp()[:, 0]
    counts = np.bincount(found, minlength=len(every))
    told["p"] = compute_frequencies_p_value(counts, masses.double().numpy()) if found else 0.0
    return told | {"illegal": len(drawn) - len(found), "mass": float(masses.sum())}


def _judge(outcome: ProbeResult, draws: int) -> None:
    told = outcome.figures
    if told["illegal"]:
        outcome.add_finding(
            "mask_not_honoured",
            "stop",
            f"{told['illegal']} of {draws} actions drawn for one observation were illegal by its "
            "mask",
        )
    wrong: list[str] = []
    if told["mass"] is not None and abs(told["mass"] - 1) > 0.01:
        wrong.append(f"the probabilities of all actions sum to {told['mass']:.4g}")
    if told["p"] is not None and told["p"] <= LEVEL:
        wrong.append(f"the frequencies of {draws} draws do not fit them (p = {told['p']:.2g})")
    if told["errors"] > ERRORS:
        wrong.append(f"the mean of -log p is {told['errors']:.0f} standard errors from the entropy")
    if wrong:
        outcome.add_finding("sampler_mismatch", "stop", "; ".join(wrong))


def _lost(head: Any, action: Mapping[str, Array]) -> str:
    """What the environment would not get as it was drawn, in words; empty if nothing."""
    passed = head.to_env_action(action)
    again = head.to_env_action(head.to_action_columns(passed))
    for name, part in to_named_arrays(passed).items():
        if not np.allclose(part, to_named_arrays(again)[name], rtol=1e-4, atol=1e-5):
            return f"{name} of an action changes when it is stored and passed on again"
    stored = head.to_action_columns(passed)
    for name, part in action.items():
        if np.issubdtype(part.dtype, np.integer) and not np.array_equal(part, stored[name]):
            return f"the {name} that the environment gets is not the one that was drawn"
    outside = sum(row not in head.space for row in _rows(passed, len(next(iter(action.values())))))
    return f"{outside} drawn actions are outside of {head.space}" if outside else ""


def _rows(passed: Any, count: int) -> list[Any]:
    if isinstance(passed, Mapping):
        parts = {name: _rows(part, count) for name, part in passed.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(count)]
    if isinstance(passed, tuple):
        return list(zip(*(_rows(part, count) for part in passed), strict=True))
    return list(passed)


def _repeated(observation: Mapping[str, Array], count: int) -> dict[str, Array]:
    return {
        name: np.repeat(np.asarray(part)[None], count, axis=0) for name, part in observation.items()
    }


def _furthest(masses: list[float], default: float | None) -> float | None:
    return max(masses, key=lambda mass: abs(mass - 1), default=default)


def cells(head: Any, action: Mapping[str, Array]) -> Cells | None:
    """The cells of a head's actions and how many of the drawn ones [N] lie in each.

    None for several values at once and for spaces with too many actions.
    """
    if isinstance(head, DiscreteHead):
        return _choices(head.choices, action["choice"])
    if isinstance(head, MultiDiscreteHead) and np.prod(np.array(head.sizes, float)) <= MOST:
        every = np.stack([c.reshape(-1) for c in np.indices(head.sizes)], 1)
        place = np.ravel_multi_index(tuple(action["choices"].T), tuple(head.sizes))
        return {"choices": every}, np.ones(len(every)), np.bincount(place, minlength=len(every))
    if isinstance(head, ChoiceWithValueHead) and head.choices * VALUES <= MOST:
        return _choices_with_values(head, action)
    if isinstance(head, BoxHead) and head.size == 1:
        drawn = action["value"][:, 0]
        margin = np.ptp(drawn) + 1e-3
        edges = np.linspace(drawn.min() - margin, drawn.max() + margin, 5 * VALUES + 1)
        middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)[:, None]
        return {"value": middles}, np.diff(edges), np.histogram(drawn, edges)[0]
    return None


def _choices(count: int, drawn: Array) -> Cells:
    return {"choice": np.arange(count)}, np.ones(count), np.bincount(drawn, minlength=count)


def _choices_with_values(head: ChoiceWithValueHead, action: Mapping[str, Array]) -> Cells:
    if head.value is BinnedValue:
        size = head.per_choice - 1
        middles, widths = np.linspace(-1, 1, size), np.ones(size)
        place = np.rint((action["value"] + 1) / 2 * (size - 1)).astype(int)
    else:
        size, edges = VALUES, np.linspace(-1, 1, VALUES + 1)
        middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        place = np.clip(np.searchsorted(edges, action["value"]) - 1, 0, size - 1)
    columns = {
        "choice": np.repeat(np.arange(head.choices), size),
        "value": np.tile(middles, head.choices).astype(np.float32),
    }
    counts = np.bincount(action["choice"] * size + place, minlength=head.choices * size)
    return columns, np.tile(widths, head.choices), counts


def to_named_arrays(action: Any) -> dict[str, Array]:
    """A batched action as arrays by name."""
    return {name: np.asarray(part) for name, part in to_observation_columns(action).items()}
