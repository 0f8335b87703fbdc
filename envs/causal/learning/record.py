"""Episode traces of CausalLearning: the graph, what was set, and how well each node is known.

A trace shows the truth, which the policy did not see while it chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.causal.graph_drawing import DrawnGraph, format_figure, format_setting
from envs.causal.learning.state import State, Task
from envs.contract.episode_trace import EpisodeTrace, Frame

MAX_COLUMNS = 6
"""Largest number of nodes that get a table column each; above it only the node with the largest
gain is named."""
_KNOWN_RISK = 1e-3
"""Excess risk at which a node is drawn as fully known; at 1 it is drawn as unknown."""


def trace_episode(
    task: Task,
    states: Sequence[State],
    actions: Sequence[Mapping[str, Any]],
) -> EpisodeTrace:
    """Describe an episode of CausalLearning, from its T + 1 states [1] and T actions [1]."""
    problem = task.get_problem(states[0])
    scm, drawn = problem.scm, DrawnGraph(task.choice_names, problem.parents[0], problem.scm.real[0])
    losses = np.stack([state.risk.node_excess[0, drawn.nodes] for state in states])
    shades = np.clip(np.log(np.maximum(losses, _KNOWN_RISK)) / np.log(_KNOWN_RISK), 0, 1)
    names = drawn.names if len(drawn.names) <= MAX_COLUMNS else []
    frames: list[Frame] = []
    for t, state in enumerate(states):
        chosen, move, gain = list[int](), ["", ""], ""
        if t:
            may = task.compute_mask(states[t - 1])[0]
            chosen, value = drawn.locate_action(actions[t - 1], may, scm.low, scm.high)
            move = format_setting(drawn, chosen, value)
            most = int((losses[t - 1] - losses[t]).argmax())
            before, after = format_figure(losses[t - 1, most]), format_figure(losses[t, most])
            gain = f"{drawn.names[most]}: {before} → {after}"
        labels = [format_figure(loss) for loss in losses[t]]
        total = format_figure(state.risk.excess[0])
        cells = [str(t), *move, total, *(labels if names else [gain])]
        frames.append(
            Frame(
                caption=" = ".join(move) if chosen else "nothing set" if t else "at first",
                cells=cells,
                chosen=chosen,
                shades=shades[t].tolist(),
                labels=labels,
                cut=drawn.find_edges_into(chosen),
            )
        )
    return EpisodeTrace(
        about=(
            "The number at each node is the excess risk of its mechanism: an empty node has 1 or "
            "more, a full colour 0.001 or less. A square marks the node that was set, dashes the "
            "edges that this cut."
        ),
        columns=["step", "set", "to", "excess risk", *(names or ["learnt most"])],
        frames=frames,
        nodes=drawn.names,
        edges=drawn.edges,
    )
