# pyright: basic
"""The hooks that an objective inherits: the entropy weight, and no reference policy."""

import numpy as np
import pytest
import small
from gymnasium import spaces

from algos import ALGORITHMS
from algos.actions.kinds import make_action_head
from algos.objective import Objective
from rungwise.validation import InputError


def test_the_entropy_weight_follows_its_schedule():
    objective = Objective(small.settings(entropy_coef=0.1, entropy_schedule="linear"))
    start = objective.initialise_coefficients()
    assert start == {"entropy_coef": 0.1}
    assert objective.schedule_coefficients(start, 0.5)["entropy_coef"] == pytest.approx(0.05)
    assert objective.adapt_coefficients(start, {}) == start


def test_a_decaying_entropy_weight_stops_at_its_end():
    chosen = {"entropy_schedule": "decay", "entropy_decay": 0.5, "entropy_end": 0.04}
    objective = Objective(small.settings(entropy_coef=0.1, **chosen))
    weights = [{"entropy_coef": 0.1}]
    for _ in range(2):
        assert objective.schedule_coefficients(weights[-1], 0.5) == weights[-1]
        weights.append(objective.adapt_coefficients(weights[-1], {}))
    assert [found["entropy_coef"] for found in weights] == [0.1, 0.05, 0.04]


def test_an_entropy_target_replaces_schedule_and_decay():
    chosen = {"entropy_schedule": "decay", "entropy_target": 0.5}
    objective = Objective(small.settings(entropy_coef=0.1, **chosen))
    weights = {"entropy_coef": 0.1}
    assert objective.schedule_coefficients(weights, 0.5) == weights
    steered = objective.adapt_coefficients(weights, {"entropy_normalised": 0.2})
    assert steered["entropy_coef"] == pytest.approx(0.11)


@pytest.mark.parametrize("name", ["lr", "lr_end", "entropy_coef", "entropy_end"])
def test_an_exponential_schedule_from_or_to_0_is_refused(name):
    chosen = {"lr": 1e-3, "lr_end": 1e-4, "entropy_coef": 0.1, "entropy_end": 0.01} | {name: 0.0}
    kinds = {"lr_schedule": "exponential", "entropy_schedule": "exponential"}
    with pytest.raises(InputError, match=rf"settings\.{name} must be greater than 0 for an exp"):
        small.settings("ppo", **kinds, **chosen)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_exploration_without_effect_is_refused_by_every_algorithm(algo):
    values = make_action_head(spaces.Box(-1, 1, (2,), np.float32))
    choice = make_action_head(spaces.Discrete(3))
    target, diverse = {"entropy_target": 0.5, "entropy_coef": 0.1}, {"diversity_coef": 0.5}
    for changed in (target, diverse):
        objective = small.objective(algo, **changed)
        objective.validate_action_space(choice)
        with pytest.raises(InputError, match=next(iter(changed))):
            objective.validate_action_space(values)
    with pytest.raises(InputError, match="entropy_coef must be greater than 0 for entropy_target"):
        small.settings(algo, entropy_target=0.5, entropy_coef=0.0)


def test_an_objective_needs_nothing_unless_it_says_so():
    objective = Objective(small.settings())
    assert objective.needs == frozenset() and objective.reference_interval is None
    assert not objective.should_stop_epochs(lambda: pytest.fail("not asked to measure"))
