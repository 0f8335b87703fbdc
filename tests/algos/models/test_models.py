# pyright: basic
"""Policy networks: the same numbers when learning as when sampling, in whatever order."""

from itertools import pairwise

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.models.base import ObservationFlattener, get_column_spaces, to_observation_columns
from envs.validation import InputError

CHOICE_AND_VALUE = {"choice": spaces.Discrete(5), "value": spaces.Box(-1, 1, ())}


def graph_space(n=5):
    return spaces.Dict(
        nodes=spaces.Box(-np.inf, np.inf, (n, 3)),
        parents=spaces.MultiBinary((n, n)),
        context=spaces.Box(-np.inf, np.inf, (2,)),
        mask=spaces.MultiBinary(n),
    )


def graphs(count=6, n=5, seed=0):
    """Observation columns of random acyclic graphs, each with at least one legal choice."""
    rng = np.random.default_rng(seed)
    parents = np.tril(rng.random((count, n, n)) < 0.5, -1)
    mask = rng.random((count, n)) < 0.6
    mask[:, 0] = True
    return {
        "obs.nodes": rng.normal(size=(count, n, 3)).astype(np.float32),
        "obs.parents": parents.astype(np.float32),
        "obs.context": rng.normal(size=(count, 2)).astype(np.float32),
        "obs.mask": mask.astype(np.int8),
    }


def set_policy(n=5, action=None, **changed):
    action = action or spaces.Dict({**CHOICE_AND_VALUE, "choice": spaces.Discrete(n)})
    return small.module(graph_space(n), action, model="set", **changed)


def forward(policy, columns):
    batch = {name: torch.from_numpy(np.ascontiguousarray(c)) for name, c in columns.items()}
    with torch.no_grad():
        found = policy(batch)
    return found["dist"], found["value"]


FLAT = spaces.Box(-1, 1, (3,))


@pytest.mark.parametrize(
    ("observation", "action", "changed"),
    [
        (FLAT, spaces.Discrete(4), {}),
        (FLAT, spaces.MultiDiscrete([2, 3]), {}),
        (FLAT, spaces.Box(-1, 1, (2,)), {}),
        (FLAT, spaces.Dict(CHOICE_AND_VALUE), {"activation": "relu"}),
        (FLAT, spaces.Dict(CHOICE_AND_VALUE), {"value_distribution": "beta"}),
        (FLAT, spaces.Discrete(4), {"value_hidden": (8, 5)}),
        (graph_space(), spaces.Discrete(5), {"model": "set"}),
        (graph_space(), spaces.Dict(CHOICE_AND_VALUE), {"model": "set"}),
        (graph_space(), spaces.Dict(CHOICE_AND_VALUE), {"model": "set", "hidden": (8, 8)}),
        (graph_space(), spaces.Discrete(5), {"model": "set", "value_hidden": (6, 5)}),
        (graph_space(), spaces.Dict(CHOICE_AND_VALUE), {"model": "mlp"}),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, spaces.Space) else str(part),
)
def test_a_shuffled_minibatch_has_the_log_probabilities_and_values_of_the_rollout(
    observation, action, changed
):
    policy = small.module(observation, action, **changed)
    count = 32
    if observation is FLAT:
        columns = {"obs": np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)}
    else:
        columns = graphs(count)
    taken, logp, value = policy.act(columns, torch.Generator().manual_seed(0))
    for index in torch.randperm(count, generator=torch.Generator().manual_seed(1)).split(7):
        batch = {name: torch.from_numpy(c)[index] for name, c in columns.items()}
        found = policy(batch)
        again = found["dist"].logp({name: part[index] for name, part in taken.items()})
        torch.testing.assert_close(again, logp[index], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found["value"], value[index], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(policy.compute_values(batch), value[index], atol=1e-6, rtol=1e-6)


MASKED = spaces.Dict(x=spaces.Box(-1, 1, (2, 3)), n=FLAT, mask=spaces.MultiBinary(4))


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(("observation", "masked"), [(FLAT, False), (MASKED, True)])
def test_a_plain_choice_is_made_without_torch_just_as_with_it(observation, masked, greedy):
    policy = small.module(observation, spaces.Discrete(4))
    assert policy.acts_on_numpy
    observation.seed(0)
    columns = to_observation_columns(
        stacked(observation, [observation.sample() for _ in range(64)])
    )
    if masked:
        columns["obs.mask"][:, 1], columns["obs.mask"][:, 2] = 1, 0
    found = policy.act_on_arrays(columns, torch.Generator().manual_seed(0), greedy=greedy)
    policy.acts_on_numpy = False
    expected = policy.act_on_arrays(columns, torch.Generator().manual_seed(0), greedy=greedy)
    np.testing.assert_array_equal(found[0]["choice"], expected[0]["choice"])
    np.testing.assert_allclose(found[1]["logp"], expected[1]["logp"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-6)
    assert {part.dtype for part in (found[1]["logp"], found[2])} == {np.dtype(np.float32)}
    assert not (masked and (found[0]["choice"] == 2).any())


@pytest.mark.parametrize(
    ("observation", "action", "changed"),
    [
        (spaces.Discrete(3), spaces.Discrete(2), {}),
        (FLAT, spaces.Box(-1, 1, (2,)), {}),
        (FLAT, spaces.Discrete(2), {"temperature": 2.0}),
    ],
    ids=["one-hot", "Box", "temperature"],
)
def test_what_numpy_has_no_lines_for_is_left_to_torch(observation, action, changed):
    assert not small.module(observation, action, **changed).acts_on_numpy


# The set policy.


def permuted(columns, order):
    return columns | {
        "obs.nodes": columns["obs.nodes"][:, order],
        "obs.parents": columns["obs.parents"][:, order][:, :, order],
        "obs.mask": columns["obs.mask"][:, order],
    }


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 1, 0, 3]])
def test_renumbering_the_nodes_renumbers_the_policy_and_leaves_the_value(order):
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


