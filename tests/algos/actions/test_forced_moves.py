# pyright: basic
"""Steps in which one action alone is legal say nothing about how undecided a policy is."""

import math

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.actions.choice_values import BinnedValue
from algos.actions.choice_with_value import ChoiceWithValue
from algos.actions.choices import Categorical, MultiCategorical
from algos.actions.kinds import ProductDistribution, make_action_head
from algos.actions.topk import TopK
from algos.actions.values import Gaussian
from algos.losses import compute_entropy_metrics, over_choices
from algos.ppo import PPOObjective
from algos.rollouts.episode_statistics import merge_statistics
from rungwise.health.history import History
from rungwise.health.rules import RULES

FREE, FORCED = [1, 1, 0, 1], [0, 1, 0, 0]
FORCED_WORLD = "toy_worlds:Forced-v0"
LONG = {"rollout_length": 64, "minibatch_size": 64, "lr": 1e-6}
SHARE = math.log(2) / math.log(3)
"""Of the largest entropy, where two of three legal choices are equally likely."""


def logits(*masks):
    """Two of the free row's three legal choices are equally likely, the third never taken."""
    return torch.tensor([[0.0, 0.0, 0.0, -1e9]] * len(masks))


def masked(*masks):
    return Categorical(logits(*masks), torch.tensor(masks))


def several(*masks):
    return MultiCategorical([masked(*masks), Categorical(torch.zeros(len(masks), 1))])


def parts(*masks):
    return ProductDistribution(
        {"first": masked(*masks), "second": Categorical(torch.zeros(len(masks), 1))}
    )


def picks(*masks):
    """Two rows in a graph: the second never has a choice."""
    both = torch.tensor([[mask, FORCED] for mask in masks]).bool()
    return TopK(logits(*masks)[:, None].expand(both.shape), both, 2)


def reported(dist):
    return over_choices(
        {name: float(value) for name, value in compute_entropy_metrics(dist).items()}
    )


@pytest.mark.parametrize("make", [masked, several, parts, picks])
def test_entropy_is_a_mean_over_rows_with_a_choice(make):
    alone, among = reported(make(FREE)), reported(make(FREE, FORCED, FORCED, FORCED))
    assert alone["entropy_normalised"] == pytest.approx(SHARE, abs=1e-6)
    assert alone["choice_step_fraction"] == 1
    assert among["choice_step_fraction"] == 0.25
    for name in ("entropy", "entropy_normalised"):
        assert among[name] == pytest.approx(alone[name], abs=1e-6)


@pytest.mark.parametrize("make", [masked, several, parts, picks])
def test_without_any_choice_there_is_no_entropy(make):
    found = reported(make(FORCED, FORCED))
    assert found["choice_step_fraction"] == 0
    assert not {"entropy", "entropy_normalised"} & set(found)


def test_a_row_without_any_legal_action_is_left_out():
    assert reported(masked(FREE, [0, 0, 0, 0]))["entropy_normalised"] == pytest.approx(SHARE)


def test_a_value_is_a_choice_where_its_choice_is_forced():
    dist = ChoiceWithValue(torch.zeros(1, 4, 6), torch.tensor([FORCED]), BinnedValue)
    found = reported(dist)
    assert found["choice_step_fraction"] == 1
    assert found["entropy_normalised"] == pytest.approx(1)


def test_a_policy_without_largest_entropy_reports_all_rows():
    found = reported(Gaussian(torch.zeros(3, 2), torch.zeros(2)))
    assert set(found) == {"entropy"}


def test_minibatches_and_learners_are_averaged_by_their_choices():
    # 1 of 4 rows with a choice in the one, 3 of 4 in the other, whose policy is uniform.
    one = compute_entropy_metrics(masked(FREE, FORCED, FORCED, FORCED))
    masks = torch.tensor([FREE, FREE, FREE, FORCED])
    two = compute_entropy_metrics(Categorical(torch.zeros(4, 4), masks))
    averaged = over_choices({name: float(one[name] + two[name]) / 2 for name in one})
    assert averaged["entropy_normalised"] == pytest.approx((SHARE + 3) / 4, abs=1e-6)


