"""Simple agents of CausalOptimisation, to compare trained policies with.

Each is a function ``(task, state, keys [B]) -> action`` that decides for all copies at once. All
except the oracle use only what an experimenter has observed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.causal.optimisation.observation import ALONE
from envs.causal.optimisation.state import State
from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys
from envs.contract.world import Agent


def random_choice(task: object, state: State, keys: Keys) -> dict[str, Array]:
    """Set any allowed node to any value."""
    del task
    allowed = state.experiments.allowed
    node = _pick_allowed(
        allowed, counter_rng.integers(counter_rng.fold(keys, 1), allowed.sum(axis=1))
    )
    return _action(node, 2 * counter_rng.uniform(counter_rng.fold(keys, 2)) - 1)


def obs_ols(task: object, state: State, keys: Keys) -> dict[str, Array]:
    """Follow the regression of the target on each node alone, in rows without an intervention.

    The node on which the target's slope times the node's domain is largest, at the end where the
    target is low; nothing is learnt from interventions.
    """
    del task, keys
    experiments = state.experiments
    effect = experiments.natural[:, :, ALONE]
    node = np.where(experiments.allowed, np.abs(effect), -1.0).argmax(axis=1)
    return _action(node, -np.sign(effect[np.arange(len(node)), node]))


def explore_then_commit(task: object, state: State, keys: Keys) -> dict[str, Array]:
    """Try both ends of every domain in turn, then repeat the best."""
    del task, keys
    experiments, every = state.experiments, np.arange(len(state.keys))
    t = experiments.step
    # Two interventions for each allowed node, one at each end of its domain.
    exploring = t < 2 * experiments.allowed.sum(axis=1)
    best = np.where(experiments.done, experiments.outcomes, np.inf).argmin(axis=1)
    best_node = experiments.is_set[every, best].argmax(axis=1)
    node = np.where(exploring, _pick_allowed(experiments.allowed, t // 2), best_node)
    position = np.where(exploring, 2.0 * (t % 2) - 1, experiments.position[every, best, best_node])
    return _action(node, position)


def mirrored_half_probe(task: object, state: State, keys: Keys) -> dict[str, Array]:
    """Try the upper end of each domain in turn, then the best end by symmetry.

    Each outcome counts for both ends of its node, mirrored for the other: in a model that is odd
    the target falls on one side of its observed mean as much as it rises on the other.
    """
    del task, keys
    experiments = state.experiments
    total = (experiments.position * experiments.standardise()[:, :, None]).sum(axis=1)
    mean = total / np.maximum(experiments.is_set.sum(axis=1), 1)
    leader = np.abs(mean).argmax(axis=1)
    probing = experiments.step < experiments.allowed.sum(axis=1)
    end = np.where(probing, 1.0, -np.sign(mean[np.arange(len(leader)), leader]))
    return _action(
        np.where(probing, _pick_allowed(experiments.allowed, experiments.step), leader), end
    )


def oracle(task: object, state: State, keys: Keys) -> dict[str, Array]:
    """Choose the best single intervention, which only the truth shows."""
    del task, keys
    return _action(state.problem.best_node, state.problem.best_position)


def _pick_allowed(allowed: Bools, rank: Ints) -> Ints:
    """Return the allowed node of each ``rank`` [B], from allowed [B, n]."""
    # The first position at which the running count exceeds the rank.
    return (allowed.cumsum(axis=1) > rank[:, None]).argmax(axis=1)


def _action(node: Ints, position: Floats) -> dict[str, Array]:
    return {"choice": node.astype(np.int64), "value": position.astype(np.float32)}


AGENTS: Mapping[str, Agent] = {
    "random": random_choice,
    "obs_ols": obs_ols,
    "explore_then_commit": explore_then_commit,
    "mirrored_half_probe": mirrored_half_probe,
    "oracle": oracle,
}
"""The agents by name."""
