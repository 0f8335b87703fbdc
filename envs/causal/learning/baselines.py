"""Simple agents of CausalLearning, to compare trained policies with.

Each is a function ``(task, state, keys [B]) -> action`` that decides for all copies at once, from
what an experimenter knows: the graph, the domains, the student and the rows so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.causal.learning.params import Params
from envs.causal.learning.state import State, Task
from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys
from envs.contract.world import Agent
from rungwise.validation import InputError

CANDIDATES = 24
"""Number of candidate interventions that the design compares before each step."""
_GOLDEN = (np.sqrt(5) - 1) / 2


def make_agents(params: Params) -> Mapping[str, Agent]:
    """Return the agents by name that a task allows."""
    agents: dict[str, Agent] = {"random": random_choice, "round_robin": round_robin}
    if params.is_family:
        agents["most_children_first"] = most_children_first
    else:
        agents["parents_first"] = parents_first
    if params.student == "bayes_linear":
        agents["posterior_variance_design"] = posterior_variance_design
    return agents


def random_choice(task: Task, state: State, keys: Keys) -> dict[str, Array]:
    """Set any free node to any value."""
    free = task.compute_mask(state)
    rank = counter_rng.integers(counter_rng.fold(keys, 1), free.sum(axis=1))
    return _action(_among(free, rank), _any_value(keys))


def round_robin(task: Task, state: State, keys: Keys) -> dict[str, Array]:
    """Set the nodes in turn, each to any value."""
    settable = task.get_problem(state).settable
    # A stable sort keeps the numbering: the settable nodes first, in their order.
    order = np.argsort(~settable, axis=1, kind="stable")
    node = _next(order, settable.sum(axis=1), state.step, task.compute_mask(state))
    return _action(node, _any_value(keys))


def parents_first(task: Task, state: State, keys: Keys) -> dict[str, Array]:
    """Set the nodes with children in a fixed order, at values spread by the golden ratio.

    Setting a leaf teaches no mechanism. Setting an inner node breaks its dependence on its parents,
    which rows without an intervention never do, so inner nodes come at every second turn; roots
    vary by themselves and need interventions least.
    """
    problem = task.get_problem(state)
    order = compute_turn_order(problem.parents[0], problem.settable[0])[None]
    node = _next(order, np.array([order.shape[1]]), state.step, task.compute_mask(state))
    return _golden(state, node)


def compute_turn_order(parents: Bools, settable: Bools) -> Ints:
    """Return the order of nodes that :func:`parents_first` cycles through, from parents [n, n].

    Nodes with children: inner ones before each root in turn, roots with fewest children first. On
    the post-mortem's graph that is X2, X4, X2, X1.
    """
    children = parents.sum(axis=0)
    is_root = ~parents.any(axis=1)
    useful = (children > 0) & settable
    inner = sorted(np.flatnonzero(useful & ~is_root), key=lambda i: -children[i])
    roots = sorted(np.flatnonzero(useful & is_root), key=lambda i: children[i])
    if not inner or not roots:
        return np.array(inner or roots or np.flatnonzero(settable))
    pairs = max(len(inner), len(roots))
    # The shorter list repeats, so that every second turn is an inner node.
    both = [(inner[i % len(inner)], roots[i % len(roots)]) for i in range(pairs)]
    return np.array(both).ravel()


def most_children_first(task: Task, state: State, keys: Keys) -> dict[str, Array]:
    """Set the nodes with children in turn, most children first; values as in parents_first.

    In families this halves the excess risk of :func:`compute_turn_order`: roots vary too little by
    themselves to show their children's mechanisms over the range in which they are judged.
    """
    problem = task.get_problem(state)
    children = problem.parents.sum(axis=1)
    useful = (children > 0) & problem.settable
    # Leaves and fillers get 1, above every negative count, and sort last.
    order = np.argsort(np.where(useful, -children, 1), axis=1, kind="stable")
    count = np.maximum(useful.sum(axis=1), 1)
    return _golden(state, _next(order, count, state.step, task.compute_mask(state)))


def posterior_variance_design(task: Task, state: State, keys: Keys) -> dict[str, Array]:
    """Choose the candidate after which the student's expected posterior variance is lowest.

    The rows are simulated from the student's means, never drawn from the world, so the design uses
    no budget.
    """
    student: Any = task.student
    if task.params.student != "bayes_linear":
        raise InputError(
            "posterior_variance_design needs a student with a posterior, but this one is "
            f"{task.params.student!r}: set student='bayes_linear' or take another baseline."
        )
    problem = task.get_problem(state)
    B, n = len(keys), problem.scm.nodes
    node_key, value_key, noise_key = counter_rng.split(keys, 3)
    free = task.compute_mask(state)
    places = counter_rng.integers(node_key, free.sum(axis=1), (CANDIDATES,))
    position = 2 * counter_rng.uniform(value_key, (CANDIDATES,)) - 1
    # Common random numbers: candidates then differ by their interventions alone.
    noise = counter_rng.normal(noise_key, (task.params.rows, n))
    node, expected = np.empty((B, CANDIDATES), np.int64), np.empty((B, CANDIDATES))
    for c in range(CANDIDATES):
        node[:, c] = _among(free, places[:, c])
        chosen = np.arange(n) == node[:, c, None]
        values = chosen * problem.scm.domain_value(node[:, c], position[:, c])[:, None]
        expected[:, c] = student.expected_variance(state.student, noise, chosen, values)
    best = expected.argmin(axis=1)
    every = np.arange(B)
    return _action(node[every, best], position[every, best])


def _among(marked: Bools, rank: Ints) -> Ints:
    """Return the nodes [B] of ranks ``rank`` [B] among those marked [C, n]."""
    nodes = np.argsort(~marked, axis=1, kind="stable")
    return nodes[np.arange(len(rank)) % len(nodes), rank]


def _next(order: Ints, count: Ints, step: Ints, free: Bools) -> Ints:
    """Return the nodes [B] whose turn it is at steps [B]: the next free one [C or B, n], if any.

    Turns go round the first ``count`` [C] nodes of an order [C, m]. Where none of those is free,
    any node that is takes the turn.
    """
    B, m = len(step), order.shape[1]
    order = np.broadcast_to(order, (B, m))
    free = np.broadcast_to(free, (B, free.shape[1]))
    every, later = np.arange(B)[:, None], np.arange(m)
    inside = later < count[:, None]
    # All later turns of a round at once [B, m]; the first free one is taken.
    turns = order[every, np.where(inside, (step[:, None] + later) % count[:, None], 0)]
    may = free[every, turns] & inside
    return np.where(may.any(axis=1), turns[every[:, 0], may.argmax(axis=1)], free.argmax(axis=1))


def _golden(state: State, node: Ints) -> dict[str, Array]:
    # The golden-ratio sequence of a node continues from how often it was set, so each node covers
    # its own domain evenly.
    times = state.histogram.sum(axis=2)[np.arange(len(node)), node]
    return _action(node, 2 * ((times + 1) * _GOLDEN % 1.0) - 1)


def _any_value(keys: Keys) -> Floats:
    return 2 * counter_rng.uniform(counter_rng.fold(keys, 2)) - 1


def _action(node: Ints, position: Floats) -> dict[str, Array]:
    return {"choice": node.astype(np.int64), "value": position.astype(np.float32)}
