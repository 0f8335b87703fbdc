# pyright: basic
"""Policy networks: the same numbers when learning as when sampling, in whatever order."""

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces
from node_sets import forward, graph_space, graphs

from algos.models.base import get_column_spaces, to_observation_columns
from algos.models.mlp import ObservationFlattener
from rungwise.validation import InputError

CHOICE_AND_VALUE = {"choice": spaces.Discrete(5), "value": spaces.Box(-1, 1, ())}


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
def test_a_shuffled_minibatch_has_the_rollout_logps_and_values(observation, action, changed):
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


@pytest.mark.parametrize("model", ["set", "mlp"])
def test_illegal_choices_are_never_taken_even_with_high_logits(model):
    policy = small.module(graph_space(), spaces.Dict(CHOICE_AND_VALUE), model=model, scale=5.0)
    columns = graphs(2000)
    for greedy in (False, True):
        action, logp, _ = policy.act(columns, torch.Generator().manual_seed(0), greedy=greedy)
        assert columns["obs.mask"][np.arange(2000), action["choice"].numpy()].all()
        assert torch.isfinite(logp).all()


@pytest.mark.parametrize("model", ["mlp", "set"])
def test_no_widths_of_its_own_are_those_of_the_policy(model):
    space, action = graph_space(), spaces.Discrete(5)
    usual = small.module(space, action, model=model)
    same = small.module(space, action, model=model, value_hidden=(16,))
    assert small.same_weights(usual.get_state(), same.get_state())
    (dist, value), (other, again) = forward(usual, graphs()), forward(same, graphs())
    assert torch.equal(dist.choice_probabilities(), other.choice_probabilities())
    assert torch.equal(value, again)


def test_two_parts_of_the_same_name_are_refused():
    nested = spaces.Dict({"a": spaces.Dict({"b": FLAT}), "a.b": FLAT})
    with pytest.raises(InputError, match=r"Two parts of the observation are called 'a.b'"):
        get_column_spaces(nested)


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


def test_parts_of_nested_observations_have_dotted_names():
    space = spaces.Dict(b=spaces.Discrete(2), a=spaces.Tuple([FLAT, spaces.Dict(c=FLAT)]))
    names = list(get_column_spaces(space))
    assert sorted(names) == ["obs.a.0", "obs.a.1.c", "obs.b"]
    assert set(to_observation_columns(space.sample())) == set(names)


class MissionSpace(spaces.Space[str]):
    """A space of its own kind, whose text has an address as that of a function has."""


@pytest.mark.parametrize(
    "space",
    [
        *(spaces.Text(5), spaces.Sequence(FLAT), MissionSpace()),
        spaces.Dict(x=FLAT, note=spaces.Text(5)),
    ],
    ids=["text", "sequence", "own", "part"],
)
def test_an_observation_that_no_policy_can_read_is_refused(space):
    part = "part 'note' of the observation" if isinstance(space, spaces.Dict) else "observation"
    with pytest.raises(
        InputError, match=rf"The {part} is (Text|Sequence|MissionSpace), which no policy"
    ):
        small.module(space, spaces.Discrete(2))


@pytest.mark.parametrize(
    ("observation", "changed", "head"),
    [
        (FLAT, {"hidden": (8, 6), "value_hidden": (5,)}, {"policy.weight", "policy.bias"}),
        (graph_space(), {"model": "set"}, {"policy.weight", "policy.bias"}),
    ],
)
def test_head_and_backbone_are_the_weights_behind_the_outputs(observation, changed, head):
    policy = small.module(observation, spaces.Discrete(5), **changed)
    sampled = (
        to_observation_columns({n: s.sample() for n, s in observation.items()})
        if (isinstance(observation, spaces.Dict))
        else {"obs": observation.sample()}
    )
    batch = {name: torch.as_tensor(column)[None] for name, column in sampled.items()}
    outputs, value = policy.compute_outputs(batch)
    assert policy.compute_part_grad_norms() == {}
    (outputs.square().sum() + 1e6 * value.sum() * (observation is FLAT)).backward()
    gradients = policy.get_policy_gradients()
    assert head < set(gradients) and not any("critic" in name for name in gradients)
    squares = {name: g.square().sum().item() for name, g in gradients.items()}
    found = policy.compute_part_grad_norms()
    of_head = sum(squares[name] for name in head)
    assert found["grad_norm_head"] == pytest.approx(of_head**0.5, rel=1e-5)
    rest = (sum(squares.values()) - of_head) ** 0.5
    assert found["grad_norm_backbone"] == pytest.approx(rest, rel=1e-4)
    # With trunks of their own the value's gradient, a million times larger, reaches neither.
    assert found["grad_norm_backbone"] < 1e4


def test_a_large_value_gradient_starves_the_head_of_a_shared_trunk():
    policy = small.module(graph_space(), spaces.Discrete(5), model="set")
    observation = to_observation_columns(graph_space().sample())
    batch = {name: torch.as_tensor(column)[None] for name, column in observation.items()}
    outputs, value = policy.compute_outputs(batch)
    (outputs.square().sum() + 1e6 * value.sum()).backward()
    found = policy.compute_part_grad_norms()
    assert 0 < found["grad_norm_head"] < 1e-3 * found["grad_norm_backbone"]
