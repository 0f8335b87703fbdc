# pyright: basic
"""Figures of updates and rollouts, worked out by hand."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from algos.actions.action_heads import make_action_head
from algos.actions.array_backend import (
    draw_exponential,
    get_array_module,
    log_softmax,
    take_at_index,
    to_float32,
    to_native_array,
)
from algos.actions.distributions import (
    BetaValue,
    BinnedValue,
    Categorical,
    ChoiceWithValue,
    Gaussian,
    MultiCategorical,
    NormalValue,
    Product,
    select_part_columns,
)
from algos.actions.temperature import has_choices
from algos.actions.topk import TopK, entropy_per_choice, log_probabilities
from algos.advantages import (
    compute_next_values,
    compute_value_metrics,
    estimate_v_star,
    has_signal,
    normalise,
)
from algos.exploration import (
    adapt_entropy_coef,
    adapt_kl_coef,
    compute_entropy_metrics,
    marginal_entropy,
)
from algos.losses import average_over_rows, clip_fraction, kl_estimate, sum_loss_terms
from algos.rollouts.columns import Columns
from algos.rollouts.reward_scale import RewardScale
from algos.rollouts.rollout import (
    Rollout,
    mask_first_episodes,
    normalise_advantages,
    number_episodes,
)


def array(*rows):
    return np.array(rows, np.float32)


# Advantages and values.


def test_a_value_function_is_described_by_its_size_and_what_it_explains():
    values, returns = array(1, -3, 2, 0), array(2, -2, 2, 0)
    found = compute_value_metrics(values, returns)
    assert (found["value_abs_max"], found["target_abs_max"]) == (3, 2)
    # Errors 1, 1, 0, 0 have the variance .25; returns of mean .5 that of 11 / 4.
    assert found["explained_variance"] == pytest.approx(1 - 0.25 / 2.75)
    assert compute_value_metrics(returns, returns)["explained_variance"] == 1


def test_equal_returns_leave_nothing_to_explain():
    found = compute_value_metrics(array(1, 2), array(-5, -5))
    assert found == {"value_abs_max": 2, "target_abs_max": 5}
    assert compute_value_metrics(array(1, 2), array(0, 1e-7)).keys() == found.keys()
    assert "explained_variance" in compute_value_metrics(array(1, 2), array(0, 1e-5))


def test_normalised_advantages_are_centred_and_of_one_deviation():
    np.testing.assert_allclose(normalise(array(1, 3, 5)), array(-1, 0, 1) * math.sqrt(1.5))
    assert normalise(array(2, 2)).tolist() == [0, 0]
    assert normalise(np.array([1.0, 2.0])).dtype == np.float32


def test_next_values_keep_their_precision():
    flags = np.zeros((1, 1), bool)
    found = compute_next_values(array([1]), array(2), flags, flags, array([3]))
    assert found.dtype == np.float32 and found.tolist() == [[2]]


def test_a_group_has_a_signal_unless_all_returns_are_equal_up_to_rounding():
    returns = array([1, 1, 1], [1, 1, 1.001], [np.nan, 1, 1], [0, 0, 1e-6])
    assert has_signal(returns).tolist() == [False, True, True, True]
    nearly = np.array([[1.0, 1.0 + 1e-10], [1.0, 1.0 + 1e-6]])
    assert has_signal(nearly).tolist() == [False, True]


def test_the_optimal_value_lies_between_mean_and_maximum():
    returns = array([1, 2, 6])
    assert estimate_v_star(returns, "mean", 1.0).tolist() == [3]
    assert estimate_v_star(returns, "max", 1.0).tolist() == [6]
    expected = 2 * math.log((math.exp(0.5) + math.exp(1) + math.exp(3)) / 3)
    assert estimate_v_star(returns, "softmax", 2.0)[0] == pytest.approx(expected)
    for kind in ("softmax", "max", "mean"):
        assert estimate_v_star(returns, kind, 1.0).dtype == np.float32


# Losses.


def test_the_clipped_share_counts_ratios_beyond_the_clip_on_both_sides():
    logp = torch.tensor([1.0, 1.25, 0.75, 1.15, 0.85, 2.0]).log()
    assert clip_fraction(logp, torch.zeros(6), 0.2).item() == pytest.approx(0.5)
    assert clip_fraction(logp + 3, torch.full((6,), 3.0), 0.2).item() == pytest.approx(0.5)


def test_terms_of_a_loss_are_added_per_row_and_averaged():
    terms = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor(2.0)}
    assert sum_loss_terms(terms).item() == 4


def test_the_loss_of_an_action_is_the_mean_of_its_rows():
    assert average_over_rows(torch.tensor([[1.0, 3.0], [2.0, 2.0]])).tolist() == [2, 2]
    assert average_over_rows(torch.tensor([1.0, 3.0])).tolist() == [1, 3]


def test_the_estimate_of_kl_is_schulmans_third():
    found = kl_estimate(torch.tensor([0.5, -1.0]), torch.tensor([0.0, 1.0]))
    assert found.tolist() == pytest.approx([math.exp(0.5) - 1.5, math.exp(-2) + 1])


# Distributions.

LOGITS = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])


def test_entropies_are_means_over_the_batch_by_name():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    dist = Categorical(LOGITS, mask)
    p = LOGITS[0].softmax(-1)
    first = -(p * p.log()).sum().item()
    found = {name: value.item() for name, value in compute_entropy_metrics(dist).items()}
    assert found["entropy"] == pytest.approx((first + math.log(2)) / 2)
    assert found["entropy_normalised"] == pytest.approx((first / math.log(3) + 1) / 2)
    expected = marginal_entropy(dist.choice_probabilities()).item()
    assert found["choice_entropy"] == pytest.approx(expected)


def test_a_continuous_action_has_an_entropy_alone():
    dist = Gaussian(torch.zeros(4, 2), torch.zeros(2))
    assert set(compute_entropy_metrics(dist)) == {"entropy"}
    assert compute_entropy_metrics(dist)["entropy"].item() == pytest.approx(
        1 + math.log(2 * math.pi)
    )


def test_the_highest_entropy_is_that_of_the_legal_choices():
    assert Categorical(LOGITS).max_entropy().tolist() == pytest.approx([math.log(3)] * 2)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    highest = Categorical(LOGITS, mask).max_entropy().tolist()
    assert highest == pytest.approx([math.log(2), math.log(3)])
    both = MultiCategorical([Categorical(LOGITS), Categorical(LOGITS[:, :2])])
    assert (most := both.max_entropy()) is not None and most.tolist() == pytest.approx(
        [math.log(6)] * 2
    )
    most = Product({"a": both, "b": Categorical(LOGITS)}).max_entropy()
    assert most is not None and most.tolist() == pytest.approx([math.log(18)] * 2)
    assert Product({"a": both, "b": Gaussian(LOGITS, LOGITS[0])}).max_entropy() is None
    for value in (BetaValue, NormalValue):
        found = value(torch.zeros(2, 2)).max_entropy()
        assert found.tolist() == pytest.approx([math.log(2)] * 2)
    assert BinnedValue(torch.zeros(2, 21)).max_entropy().tolist() == pytest.approx(
        [math.log(21)] * 2
    )


def test_modes_are_the_most_likely_actions():
    assert Categorical(LOGITS).mode()["choice"].tolist() == [2, 0]
    both = MultiCategorical([Categorical(LOGITS), Categorical(-LOGITS)])
    assert both.mode()["choices"].tolist() == [[2, 0], [0, 2]]
    assert Gaussian(LOGITS, LOGITS[0]).mode()["value"] is not None
    torch.testing.assert_close(Gaussian(LOGITS, LOGITS[0]).mode()["value"], LOGITS)
    joined = Product({"a": Categorical(LOGITS), "b": Gaussian(LOGITS, LOGITS[0])}).mode()
    assert set(joined) == {"a.choice", "b.value"}
    assert BinnedValue(LOGITS).mode()["value"].tolist() == [1, -1]


def test_a_gaussian_has_the_density_of_the_textbook_within_bounds():
    dist = Gaussian(torch.tensor([[1.0, -1.0]]), torch.tensor([0.5, 0.0]))
    torch_own = torch.distributions.Normal(
        torch.tensor([1.0, -1.0]), torch.tensor([0.5, 0.0]).exp()
    )
    value = torch.tensor([[0.3, 0.4]])
    assert dist.logp({"value": value}).item() == pytest.approx(
        torch_own.log_prob(value).sum().item()
    )
    assert dist.entropy().item() == pytest.approx(torch_own.entropy().sum().item())
    assert Gaussian(LOGITS, torch.tensor([-50.0, 50, 0])).log_std.tolist() == [-10, 3, 0]


def test_a_binned_value_is_taken_at_the_nearest_point_of_its_grid():
    dist = BinnedValue(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]))
    shares = torch.arange(5.0).log_softmax(-1).tolist()
    for value, place in ((-1.0, 0), (-0.8, 0), (-0.7, 1), (0.1, 2), (0.5, 3), (1.0, 4)):
        found = dist.logp({"value": torch.tensor([value])}).item()
        assert found == pytest.approx(shares[place])


@pytest.mark.parametrize("value", [BetaValue, NormalValue])
def test_a_density_over_values_sums_to_one_and_has_its_entropy(value):
    dist = value(torch.tensor([0.3, -0.5]).expand(20_001, 2))
    grid = torch.linspace(-1 + 1e-5, 1 - 1e-5, 20_001)
    logp = dist.logp({"value": grid}).double()
    assert torch.trapezoid(logp.exp(), grid).item() == pytest.approx(1, abs=1e-3)
    found = -torch.trapezoid(logp.exp() * logp, grid).item()
    assert dist.entropy()[0].item() == pytest.approx(found, abs=2e-3)
    best = grid[logp.argmax()].item()
    assert dist.mode()["value"][0].item() == pytest.approx(best, abs=1e-3)


def test_a_choice_with_a_value_has_the_entropy_of_both():
    outputs = torch.cat([LOGITS[..., None], torch.zeros(2, 3, 2)], -1)
    dist = ChoiceWithValue(outputs, None, NormalValue)
    value = NormalValue(torch.zeros(2)).entropy().item()
    expected = Categorical(LOGITS).entropy() + value
    torch.testing.assert_close(dist.entropy(), expected)
    torch.testing.assert_close(dist.max_entropy(), torch.full((2,), math.log(3) + math.log(2)))
    torch.testing.assert_close(dist.choice_probabilities(), LOGITS.softmax(-1))
    assert dist.mode()["choice"].tolist() == [2, 0]


def test_columns_of_a_part_lose_its_name_and_others_are_left_out():
    action = {"a.choice": 1, "ab.choice": 2, "a.b.value": 3}
    assert select_part_columns("a", action) == {"choice": 1, "b.value": 3}


def test_picks_have_log_probabilities_by_row_and_in_all():
    dist = TopK(LOGITS[None], None, 2)
    action = {"picks": torch.tensor([[[2, 1], [0, 1]]])}
    found = log_probabilities(dist, action)
    torch.testing.assert_close(found["row_logp"].sum(-1), found["logp"])
    assert set(log_probabilities(Categorical(LOGITS), {"choice": torch.tensor([0, 1])})) == {"logp"}


def test_the_entropy_of_picks_is_that_of_each_rows_first():
    mask = torch.tensor(
        [[True, True, True], [True, True, False], [False] * 3, [True, False, False]]
    )
    dist = TopK(torch.cat([LOGITS, LOGITS]), mask, 2)
    p = LOGITS[0].softmax(-1)
    first = -(p * p.log()).sum().item()
    expected = [first, math.log(2), 0, 0]
    assert dist.row_entropy().tolist() == pytest.approx(expected, abs=1e-6)
    assert dist.entropy().item() == pytest.approx(sum(expected))
    assert dist.max_entropy().item() == pytest.approx(math.log(3) + math.log(2))
    assert dist.normalised_entropy().item() == pytest.approx((first / math.log(3) + 1) / 2)
    assert entropy_per_choice(dist).item() == pytest.approx(sum(expected) / 4)
    assert entropy_per_choice(Categorical(LOGITS)).shape == (2,)
    assert dist.choice_probabilities() is None and TopK(LOGITS, None, 9).k == 3


# Exploration.


def test_the_weight_of_the_entropy_moves_by_its_rate_within_bounds():
    assert adapt_entropy_coef(1.0, 0.4, 0.5, rate=0.5) == 1.5
    assert adapt_entropy_coef(1.5, 0.5, 0.5, rate=0.5) == pytest.approx(1.0)
    assert adapt_entropy_coef(1.0, 0.0, 0.5, rate=0.5, high=1.2) == 1.2
    assert adapt_entropy_coef(1e-6, 1.0, 0.5) == 1e-6
    assert adapt_entropy_coef(0.0, 1.0, 0.5) == 1e-6


def test_the_weight_of_the_kl_stays_at_the_edges_of_its_band():
    assert adapt_kl_coef(0.2, 0.75, 0.5) == 0.2
    assert adapt_kl_coef(0.2, 0.5 / 1.5, 0.5) == 0.2


def test_a_choice_that_is_never_taken_adds_nothing_to_the_marginal_entropy():
    found = marginal_entropy(torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]))
    assert found.item() == pytest.approx(math.log(2))


def test_only_choices_can_be_tempered():
    box = spaces.Box(-1, 1, (2,), np.float32)
    number, several = spaces.Discrete(3), spaces.MultiDiscrete([2, 3])

    assert has_choices(make_action_head(number)) and has_choices(make_action_head(several))
    assert not has_choices(make_action_head(box))
    assert has_choices(make_action_head(spaces.Dict({"a": box, "b": number})))
    assert not has_choices(make_action_head(spaces.Dict({"a": box, "b": box})))


# Arrays of either library.


def test_both_libraries_compute_alike():
    x = np.array([[0.0, 1.0, 3.0], [5.0, 5.0, 5.0]], np.float32)
    tensor = torch.as_tensor(x)
    np.testing.assert_allclose(log_softmax(x), log_softmax(tensor).numpy(), rtol=1e-6)
    np.testing.assert_allclose(np.exp(log_softmax(x)).sum(-1), 1, rtol=1e-6)
    assert get_array_module(x) is np and get_array_module(tensor) is torch
    index = np.array([2, 0])
    assert take_at_index(x, index).tolist() == [3, 5]
    assert take_at_index(tensor, torch.as_tensor(index)).tolist() == [3, 5]
    draws = [draw_exponential(like, torch.Generator().manual_seed(0)) for like in (x, tensor)]
    np.testing.assert_array_equal(draws[0], draws[1].numpy())
    assert draws[0].shape == x.shape and (draws[0] > 0).all()
    assert to_float32(x.astype(np.float64)).dtype == np.float32
    assert to_float32(tensor.double()).dtype == torch.float32
    assert to_float32(x) is x


def test_an_array_of_a_tensor_shares_its_memory_without_its_history():
    tensor = torch.ones(2, requires_grad=True)
    shared = to_native_array(tensor)
    assert isinstance(shared, np.ndarray)
    shared[0] = 5
    assert tensor.tolist() == [5, 1]


def test_log_softmax_of_large_numbers_stays_finite():
    assert log_softmax(np.array([1000.0, 0.0])).tolist() == [0, -1000]


# Rollouts.


def rollout(**columns):
    ones = np.ones((3, 2), bool)
    rewards = array([1, 2], [3, 4], [5, 6])
    done = np.array([[False, True], [True, False], [False, False]])
    return Rollout(columns, rewards, rewards * 0, rewards * 0, done, ones, reward_unit=2.0)


def test_rewards_are_divided_by_their_unit_once():
    found = rollout(row_reward=np.full((3, 2, 4), 6.0), other=np.ones((3, 2))).normalise_rewards()
    assert found.rewards.tolist() == [[0.5, 1], [1.5, 2], [2.5, 3]]
    assert (found.columns["row_reward"] == 3).all() and (found.columns["other"] == 1).all()
    assert (
        found.reward_unit == 1
        and found.normalise_rewards().rewards.tolist() == found.rewards.tolist()
    )


def test_rows_are_the_valid_steps_in_the_order_of_time():
    of = rollout(place=np.arange(6).reshape(3, 2))
    assert of.to_rows()["place"].tolist() == [0, 1, 2, 3, 4, 5]
    of.valid[1, 0] = False
    rows = of.to_rows(reward=of.rewards)
    assert rows["place"].tolist() == [0, 1, 3, 4, 5]
    assert rows["reward"].tolist() == [1, 2, 4, 5, 6]


def test_each_row_of_an_action_has_its_own_reward_as_its_advantage():
    own = np.stack([np.zeros((3, 2)), 2 * rollout().rewards], -1)
    of = rollout(row_reward=own)
    found = of.compute_row_advantages(np.full((3, 2), 10.0))["row_advantages"]
    np.testing.assert_allclose(found[..., 0], 10 - of.rewards)
    np.testing.assert_allclose(found[..., 1], 10 + of.rewards)
    assert rollout().compute_row_advantages(np.ones((3, 2))) == {}


def test_returns_count_valid_steps_and_stop_where_an_episode_ends():
    of = rollout()
    of.valid[2, 1] = False
    assert of.returns(0.5).tolist() == [1 + 1.5 + 1.25, 2 + 2]
    assert of.returns_to_go(0.5).tolist() == [[2.5, 2], [3, 4], [5, 0]]


def test_returns_of_rows_are_those_of_their_own_rewards():
    of = rollout(row_reward=np.stack([rollout().rewards, np.ones((3, 2))], -1))
    of.valid[2, 1] = False
    found = of.row_returns_to_go(0.5)
    assert found is not None
    np.testing.assert_allclose(found[..., 0], of.returns_to_go(0.5))
    assert found[..., 1].tolist() == [[1.5, 1], [1, 1], [1, 0]]
    assert rollout().row_returns_to_go(0.5) is None


def test_episodes_hold_the_valid_steps_of_each_copy():
    of = rollout(place=np.arange(6).reshape(3, 2))
    of.valid[2, 0] = False
    table = of.to_episodes(score=np.array([7.0, 8.0]))
    assert table["place"].values.tolist() == [0, 2, 1, 3, 5]
    assert table["place"].offsets.tolist() == [0, 2, 5]
    assert table["score"].tolist() == [7, 8]


def test_advantages_are_normalised_wherever_there_are_some():
    rows = Columns(
        {"advantages": array(1, 3), "row_advantages": array([0, 2], [2, 4]), "x": array(1, 2)}
    )
    found = normalise_advantages(rows)
    assert found["advantages"].tolist() == pytest.approx([-1, 1])
    np.testing.assert_allclose(found["row_advantages"].mean(), 0, atol=1e-6)
    assert found["x"].tolist() == [1, 2]
    assert "row_advantages" not in normalise_advantages(Columns({"advantages": array(1, 3)}))


def test_first_episodes_end_where_they_do_or_at_the_end():
    done = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]], bool)
    ends, valid = mask_first_episodes(done)
    assert valid.tolist() == [[1, 1, 1], [1, 0, 1], [0, 0, 1]]
    assert ends.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_episodes_are_numbered_by_where_they_began():
    done = np.array([[False, True], [True, False], [False, True]])
    numbers, begun = number_episodes(done, np.array([4, 7]), 10)
    assert numbers.tolist() == [[8, 15], [8, 23], [24, 23]]
    assert begun.tolist() == [12, 13]


def test_the_unit_of_rewards_is_the_root_mean_square_of_returns():
    scale = RewardScale()
    assert scale.unit == 1
    scale.record_returns([3.0, math.nan, math.inf, -4.0])
    assert (scale.episodes, scale.unit) == (2, pytest.approx(math.sqrt(12.5)))
    other = RewardScale()
    other.set_state(scale.get_state())
    other.record_returns([0.0])
    assert (other.episodes, other.unit) == (3, pytest.approx(math.sqrt(25 / 3)))
    zero = RewardScale()
    zero.record_returns([0.0])
    assert (zero.episodes, zero.unit) == (1, 1)
