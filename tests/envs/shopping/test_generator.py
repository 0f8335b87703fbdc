# pyright: basic
"""Generated catalogues: a seed decides them, and every goal can be met."""

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")


import pytest

from envs.shopping import generator
from envs.shopping.goals import NO_LIMIT
from envs.shopping.reward import compute_reward


def test_the_same_seed_makes_the_same_catalogue():
    generator.generate_catalogue.cache_clear()
    first = generator.generate_catalogue(200, 1)
    generator.generate_catalogue.cache_clear()
    assert generator.generate_catalogue(200, 1) == first != generator.generate_catalogue(200, 2)


def test_generated_ids_are_unique_and_families_full():
    products = generator.generate_catalogue(1000, 0)
    assert len({product.id for product in products}) == 1000
    sizes = np.bincount([product.family for product in products])
    assert len(sizes) == 120 and set(sizes) == {8, 9}


def test_every_generated_goal_can_be_met():
    products = generator.generate_catalogue(500, 3)
    for goal in generator.generate_goals(products, 500, "test"):
        chosen = [
            (name, value) for name, value in goal.target.values if ("", value) in goal.options
        ]
        assert compute_reward(goal, goal.target, chosen).total == 1
        assert goal.price_upper == NO_LIMIT or goal.price_upper > goal.target.price