@pytest.mark.parametrize("model", ["set", "mlp"])
def test_illegal_choices_are_never_taken_however_much_the_network_wants_them(model):
    policy = small.module(graph_space(), spaces.Dict(CHOICE_AND_VALUE), model=model, scale=5.0)
    columns = graphs(2000)
    for greedy in (False, True):
        action, logp, _ = policy.act(columns, torch.Generator().manual_seed(0), greedy=greedy)
        assert columns["obs.mask"][np.arange(2000), action["choice"].numpy()].all()
        assert torch.isfinite(logp).all()


def test_a_set_policy_without_nodes_is_refused_in_a_sentence():
    with pytest.raises(InputError, match=r"needs a Dict observation whose 'nodes' .*model='mlp'"):
        small.module(FLAT, spaces.Discrete(5), model="set")
    with pytest.raises(InputError, match="are the choices of the action"):
        small.module(graph_space(5), spaces.Discrete(4), model="set")


# The value function's own layers.


def critic_size(*widths):
    """Weights and biases of a perceptron with these widths."""
    return sum((before + 1) * width for before, width in pairwise(widths))


@pytest.mark.parametrize("value_hidden", [(16,), (5,), (32, 8), (7, 3, 2)])
def test_the_value_function_of_the_perceptron_has_the_widths_asked_for(value_hidden):
    policy = small.module(FLAT, spaces.Discrete(2), value_hidden=value_hidden)
    found = sum(weight.size for weight in policy.get_state().values())
    assert found == critic_size(3, 16, 2) + critic_size(3, *value_hidden, 1)


@pytest.mark.parametrize("value_hidden", [(16,), (5,), (32, 8), (7, 3, 2)])
def test_the_value_function_of_the_set_policy_has_the_widths_asked_for(value_hidden):
    usual, policy = set_policy(), set_policy(value_hidden=value_hidden)
    sizes = [sum(weight.size for weight in p.get_state().values()) for p in (usual, policy)]
    assert sizes[1] - sizes[0] == critic_size(16, *value_hidden, 1) - critic_size(16, 16, 1)


@pytest.mark.parametrize("model", ["mlp", "set"])
def test_no_widths_of_its_own_are_those_of_the_policy(model):
    space, action = graph_space(), spaces.Discrete(5)
    usual = small.module(space, action, model=model)
    same = small.module(space, action, model=model, value_hidden=(16,))
    assert small.same_weights(usual.get_state(), same.get_state())
    (dist, value), (other, again) = forward(usual, graphs()), forward(same, graphs())
    assert torch.equal(dist.choice_probabilities(), other.choice_probabilities())
    assert torch.equal(value, again)


def test_widths_that_cannot_be_are_refused_in_a_sentence():
    for widths in ((0,), (8, -1)):
        with pytest.raises(
            InputError, match=r"value_hidden must hold widths of at least 1.*but it"
        ):
            small.settings(value_hidden=widths)


# Weights.


def test_weights_of_another_network_are_refused_with_their_names():
    policy = small.module(FLAT, spaces.Discrete(2))
    state = policy.get_state()
    missing = {name: w for name, w in state.items() if name != "policy.bias"}
    with pytest.raises(ValueError, match=r"missing \['policy.bias'\], unknown \[\]"):
        policy.set_state(missing)
    with pytest.raises(ValueError, match=r"missing \[\], unknown \['extra'\]"):
        policy.set_state(state | {"extra": np.zeros(1)})
    with pytest.raises(ValueError, match=r"policy.bias has shape \(1,\) instead of \(2,\)"):
        policy.set_state(state | {"policy.bias": np.zeros(1)})


