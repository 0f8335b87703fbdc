# pyright: basic
"""The episode traces of CausalOptimisation: settings, outcomes, and the best so far."""

import numpy as np
import pytest

from envs.causal.optimisation.params import Params
from envs.causal.optimisation.record import trace_episode
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng

# In this chain, X0 -> X1 -> X2, the last node is the target.
STEPS = [(0, 1.0), (1, -1.0), (2, 0.5)]


def trace(graph_observed=False, **fields):
    """The last state and the trace of an episode of STEPS."""
    world = CausalOptimisation(Params(scm="fixed-chain-3", **fields))
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    states, actions = [state], []
    for node, value in STEPS:
        actions.append({"choice": np.array([node]), "value": np.array([value], np.float32)})
        states.append(world.step(states[-1], actions[-1]).state)
    return states[-1], trace_episode(world.source, graph_observed, states, actions)


def test_frames_show_settings_and_expectations():
    state, found = trace()
    assert [frame.cells[1:3] for frame in found.frames] == [
        ["", ""],
        ["X0", "5"],
        ["X1", "-5"],
        ["nothing", ""],  # the target itself may not be set
    ]
    assert [frame.caption for frame in found.frames[1:]] == ["X0 = 5", "X1 = -5", "nothing set"]
    figures = np.array([[float(cell) for cell in frame.cells[3:]] for frame in found.frames[1:]])
    expected = state.expected[0, :3]
    scores = state.problem.normalise(state.expected)[0, :3]
    columns = [state.experiments.outcomes[0, :3], expected, np.minimum.accumulate(expected), scores]
    np.testing.assert_allclose(figures, np.transpose(columns), rtol=0.005, atol=1e-6)
    assert found.target == 2
    assert [float(frame.labels[2]) for frame in found.frames[1:]] == pytest.approx(
        expected, rel=0.005, abs=1e-6
    )


def test_what_is_set_cuts_the_edges_into_it_and_gains_colour():
    _, found = trace(at_once=2)
    assert found.edges == [[0, 1], [1, 2]]
    assert [frame.cut for frame in found.frames] == [[], [], [0], [0]]
    assert [frame.chosen for frame in found.frames] == [[], [0], [0, 1], [1]]
    assert found.frames[-1].shades == pytest.approx([2 / 3, 2 / 3, 0])


def test_the_text_says_whether_the_policy_saw_the_graph():
    assert "did not see the graph" in trace()[1].about
    assert "did not see the graph" not in trace(graph_observed=True)[1].about
