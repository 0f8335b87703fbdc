"""Episode traces of CausalOptimisation: the graph, what was set, and the target's expectation.

A trace shows the truth, which the policy did not see while it chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from envs.causal.graph_drawing import DrawnGraph, format_figure, format_setting
from envs.causal.optimisation.lessons import ProblemSource
from envs.causal.optimisation.state import State
from envs.contract.episode_trace import EpisodeTrace, Frame


def trace_episode(
    source: ProblemSource,
    graph_observed: bool,
    states: Sequence[State],
    actions: Sequence[Mapping[str, Any]],
) -> EpisodeTrace:
    """Describe an episode of CausalOptimisation, from its T + 1 states [1] and T actions [1]."""
    last, problem, experiments = states[-1], states[-1].problem, states[-1].experiments
    drawn = DrawnGraph(source.get_node_names(problem), problem.parents[0], problem.real[0])
    target = drawn.nodes.index(int(problem.target[0]))
    is_set, position = (
        experiments.is_set[0][:, drawn.nodes],
        experiments.position[0][:, drawn.nodes],
    )
    low, high = problem.low[0, drawn.nodes], problem.high[0, drawn.nodes]
    values = low + (position + 1) / 2 * (high - low)
    expected, scores = last.expected[0], problem.normalise(last.expected)[0]
    base = format_figure(problem.base[0])
    labels = [base if node == target else "" for node in range(len(drawn.names))]
    frames = [Frame("at first", ["0", "", "", "", base, "", "0"], [], [0.0] * len(labels), labels)]
    for t, action in enumerate(actions):
        chosen, times = np.flatnonzero(is_set[t]).tolist(), is_set[: t + 1].sum(axis=0)
        move = format_setting(
            drawn, *drawn.locate_action(action, problem.allowed[0], problem.low, problem.high)
        )
        figures = (experiments.outcomes[0, t], expected[t], expected[: t + 1].min(), scores[t])
        labels = [format_figure(values[t, i]) if i in chosen else "" for i in range(len(labels))]
        labels[target] = format_figure(expected[t])
        settings = (f"{drawn.names[i]} = {labels[i]}" for i in chosen)
        frames.append(
            Frame(
                caption=", ".join(settings) or "nothing set",
                cells=[str(t + 1), *move, *map(format_figure, figures)],
                chosen=chosen,
                shades=(times / (times + 1)).tolist(),
                labels=labels,
                cut=drawn.find_edges_into(chosen),
            )
        )
    note = "" if graph_observed else " The policy did not see the graph."
    return EpisodeTrace(
        about=(
            f"{drawn.names[target]}, in two rings, is the target to be lowered; its number is "
            "its true expectation, the number at a set node its value. A square marks what is set, "
            "dashes the edges that this cut; the fuller a node's colour, the more often it was "
            f"set. A score of 1 is the best single intervention.{note}"
        ),
        columns=["step", "set", "to", "seen", "expected", "best so far", "score"],
        frames=frames,
        nodes=drawn.names,
        edges=drawn.edges,
        target=target,
    )