@pytest.mark.parametrize("value_hidden", [(), (5,), (5, 4, 3)])
def test_weights_taken_from_one_network_make_another_the_same(value_hidden):
    first, second = (
        small.module(FLAT, spaces.Box(-1, 1, (2,)), seed=seed, value_hidden=value_hidden)
        for seed in (0, 1)
    )
    columns = {"obs": np.ones((1, 3), np.float32)}
    assert not torch.equal(forward(first, columns)[1], forward(second, columns)[1])
    second.set_state(first.get_state())
    assert torch.equal(forward(first, columns)[1], forward(second, columns)[1])
    assert torch.equal(forward(first, columns)[0].log_std, forward(second, columns)[0].log_std)


def test_the_weights_of_the_perceptron_have_the_names_of_their_layers():
    policy = small.module(FLAT, spaces.Discrete(2), hidden=(8, 6), value_hidden=(5, 4, 3))
    assert {name: weight.shape for name, weight in policy.get_state().items()} == {
        "first.weight": (3, 8 + 5),
        "first.bias": (8 + 5,),
        "policy.hidden1.weight": (8, 6),
        "critic.hidden1.weight": (5, 4),
        "hidden1.bias": (6 + 4,),
        "critic.hidden2.weight": (4, 3),
        "hidden2.bias": (3,),
        "policy.weight": (6, 2),
        "policy.bias": (2,),
        "critic.weight": (3, 1),
        "critic.bias": (1,),
    }


def test_weights_are_copied_not_shared():
    policy = small.module(FLAT, spaces.Discrete(2))
    state = {name: np.array(w) for name, w in policy.get_state().items()}
    policy.set_state(state)
    state["critic.bias"][:] = 99
    assert (policy.get_state()["critic.bias"] < 99).all()


# Observations.


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1, 1, (2, 3)),
        spaces.Box(0, 255, (4,), np.uint8),
        spaces.Discrete(4, start=2),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(3),
        spaces.Dict(a=spaces.Discrete(3), b=spaces.Box(-1, 1, (2,))),
        spaces.Tuple([spaces.Discrete(3), spaces.MultiBinary(2)]),
        spaces.Dict(a=spaces.Tuple([spaces.Discrete(2), spaces.Dict(c=spaces.Box(0, 1, (1,)))])),
    ],
    ids=str,
)
def test_observations_are_flattened_as_gymnasium_does(space):
    space.seed(0)
    single = [space.sample() for _ in range(5)]
    batch = stacked(space, single)
    flatten = ObservationFlattener(get_column_spaces(space))
    columns = {n: torch.from_numpy(np.asarray(c)) for n, c in to_observation_columns(batch).items()}
    found = flatten(columns)
    expected = [np.asarray(spaces.flatten(space, one), np.float32) for one in single]
    assert flatten.size == spaces.flatdim(space) == found.shape[1]
    np.testing.assert_array_equal(found.numpy(), np.stack(expected))


def stacked(space, singles):
    if isinstance(space, spaces.Dict):
        return {n: stacked(s, [one[n] for one in singles]) for n, s in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        parts = enumerate(space.spaces)
        return tuple(stacked(s, [one[i] for one in singles]) for i, s in parts)
    return np.stack(singles)


def test_a_multidiscrete_observation_begins_at_its_start():
    flatten = ObservationFlattener(get_column_spaces(spaces.MultiDiscrete([2, 3], start=[5, 1])))
    hot = flatten({"obs": torch.tensor([[5, 1], [6, 3]])})
    assert hot.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]]


def test_parts_of_nested_observations_have_dotted_names_in_the_order_of_their_space():
    space = spaces.Dict(b=spaces.Discrete(2), a=spaces.Tuple([FLAT, spaces.Dict(c=FLAT)]))
    names = list(get_column_spaces(space))
    assert sorted(names) == ["obs.a.0", "obs.a.1.c", "obs.b"]
    assert set(to_observation_columns(space.sample())) == set(names)


def test_the_mask_is_not_an_input_of_the_perceptron():
    space = spaces.Dict(x=FLAT, mask=spaces.MultiBinary(4))
    assert ObservationFlattener(get_column_spaces(space)).size == 3


@pytest.mark.parametrize(
    "space",
    [spaces.Text(5), spaces.Sequence(FLAT), spaces.Dict(x=FLAT, note=spaces.Text(5))],
    ids=str,
)
def test_an_observation_that_no_policy_can_read_is_refused_in_a_sentence(space):
    with pytest.raises(InputError, match=r"No policy here can read observations from .*Use Box"):
        small.module(space, spaces.Discrete(2))
