# pyright: basic
"""The set policy: equivariant to the order of the nodes, whatever their number."""

from itertools import pairwise

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces
from node_sets import forward, graph_space, graphs

from rungwise.validation import InputError

CHOICE_AND_VALUE = {"choice": spaces.Discrete(5), "value": spaces.Box(-1, 1, ())}


FLAT = spaces.Box(-1, 1, (3,))


def set_policy(n=5, action=None, **changed):
    action = action or spaces.Dict({**CHOICE_AND_VALUE, "choice": spaces.Discrete(n)})
    return small.module(graph_space(n), action, model="set", **changed)


def permuted(columns, order):
    return columns | {
        "obs.nodes": columns["obs.nodes"][:, order],
        "obs.parents": columns["obs.parents"][:, order][:, :, order],
        "obs.mask": columns["obs.mask"][:, order],
    }


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 1, 0, 3]])
def test_renumbering_nodes_renumbers_choices_and_keeps_the_value(order):
    policy, columns = set_policy(), graphs()
    dist, value = forward(policy, columns)
    moved, same = forward(policy, permuted(columns, order))
    expected = dist.choice_probabilities()[:, order]
    torch.testing.assert_close(moved.choice_probabilities(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.params, dist.params[:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(same, value, atol=1e-5, rtol=1e-5)
    # ... and the order can be told apart, or this test could not fail.
    assert (moved.choice_probabilities() - dist.choice_probabilities()).abs().max() > 0.01


def test_nodes_renumbered_without_their_edges_are_another_graph():
    policy, columns = set_policy(), graphs()
    _, value = forward(policy, columns)
    order = [4, 3, 2, 1, 0]
    parents = columns["obs.parents"][:, order][:, :, order]
    _, other = forward(policy, columns | {"obs.parents": parents})
    assert (value - other).abs().max() > 1e-3


@pytest.mark.parametrize("part", ["obs.nodes", "obs.parents", "obs.context"])
def test_the_set_policy_reads_every_part_of_the_graph(part):
    policy, columns = set_policy(), graphs()
    changed = columns | {part: graphs(seed=1)[part]}
    before, value = forward(policy, columns)
    after, other = forward(policy, changed)
    assert (value - other).abs().max() > 1e-3
    assert (before.choice_probabilities() - after.choice_probabilities()).abs().max() > 1e-3


def with_weights_of(five, n):
    """A policy over n nodes with the weights of another one."""
    other = set_policy(n, seed=1)
    other.set_state({name: w.numpy() for name, w in five.state_dict().items()})
    return other


def test_the_same_weights_fit_any_number_of_nodes():
    five = set_policy(5)
    for n in (2, 8):
        dist, value = forward(with_weights_of(five, n), graphs(n=n))
        assert dist.choice_probabilities().shape == (6, n)
        assert torch.isfinite(value).all() and value.std() > 0


def test_padding_with_empty_nodes_changes_nothing():
    five, columns = set_policy(5), graphs()
    padded = {
        "obs.nodes": np.pad(columns["obs.nodes"], ((0, 0), (0, 3), (0, 0))),
        "obs.parents": np.pad(columns["obs.parents"], ((0, 0), (0, 3), (0, 3))),
        "obs.mask": np.pad(columns["obs.mask"], ((0, 0), (0, 3))),
        "obs.context": columns["obs.context"],
    }
    dist, value = forward(five, columns)
    wider, same = forward(with_weights_of(five, 8), padded)
    probabilities = wider.choice_probabilities()
    torch.testing.assert_close(probabilities[:, :5], dist.choice_probabilities(), atol=1e-5, rtol=0)
    assert (probabilities[:, 5:] == 0).all()
    torch.testing.assert_close(same, value, atol=1e-5, rtol=1e-5)


def test_an_illegal_node_is_not_chosen_but_still_seen():
    policy, columns = set_policy(), graphs()
    columns["obs.mask"][:, 1] = 0
    before, value = forward(policy, columns)
    columns["obs.nodes"][:, 1] += 1
    after, other = forward(policy, columns)
    assert (before.choice_probabilities()[:, 1] == 0).all()
    assert (after.choice_probabilities()[:, 1] == 0).all()
    assert (value - other).abs().max() > 1e-3


def test_an_observation_without_any_node_has_a_value():
    policy, columns = set_policy(), graphs()
    _, expected = forward(policy, columns)
    empty = {name: columns[name].copy() for name in columns}
    empty["obs.nodes"][0] = empty["obs.mask"][0] = 0
    _, value = forward(policy, empty)
    assert torch.isfinite(value).all()
    torch.testing.assert_close(value[1:], expected[1:])


def test_a_set_policy_without_nodes_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"needs a Dict observation whose 'nodes' .*model='mlp'"):
        small.module(FLAT, spaces.Discrete(5), model="set")
    with pytest.raises(InputError, match="are the choices of the action"):
        small.module(graph_space(5), spaces.Discrete(4), model="set")


def critic_size(*widths):
    """Weights and biases of a perceptron with these widths."""
    return sum((before + 1) * width for before, width in pairwise(widths))


@pytest.mark.parametrize("value_hidden", [(16,), (5,), (32, 8), (7, 3, 2)])
def test_the_critic_of_the_set_policy_has_the_widths_set(value_hidden):
    usual, policy = set_policy(), set_policy(value_hidden=value_hidden)
    sizes = [sum(weight.size for weight in p.get_state().values()) for p in (usual, policy)]
    assert sizes[1] - sizes[0] == critic_size(16, *value_hidden, 1) - critic_size(16, 16, 1)