def test_an_entropy_that_is_not_finite_stays_so():
    dist = Categorical(torch.full((2, 4), math.nan), torch.tensor([FREE, FORCED]))
    assert math.isnan(reported(dist)["entropy_normalised"])


@pytest.mark.parametrize(
    "space", [spaces.Discrete(3), spaces.MultiDiscrete([3, 2]), spaces.Box(-1, 1, (2,), np.float32)]
)
def test_heads_without_a_mask_report_what_they_did(space):
    head = make_action_head(space)
    dist = head.dist(torch.randn(5, head.size, generator=torch.Generator().manual_seed(0)))
    found = reported(dist)
    assert found["entropy"] == pytest.approx(float(dist.entropy().mean()))
    if (highest := dist.max_entropy()) is not None:
        expected = float((dist.entropy() / highest).mean())
        assert found["entropy_normalised"] == pytest.approx(expected)


# The learner and the runner, whose network is the fused one.


def collected(every, **changed):
    """The rows and metrics of one rollout."""
    rows, statistics = small.runner(FORCED_WORLD, {"every": every}, **LONG | changed).sample()
    return rows, merge_statistics([statistics])


def learnt(every, **changed):
    """A learner with a nearly uniform policy after an update, and what it reported."""
    learner = small.learner(FORCED_WORLD, **LONG | changed)
    with torch.no_grad():
        for parameter in learner.module[DEFAULT_MODULE_ID].parameters():
            parameter.mul_(0.01)
    return learner, small.updated(
        learner, PPOObjective(learner.objective.settings).preprocess_batch(collected(every)[0])[0]
    )


def test_a_uniform_policy_has_all_the_entropy_it_can_have():
    _, metrics = learnt(32)
    assert metrics["choice_step_fraction"] < 0.1
    assert metrics["entropy_normalised"] == pytest.approx(1, abs=1e-3)
    assert metrics["entropy"] == pytest.approx(math.log(4), abs=1e-3)


def test_the_entropy_target_is_steered_to_by_the_same_number():
    # The policy is uniform: above any target below 1, whatever is forced.
    learner, _ = learnt(32, entropy_coef=0.3, entropy_target=0.5)
    assert learner.coefficients["entropy_coef"] == pytest.approx(0.3 / 1.1)
    learner, metrics = learnt(0, entropy_coef=0.3, entropy_target=0.5)
    assert learner.coefficients["entropy_coef"] == 0.3
    assert metrics["choice_step_fraction"] == 0 and "entropy_normalised" not in metrics


def test_a_forced_move_has_no_gradient_of_the_entropy_bonus():
    _, metrics = learnt(0, entropy_coef=0.3)
    assert metrics["grad_norm_entropy"] == 0
    _, metrics = learnt(8, entropy_coef=0.3)
    assert metrics["grad_norm_entropy"] > 0


def test_choices_are_counted_where_there_is_a_choice():
    rows, metrics = collected(8)
    free = rows["obs.mask"].sum(-1) > 1
    counts = np.bincount(rows["choice"][free], minlength=4)
    assert 0 < free.mean() < 0.2
    assert metrics["choice_fractions"] == pytest.approx((counts / counts.sum()).tolist())
    assert metrics["choice_fraction_max"] < 0.8
    assert not {"choice_fractions", "choice_fraction_max"} & set(collected(0)[1])


# The rules.


@pytest.mark.parametrize(
    "symptom",
    ["entropy_collapse", "no_exploration", "entropy_stuck_at_max", "choice_concentration"],
)
def test_rules_do_not_judge_a_run_without_a_choice(symptom):
    rows = [{"iteration": i, "score": 1.0, "choice_step_fraction": 0.0} for i in range(1, 61)]
    assert RULES[symptom](History(rows, 60)) is None


def test_a_bonus_on_forced_moves_is_not_called_detached():
    row = {"score": 1.0, "grad_norm_entropy": 0.0, "entropy_coef": 0.1, "choice_step_fraction": 0.0}
    rows = [row | {"iteration": i} for i in range(1, 31)]
    rule = RULES["entropy_without_gradient"]
    assert rule(History(rows, 60)) is None
    assert rule(History([r | {"choice_step_fraction": 0.5} for r in rows], 60)) is not None
