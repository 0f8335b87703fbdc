# pyright: basic
"""The hooks that an objective inherits: the entropy weight, and no reference policy."""

import pytest
import small

from algos.objective import Objective


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


def test_an_objective_needs_nothing_unless_it_says_so():
    objective = Objective(small.settings())
    assert objective.needs == frozenset() and objective.reference_interval is None
    assert not objective.should_stop_epochs(lambda: pytest.fail("not asked to measure"))
