# pyright: basic
"""Choices are drawn, learnt and stored at one temperature, which values do not have."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.actions.choice_values import BetaValue
from algos.actions.choice_with_value import ChoiceWithValue
from algos.actions.choices import Categorical, MultiCategorical
from algos.actions.kinds import ProductDistribution, make_action_head
from algos.actions.topk import TopK
from algos.actions.values import Gaussian
from rungwise.validation import InputError

LOGITS = torch.tensor([[0.3, -1.2, 2.0, 0.3], [1.0, 0.0, 5.0, -2.0]])
MASK = torch.tensor([[True] * 4, [True, True, False, True]])
T = torch.tensor([4.0])
BANDIT = "toy_worlds:Bandit-v0"


def test_odds_are_raised_to_one_over_the_temperature():
    before = Categorical(LOGITS, MASK).choice_probabilities()
    after = Categorical(LOGITS, MASK).at_temperature(T).choice_probabilities()
    expected = before**0.25
    torch.testing.assert_close(after, expected / expected.sum(-1, keepdim=True))
    assert after[1, 2] == 0  # what is forbidden stays so
    drawn = (
        Categorical(LOGITS[:1].expand(20_000, 4))
        .at_temperature(T)
        .sample(torch.Generator().manual_seed(0))["choice"]
    )
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    torch.testing.assert_close(shares, after[0], atol=0.01, rtol=0)


def test_ordered_picks_are_tempered_and_keep_their_mask():
    picks = {"picks": torch.tensor([[2, 0, 1], [0, 3, 1]])}
    found = TopK(LOGITS, MASK, 3).at_temperature(T)
    torch.testing.assert_close(found.row_logp(picks), TopK(LOGITS / 4, MASK, 3).row_logp(picks))
    # Divided by 4, a forbidden logit must not pass for a legal one.
    drawn = [found.sample(torch.Generator().manual_seed(seed))["picks"] for seed in range(50)]
    assert not any((d[1] == 2).any() for d in drawn)


def test_a_temperature_of_1_changes_nothing():
    dist = Categorical(LOGITS, MASK)
    torch.testing.assert_close(dist.at_temperature(torch.ones(1)).logits, dist.logits)


def test_only_the_choices_of_a_composed_action_are_tempered():
    choice, box = Categorical(LOGITS), Gaussian(torch.zeros(2, 3), torch.zeros(3))
    parts: Any = ProductDistribution({"a": choice, "b": box}).at_temperature(T).parts
    torch.testing.assert_close(parts["a"].logits, choice.at_temperature(T).logits)
    assert parts["b"] is box
    both: Any = MultiCategorical([choice, choice]).at_temperature(T).parts
    torch.testing.assert_close(both[1].logits, parts["a"].logits)
    outputs = torch.cat([LOGITS[..., None], torch.ones(2, 4, 2)], -1)
    plain = ChoiceWithValue(outputs, None, BetaValue)
    found = plain.at_temperature(T)
    torch.testing.assert_close(found.choice.logits, parts["a"].logits)
    action = {"choice": torch.tensor([0, 2]), "value": torch.tensor([0.3, -0.2])}
    value = plain.logp(action) - plain.choice.logp(action)
    torch.testing.assert_close(found.logp(action) - found.choice.logp(action), value)
    torch.testing.assert_close(plain.choice.logits, choice.logits)  # not changed in place


def test_a_runner_stores_the_logp_of_the_tempered_draw():
    runner = small.runner(BANDIT, temperature=3.0)
    with torch.no_grad():
        for weight in runner.module.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    rows = runner.sample()[0].to_torch()
    with torch.no_grad():
        outputs, _ = runner.module.compute_outputs(rows)
    torch.testing.assert_close(Categorical(outputs / 3).logp(rows), rows["logp"])
    assert (Categorical(outputs).logp(rows) - rows["logp"]).abs().max() > 0.01


@pytest.mark.usefixtures("local_ray")
def test_an_update_uses_the_temperature_of_its_rollout():
    annealed = {"temperature": 4.0, "temperature_schedule": "exponential", "temperature_end": 0.25}
    once = {"epochs": 1, "minibatch_size": 16, "lr": 0.05}  # measured before its only step
    with small.algorithm(BANDIT, iterations=4, **once, **annealed) as algorithm:
        found = []
        for _ in range(4):
            result = algorithm.train()
            assert result["kl"] == pytest.approx(0, abs=1e-9)
            found.append(result["temperature"])
        # Equal factors in equal times, from 4 to 1/4; what comes next is said.
        assert found == pytest.approx([2, 1, 0.5, 0.25])
        weights = small.learner_weights(algorithm)
        assert weights["temperature"].tolist() == [0.25]
        assert algorithm.env_runner_group.local_env_runner.module.temperature.item() == 0.25


def test_weights_carry_the_temperature_if_there_is_one():
    plain, hot = small.runner(BANDIT).module, small.runner(BANDIT, temperature=2.0).module
    assert "temperature" not in plain.get_state()
    other = small.runner(BANDIT, temperature=0.5).module
    other.set_state(hot.get_state())
    assert other.temperature.tolist() == [2.0]
    with pytest.raises(ValueError, match=r"unknown \['temperature'\]"):
        plain.set_state(hot.get_state())


def test_a_temperature_without_choices_is_refused():
    box = spaces.Box(-1, 1, (2,), np.float32)
    with pytest.raises(InputError, match=r"temperature would do nothing: .* has no choices"):
        small.module(box, box, temperature=2.0)
    both = spaces.Dict({"value": box, "kind": spaces.Discrete(3)})
    assert small.module(box, both, temperature=2.0).temperature is not None


def test_only_choices_can_be_tempered():
    box = spaces.Box(-1, 1, (2,), np.float32)
    number, several = spaces.Discrete(3), spaces.MultiDiscrete([2, 3])

    assert make_action_head(number).has_choices and make_action_head(several).has_choices
    assert not make_action_head(box).has_choices
    assert make_action_head(spaces.Dict({"a": box, "b": number})).has_choices
    assert not make_action_head(spaces.Dict({"a": box, "b": box})).has_choices
