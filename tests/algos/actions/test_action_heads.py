# pyright: basic, reportOptionalMemberAccess=false
"""Heads: which action spaces a policy can act in, and how its numbers become actions."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from algos.actions.choice_values import BetaValue, BinnedValue, NormalValue
from algos.actions.choice_with_value import ChoiceWithValue
from algos.actions.choices import Categorical, MultiCategorical
from algos.actions.kinds import ProductDistribution, make_action_head
from algos.actions.topk import TopK
from algos.actions.values import BoxHead, Gaussian
from rungwise.validation import InputError
from tune_jobs.check.rollouts import to_named_arrays

CHOICE_AND_VALUE = spaces.Dict(choice=spaces.Discrete(3), value=spaces.Box(-1, 1, ()))


def drawn(space, count=64):
    """Actions of a head with random outputs, and its distribution."""
    head = make_action_head(space)
    generator = torch.Generator().manual_seed(0)
    dist = head.dist(2 * torch.randn(count, head.size, generator=generator))
    action = dist.sample(generator)
    return head.to_env_action({name: part.numpy() for name, part in action.items()}), dist


def one_of(action, b):
    if isinstance(action, dict):
        return {name: one_of(part, b) for name, part in action.items()}
    if isinstance(action, tuple):
        return tuple(one_of(part, b) for part in action)
    return np.asarray(action[b])


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (spaces.Discrete(3), Categorical),
        (spaces.Discrete(3, start=-1), Categorical),
        (spaces.MultiDiscrete([2, 3]), MultiCategorical),
        (spaces.MultiDiscrete([2, 3], start=[5, 1]), MultiCategorical),
        (spaces.Box(-2, 3, (2,)), Gaussian),
        (spaces.Box(np.array([0, -1], np.float32), np.array([1, 5], np.float32)), Gaussian),
        (spaces.Box(-np.inf, np.inf, (2, 2)), Gaussian),
        (spaces.Box(0, np.inf, (1,)), Gaussian),
        (spaces.Box(-1, 1, (1,), np.float64), Gaussian),
        (CHOICE_AND_VALUE, ChoiceWithValue),
        (spaces.MultiBinary(3), MultiCategorical),
        (spaces.MultiBinary((2, 2)), MultiCategorical),
        (spaces.MultiDiscrete(np.full((2, 2), 3)), MultiCategorical),
        (spaces.Dict(left=spaces.Discrete(2), right=spaces.Box(-1, 4, (2,))), ProductDistribution),
        (
            spaces.Tuple([spaces.Discrete(2), spaces.Dict(a=spaces.MultiBinary(2))]),
            ProductDistribution,
        ),
        (spaces.Dict(choice=spaces.Discrete(2), value=spaces.Box(0, 1, ())), ProductDistribution),
        (spaces.Box(-30_000, 30_000, (2,), np.int16), Gaussian),
        (spaces.Box(0, 255, (), np.uint8), Gaussian),
        (
            spaces.Dict(choice=spaces.Discrete(2), value=spaces.Box(-1, 1, (), np.int8)),
            ProductDistribution,
        ),
    ],
    ids=str,
)
def test_what_a_head_draws_is_an_action_of_the_space(space, kind):
    action, dist = drawn(space)
    assert isinstance(dist, kind)
    assert all(space.contains(one_of(action, b)) for b in range(64))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([2, 3], start=[5, 1]),
        spaces.Box(-2, 3, (2,)),
        spaces.Box(-np.inf, np.inf, (2, 2)),
        spaces.Dict(left=spaces.Discrete(2), right=spaces.Box(-1, 4, (2,))),
        spaces.Tuple([spaces.Discrete(2), spaces.Dict(a=spaces.MultiBinary(2))]),
        spaces.Dict(go=spaces.Discrete(2), set=CHOICE_AND_VALUE),
    ],
    ids=str,
)
def test_columns_of_an_action_are_those_it_was_made_of(space):
    head = make_action_head(space)
    # Zero means: values stay within the bounds, beyond which actions are clipped.
    spread = torch.full((head.num_log_stds,), -3.0)
    drawn = head.dist(torch.zeros(8, head.size), spread).sample(torch.Generator().manual_seed(0))
    columns = {name: part.numpy() for name, part in drawn.items()}
    assert tuple(columns) == head.columns
    found = head.to_action_columns(head.to_env_action(columns))
    assert found.keys() == columns.keys()
    for name, part in columns.items():
        np.testing.assert_allclose(found[name], part, atol=2e-6)


def test_a_choice_in_a_dict_is_shifted_by_its_start():
    space = spaces.Dict(choice=spaces.Discrete(3, start=1), value=spaces.Box(-1, 1, ()))
    action, _ = drawn(space)
    assert set(action["choice"].tolist()) == {1, 2, 3}


def test_discrete_actions_begin_at_the_start_of_their_space():
    assert make_action_head(spaces.Discrete(3, start=-1)).to_env_action(
        {"choice": np.arange(3)}
    ).tolist() == [
        -1,
        0,
        1,
    ]
    several = make_action_head(spaces.MultiDiscrete([2, 3], start=[5, 1]))
    assert several.to_env_action({"choices": np.array([[0, 0], [1, 2]])}).tolist() == [
        [5, 1],
        [6, 3],
    ]


def test_a_bounded_box_is_reached_from_end_to_end_and_not_beyond():
    head = make_action_head(spaces.Box(np.array([0, -1], np.float32), np.array([1, 5], np.float32)))
    value = np.array([[-1, -1], [0, 0], [1, 1], [-3, 9]])
    # -1 is the low end, 0 the middle, 1 the high end, and what lies outside is clipped.
    assert head.to_env_action({"value": value}).tolist() == [[0, -1], [0.5, 2], [1, 5], [0, 5]]


def test_whole_numbers_are_rounded_between_their_bounds():
    space = spaces.Box(np.array([0, -100], np.int8), np.array([4, 100], np.int8), dtype=np.int8)
    head = make_action_head(space)
    values = np.array([[-2, -2], [-0.3, 0.004], [0.3, 0.006], [2, 2]], np.float32)
    action = head.to_env_action({"value": values})
    assert action.dtype == np.int8
    assert action.tolist() == [[0, -100], [1, 0], [3, 1], [4, 100]]
    again = head.to_env_action(head.to_action_columns(action))
    assert again.tolist() == action.tolist()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=-1),
        spaces.Discrete(3, start=-1, dtype=np.int8),
        spaces.MultiDiscrete(np.array([[2, 3]]), start=np.array([[5, 1]])),
        spaces.MultiBinary((2, 2)),
        spaces.Box(0, 2000, (2,)),
        spaces.Box(-3, np.inf, (1, 2), np.float64),
        spaces.Box(0, 5, (), np.float64),
        spaces.Box(-30_000, 30_000, (2,), np.int16),
        spaces.Dict(go=spaces.Discrete(2, start=3), set=CHOICE_AND_VALUE),
        spaces.Dict(
            choice=spaces.Discrete(2, dtype=np.int16), value=spaces.Box(-1, 1, (), np.float64)
        ),
    ],
    ids=str,
)
def test_tensors_become_the_actions_that_arrays_become(space):
    head = make_action_head(space)
    action: Any = head.dist(torch.randn(50, head.size)).sample(torch.Generator().manual_seed(0))
    arrays = {name: part.numpy() for name, part in action.items()}
    expected_actions = head.to_env_action(arrays)
    expected = to_named_arrays(expected_actions)
    found = to_named_arrays(head.to_env_action(action))
    assert all(action in space for action in iterate(batch_space(space, 50), expected_actions))
    for name, part in expected.items():
        assert found[name].dtype == part.dtype
        np.testing.assert_array_equal(found[name], part)


def test_values_of_a_box_are_clipped_only_at_its_bounds():
    value = {"value": np.array([[-3.0], [7.0]])}
    assert make_action_head(spaces.Box(-np.inf, np.inf, (1,))).to_env_action(value).tolist() == [
        [-3],
        [7],
    ]
    assert make_action_head(spaces.Box(0, np.inf, (1,))).to_env_action(value).tolist() == [[0], [7]]


def test_bounds_without_meaning_are_none():
    large = float(np.finfo(np.float32).max)
    for bound in (large, 1e10):
        head = make_action_head(spaces.Box(-bound, bound, (3,), np.float32))
        drawn = np.array([[-0.1, 0.0, 2.0]], np.float32)
        np.testing.assert_array_equal(head.to_env_action({"value": drawn}), drawn)
    narrow = make_action_head(spaces.Box(0, 5e6, (1,), np.float32))
    assert narrow.to_env_action({"value": np.zeros((1, 1), np.float32)})[0, 0] == 2.5e6


def test_a_bound_of_a_single_value_is_no_division_by_zero():
    low, high = np.array([0, 1], np.float32), np.array([0, 2], np.float32)
    head = make_action_head(spaces.Box(low, high))
    columns = head.to_action_columns(np.array([[0.0, 1.75]], np.float32))
    np.testing.assert_array_equal(columns["value"], [[0, 0.5]])
    np.testing.assert_array_equal(head.to_env_action(columns), [[0, 1.75]])


def test_a_box_of_any_shape_keeps_it():
    head = make_action_head(spaces.Box(-1, 1, (2, 3)))
    assert head.to_env_action({"value": np.zeros((4, 6))}).shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("value", "kind"), [("bins", BinnedValue), ("beta", BetaValue), ("normal", NormalValue)]
)
def test_the_value_of_a_choice_is_drawn_as_the_settings_say(value, kind):
    head = make_action_head(CHOICE_AND_VALUE, value, bins=7)
    assert head.size == 3 * {"bins": 1 + 7, "beta": 1 + 2, "normal": 1 + 1}[value]
    assert make_action_head(CHOICE_AND_VALUE).size == 3 * (1 + 21)  # 21 bins by default
    dist = head.dist(torch.zeros(1, head.size))
    assert isinstance(dist, ChoiceWithValue) and dist.value is kind


def test_all_choices_share_one_spread_of_normal_values():
    head = make_action_head(CHOICE_AND_VALUE, "normal")
    outputs = torch.randn(4, 6 * 2, generator=torch.Generator().manual_seed(0))
    free = torch.tensor([-1.5], requires_grad=True)
    dist: Any = head.dist(outputs, free)  # six choices by a head that was made for three
    assert head.num_log_stds == 1 and dist.params.shape == (4, 6, 2)
    assert (dist.params[..., 1] == -1.5).all()
    dist.entropy().sum().backward()
    assert free.grad is not None and free.grad.item() > 0
    labelled = head.label_outputs(outputs, free)
    assert list(labelled) == ["choice", "value", "value (spread)"]
    each = outputs.view(4, 6, 2)
    assert labelled["choice"].equal(each[..., 0]) and labelled["value"].equal(each[..., 1:])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max - 1, (2,), np.int64),
        spaces.Box(0, np.inf, (2,), np.int32),
        spaces.Box(-np.inf, 5, (2,), np.int8),
        spaces.Dict(),
        spaces.Sequence(spaces.Discrete(2)),
    ],
    ids=str,
)
def test_a_space_that_no_policy_can_act_in_is_refused(space):
    with pytest.raises(InputError) as refusal:
        make_action_head(space)
    sentence = str(refusal.value)
    assert sentence.startswith(f"No policy here can act in {space}. Use Discrete")
    assert "wrapper" in sentence


def test_a_part_that_no_policy_can_act_in_is_named_itself():
    with pytest.raises(InputError, match=r"act in Text"):
        make_action_head(spaces.Dict(move=spaces.Discrete(2), say=spaces.Text(5)))


def test_the_parts_of_a_product_are_independent_and_add_up():
    head = make_action_head(spaces.Dict(left=spaces.Discrete(2), right=spaces.Discrete(3)))
    outputs = torch.tensor([[0.3, -0.2, 1.0, 0.0, -1.0]])
    dist = head.dist(outputs)
    left, right = Categorical(outputs[:, :2]), Categorical(outputs[:, 2:])
    total = 0.0
    for i in range(2):
        for j in range(3):
            pair = {"left.choice": torch.tensor([i]), "right.choice": torch.tensor([j])}
            apart = left.logp({"choice": pair["left.choice"]}) + right.logp(
                {"choice": pair["right.choice"]}
            )
            torch.testing.assert_close(dist.logp(pair), apart)
            total += float(dist.logp(pair).exp())
    assert total == pytest.approx(1)
    torch.testing.assert_close(dist.entropy(), left.entropy() + right.entropy())
    assert dist.max_entropy().item() == pytest.approx(np.log(6))


def test_ordered_picks_need_rows_of_whole_numbers_from_minus_1():
    space = spaces.Box(-1, 8, (4, 2), np.int64)
    head = make_action_head(space)
    outputs = torch.randn(3, 4, 5)
    outputs[:, 1, 1:] = -1e30
    dist = head.dist(outputs)
    assert isinstance(dist, TopK)
    picks = dist.sample(torch.Generator().manual_seed(0))["picks"].numpy()
    assert (picks[:, 1] == [0, -1]).all() and (np.delete(picks, 1, 1) >= 0).all()
    action = head.to_env_action({"picks": picks})
    assert all(one in space for one in action)
    assert (head.to_action_columns(action)["picks"] == picks).all()
    assert list(head.label_outputs(outputs, torch.empty(0))) == ["picks"]
    with pytest.raises(InputError, match="No policy here can act in"):
        make_action_head(spaces.Dict(a=space, b=spaces.Discrete(2)))
    for other in (spaces.Box(0, 8, (4, 2), np.int64), spaces.Box(-1, 8, (4, 2))):
        assert isinstance(make_action_head(other), BoxHead)


def test_each_of_several_choices_obeys_its_share_of_the_mask():
    head = make_action_head(spaces.MultiDiscrete([3, 2], start=[1, 5]))
    outputs = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[0, 1, 1, 1, 0]], dtype=torch.int8).expand(200, 5)
    dist = head.dist(outputs, mask=mask)
    action = dist.sample(torch.Generator().manual_seed(1))
    assert set(action["choices"][:, 0].tolist()) == {1, 2}
    assert set(action["choices"][:, 1].tolist()) == {0}
    # By hand: the second part is forced, the first a choice between two of its three options.
    two = torch.log_softmax(outputs[:, 1:3], -1)
    expected = two.gather(-1, action["choices"][:, :1] - 1)[:, 0]
    torch.testing.assert_close(dist.logp(action), expected)
    torch.testing.assert_close(dist.max_entropy(), torch.full((200,), np.log(2)).float())
    torch.testing.assert_close(dist.entropy(), -(two.exp() * two).sum(-1))


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (spaces.Discrete(3), 3),
        (spaces.MultiDiscrete([3, 2]), 5),
        (CHOICE_AND_VALUE, 3),
        (spaces.MultiBinary(3), 0),
        (spaces.Box(-1, 1, (2,)), 0),
        (spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)]), 0),
    ],
)
def test_a_head_says_how_many_options_a_mask_names(space, size):
    assert make_action_head(space).mask_size == size
