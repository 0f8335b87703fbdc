# pyright: basic
"""The episode traces of CausalLearning: what was set, which edges it cut, and what was learnt."""

import numpy as np
import pytest

from envs.causal.learning.params import Params
from envs.causal.learning.record import trace_episode
from envs.causal.learning.world import CausalLearning
from envs.contract import counter_rng


def trace(nodes, value=0.0, **fields):
    """The states and the trace of one episode in which these nodes are set in turn."""
    world = CausalLearning(Params(**fields))
    state, _ = world.reset(counter_rng.make_keys(0, 1))
    states, actions = [state], []
    for node in nodes:
        actions.append({"choice": np.array([node]), "value": np.array([value], np.float32)})
        states.append(world.step(states[-1], actions[-1]).state)
    return states, trace_episode(world, states, actions)


def test_frames_show_what_was_set_and_the_excess_risks():
    states, found = trace([1, 0], value=0.5)
    assert found.columns == ["step", "set", "to", "excess risk", "X1", "X2", "X3", "X4", "X5"]
    assert [frame.cells[:3] for frame in found.frames] == [
        ["0", "", ""],
        ["1", "X2", "2.5"],
        ["2", "X1", "2.5"],
    ]
    for frame, state in zip(found.frames, states, strict=True):
        assert float(frame.cells[3]) == pytest.approx(state.risk.excess[0], rel=0.01)
        risks = state.risk.node_excess[0]
        assert list(map(float, frame.cells[4:])) == pytest.approx(risks, rel=0.01, abs=1e-4)
        shades = np.clip(np.log10(np.maximum(risks, 1e-3)) / -3, 0, 1)
        np.testing.assert_allclose(frame.shades, shades)


def test_setting_a_node_cuts_the_edges_into_it():
    _, found = trace([1])
    frame = found.frames[1]
    assert frame.chosen == [1]
    assert [found.nodes[end] for _, end in (found.edges[i] for i in frame.cut)] == ["X2"]


def test_fillers_are_not_drawn_and_setting_one_does_nothing():
    _, found = trace([8, 8], scm="random", smallest=4, largest=9)
    assert 4 <= len(found.nodes) < 9
    assert [frame.caption for frame in found.frames] == ["at first", "nothing set", "nothing set"]


def test_with_many_nodes_the_largest_gain_is_named():
    states, found = trace([0], 0.5, scm="random", smallest=8, largest=8)
    fall = (states[0].risk.node_excess - states[1].risk.node_excess)[0]
    assert found.columns[-1] == "learnt most"
    assert found.frames[1].cells[-1].startswith(f"{found.nodes[fall.argmax()]}: ")


def test_a_choice_beyond_the_cap_is_shown_as_nothing_set():
    _, found = trace([0] * 10, cap=0.4)
    captions = [frame.caption for frame in found.frames]
    assert captions[1] == "X1 = 0" and "nothing set" in captions
