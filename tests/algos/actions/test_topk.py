# pyright: basic
"""Ordered top-k picks: exact probabilities, exact counts, never an illegal choice."""

import itertools
import math

import pytest
import torch

from algos.actions.choices import Categorical
from algos.actions.topk import TopK, entropy_per_choice, log_probabilities

LOGITS = torch.tensor(
    [[0.3, -1.2, 2.0, 0.3, -0.4], [1.0, 0.0, 5.0, -2.0, 0.7]], dtype=torch.float64
)
MASK = torch.tensor([[True] * 5, [True, True, False, False, True]])


def by_enumeration(logits, mask, picks):
    """The probability of ordered picks, one softmax after the other."""
    left, probability = mask.clone(), 1.0
    for pick in picks:
        shares = torch.where(left, logits.exp(), 0.0)
        probability *= float(shares[pick] / shares.sum())
        left[pick] = False
    return probability


@pytest.mark.parametrize("k", [1, 2, 3])
def test_probabilities_equal_enumeration_and_sum_to_one(k):
    total = torch.zeros(2, dtype=torch.float64)
    for row in range(2):
        legal = MASK[row].nonzero()[:, 0].tolist()
        for picks in itertools.permutations(legal, k):
            action = {"picks": torch.tensor([picks, picks])}
            found = TopK(LOGITS, MASK, k).row_logp(action)[row].exp()
            assert float(found) == pytest.approx(by_enumeration(LOGITS[row], MASK[row], picks))
            total[row] += found
    torch.testing.assert_close(total, torch.ones(2, dtype=torch.float64))


def test_rows_with_fewer_than_k_choices_end_in_minus_one():
    dist = TopK(LOGITS, MASK, 4)
    action = dist.sample(torch.Generator().manual_seed(0))
    first, second = action["picks"]
    assert (first >= 0).all() and len(set(first.tolist())) == 4
    assert set(second[:3].tolist()) == {0, 1, 4} and second[3] == -1
    expected = by_enumeration(LOGITS[1], MASK[1], second[:3].tolist())
    assert float(dist.row_logp(action)[1].exp()) == pytest.approx(expected)


def test_rows_without_choices_pick_nothing_at_no_cost():
    dist = TopK(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool), 2)
    action = dist.sample()
    assert action["picks"].tolist() == [[-1, -1]]
    assert dist.row_logp(action).tolist() == [0.0]
    assert dist.entropy().item() == 0


def test_samples_follow_the_probabilities():
    n = 200_000
    dist = TopK(LOGITS[:1].expand(n, 1, 5), None, 2)
    picks = dist.sample(torch.Generator().manual_seed(1))["picks"][:, 0]
    for pair in itertools.permutations(range(5), 2):
        share = (picks == torch.tensor(pair)).all(-1).double().mean()
        assert float(share) == pytest.approx(
            by_enumeration(LOGITS[0], torch.ones(5, dtype=torch.bool), pair), abs=0.004
        )


def test_samples_are_reproducible_by_their_generator():
    dist = TopK(torch.randn(4, 6, 8), None, 3)
    one, two = (dist.sample(torch.Generator().manual_seed(3))["picks"] for _ in range(2))
    assert torch.equal(one, two)


def test_the_mode_is_the_likeliest_order():
    dist = TopK(LOGITS[:1], None, 2)
    best = max(
        itertools.permutations(range(5), 2),
        key=lambda pair: float(dist.row_logp({"picks": torch.tensor([pair])})),
    )
    assert dist.mode()["picks"].tolist() in ([list(best)], [[2, 3]])


def test_equal_logits_have_the_largest_entropy():
    dist = TopK(torch.zeros(3, 4, 6), torch.arange(6) < 4 * torch.ones(3, 4, 1), 2)
    torch.testing.assert_close(dist.entropy(), dist.max_entropy())


def test_gradients_are_finite_and_leave_illegal_choices_alone():
    logits = LOGITS.clone().requires_grad_()
    dist = TopK(logits, MASK, 4)
    (dist.logp(dist.mode()).sum() + dist.entropy().sum()).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[~MASK] == 0).all()


def test_a_batch_is_its_graphs_side_by_side():
    logits, mask = torch.randn(3, 7, 5), torch.rand(3, 7, 5) > 0.3
    batch = TopK(logits, mask, 3)
    action = batch.sample(torch.Generator().manual_seed(0))
    for n in range(3):
        alone = TopK(logits[n], mask[n], 3).row_logp({"picks": action["picks"][n]})
        torch.testing.assert_close(alone, batch.row_logp(action)[n])


TWO_ROWS = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -1.0]])


def test_picks_have_log_probabilities_by_row_and_in_all():
    dist = TopK(TWO_ROWS[None], None, 2)
    action = {"picks": torch.tensor([[[2, 1], [0, 1]]])}
    found = log_probabilities(dist, action)
    torch.testing.assert_close(found["row_logp"].sum(-1), found["logp"])
    assert set(log_probabilities(Categorical(TWO_ROWS), {"choice": torch.tensor([0, 1])})) == {
        "logp"
    }


def test_the_entropy_of_picks_is_that_of_each_rows_first():
    mask = torch.tensor(
        [[True, True, True], [True, True, False], [False] * 3, [True, False, False]]
    )
    dist = TopK(torch.cat([TWO_ROWS, TWO_ROWS]), mask, 2)
    p = TWO_ROWS[0].softmax(-1)
    first = -(p * p.log()).sum().item()
    expected = [first, math.log(2), 0, 0]
    assert dist.row_entropy().tolist() == pytest.approx(expected, abs=1e-6)
    assert dist.entropy().item() == pytest.approx(sum(expected))
    assert dist.max_entropy().item() == pytest.approx(math.log(3) + math.log(2))
    assert entropy_per_choice(dist).item() == pytest.approx(sum(expected) / 4)
    assert entropy_per_choice(Categorical(TWO_ROWS)).shape == (2,)
    assert dist.choice_probabilities() is None and TopK(TWO_ROWS, None, 9).k == 3
