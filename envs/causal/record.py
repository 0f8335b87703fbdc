"""Episodes of the causal worlds, told step by step: the graph, what was set, and what came of it.

What is told is the truth, which the policy did not see while it chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from envs.episode_trace import EpisodeTrace, Frame
from envs.pytree import Bools, Floats

if TYPE_CHECKING:
    from envs.causal.learning import world as learning
    from envs.causal.optimisation import world as optimisation

COLUMNS_FOR = 6
"""So many nodes have a column each in the table; of more, only the one learnt most is named."""
_KNOWN = 1e-3
"""The excess risk at which a node is drawn as fully known; at 1 it is drawn as unknown."""


def trace_learning_episode(
    world: learning.CausalLearning,
    states: Sequence[learning.State],
    actions: Sequence[Mapping[str, Any]],
) -> EpisodeTrace:
    """An episode of CausalLearning, from its T + 1 states [1] and T actions [1]."""
    problem = world.get_problem(states[0])
    scm, drawn = problem.scm, _Graph(world.choice_names, problem.parents[0], problem.scm.real[0])
    losses = np.stack([state.risk.node_excess[0, drawn.nodes] for state in states])
    shades = np.clip(np.log(np.maximum(losses, _KNOWN)) / np.log(_KNOWN), 0, 1)
    names = drawn.names if len(drawn.names) <= COLUMNS_FOR else []
    frames: list[Frame] = []
    for t, state in enumerate(states):
        chosen, move, gain = list[int](), ["", ""], ""
        if t:
            may = world.compute_mask(states[t - 1])[0]
            chosen, value = drawn.moved(actions[t - 1], may, scm.low, scm.high)
            move = _cells(drawn, chosen, value)
            most = int((losses[t - 1] - losses[t]).argmax())
            gain = f"{drawn.names[most]}: {_text(losses[t - 1, most])} → {_text(losses[t, most])}"
        labels = [_text(loss) for loss in losses[t]]
        total = _text(state.risk.excess[0])
        cells = [str(t), *move, total, *(labels if names else [gain])]
        frames.append(
            Frame(
                caption=" = ".join(move) if chosen else "nothing set" if t else "at first",
                cells=cells,
                chosen=chosen,
                shades=shades[t].tolist(),
                labels=labels,
                cut=drawn.into(chosen),
            )
        )
    return EpisodeTrace(
        about=(
            "Beside each node is its excess risk: how badly its mechanism is known. Empty is 1 or "
            "worse, full colour 0.001 or better. A square marks the node that was set, dashes the "
            "edges that this put out of force."
        ),
        columns=["step", "set", "to", "excess risk", *(names or ["learnt most"])],
        frames=frames,
        nodes=drawn.names,
        edges=drawn.edges,
    )


def trace_optimisation_episode(
    world: optimisation.CausalOptimisation,
    states: Sequence[optimisation.State],
    actions: Sequence[Mapping[str, Any]],
) -> EpisodeTrace:
    """An episode of CausalOptimisation, from its T + 1 states [1] and T actions [1]."""
    last, problem, seen = states[-1], states[-1].problem, states[-1].seen
    drawn = _Graph(world.source.get_node_names(problem), problem.parents[0], problem.real[0])
    target = drawn.nodes.index(int(problem.target[0]))
    is_set, position = seen.is_set[0][:, drawn.nodes], seen.position[0][:, drawn.nodes]
    low, high = problem.low[0, drawn.nodes], problem.high[0, drawn.nodes]
    values = low + (position + 1) / 2 * (high - low)
    expected, scores = last.expected[0], problem.normalised(last.expected)[0]
    base = _text(problem.base[0])
    labels = [base if node == target else "" for node in range(len(drawn.names))]
    frames = [Frame("at first", ["0", "", "", "", base, "", "0"], [], [0.0] * len(labels), labels)]
    for t, action in enumerate(actions):
        chosen, times = np.flatnonzero(is_set[t]).tolist(), is_set[: t + 1].sum(axis=0)
        move = _cells(drawn, *drawn.moved(action, problem.allowed[0], problem.low, problem.high))
        figures = (seen.outcomes[0, t], expected[t], expected[: t + 1].min(), scores[t])
        labels = [_text(values[t, i]) if i in chosen else "" for i in range(len(labels))]
        labels[target] = _text(expected[t])
        settings = (f"{drawn.names[i]} = {labels[i]}" for i in chosen)
        frames.append(
            Frame(
                caption=", ".join(settings) or "nothing set",
                cells=[str(t + 1), *move, *map(_text, figures)],
                chosen=chosen,
                shades=(times / (times + 1)).tolist(),
                labels=labels,
                cut=drawn.into(chosen),
            )
        )
    known = "" if world.params.graph else " The policy did not see the graph."
    return EpisodeTrace(
        about=(
            f"{drawn.names[target]}, in two rings, is to be driven down; beside it is its true "
            "expectation, beside a set node its value. A square marks what is set, dashes the "
            "edges that this put out of force; the fuller a node's colour, the more often it was "
            f"set. A score of 1 is the best single intervention.{known}"
        ),
        columns=["step", "set", "to", "seen", "expected", "best so far", "score"],
        frames=frames,
        nodes=drawn.names,
        edges=drawn.edges,
        target=target,
    )


class _Graph:
    """The nodes that there are, without fillers and hidden ones, and their edges."""

    def __init__(self, names: Sequence[str], parents: Bools, real: Bools) -> None:
        self.nodes: list[int] = np.flatnonzero(real[: len(names)]).tolist()
        self.names = [names[node] for node in self.nodes]
        inside = parents[np.ix_(self.nodes, self.nodes)]
        self.edges: list[list[int]] = [[int(i), int(j)] for j, i in np.argwhere(inside)]

    def moved(
        self, action: Mapping[str, Any], may: Bools, low: Floats, high: Floats
    ) -> tuple[list[int], float]:
        """The place of the node that an action [1] sets, if it may be set, and to what."""
        node, position = int(action["choice"][0]), float(np.clip(action["value"][0], -1, 1))
        value = low[0, node] + (position + 1) / 2 * (high[0, node] - low[0, node])
        return [self.nodes.index(node)] if may[node] else [], float(value)

    def into(self, chosen: Sequence[int]) -> list[int]:
        """The edges into the nodes that are set."""
        return [place for place, (_, to) in enumerate(self.edges) if to in chosen]


def _cells(drawn: _Graph, chosen: Sequence[int], value: float) -> list[str]:
    return [drawn.names[chosen[0]], _text(value)] if chosen else ["nothing", ""]


def _text(value: float) -> str:
    """Three digits, without traces of rounding: 0.0712, 12.3, 0."""
    return f"{round(value, 6) + 0.0:.3g}"
