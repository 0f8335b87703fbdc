# pyright: basic
"""The reward: WebShop's, part by part."""

import dataclasses
import random as stdlib

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

import naive_shop
from shop_visits import HAT, SHIRT

from envs.shopping import generator
from envs.shopping.catalogue import CATEGORY_STEP
from envs.shopping.goals import Goal
from envs.shopping.reward import compute_reward

GOAL = Goal(SHIRT, "", ("machine wash", "cotton"), (("color", "red"), ("size", "large")), 30.0)


def test_the_product_asked_for_with_its_options_is_worth_one():
    assert compute_reward(GOAL, SHIRT, (("color", "red"), ("size", "large"))).total == 1


def test_each_part_counts_as_much_as_every_other():
    # 2 attributes, 2 options and the price make five parts.
    assert compute_reward(GOAL, SHIRT, (("color", "red"),)).total == pytest.approx(4 / 5)
    assert compute_reward(GOAL, SHIRT, ()).total == pytest.approx(3 / 5)
    limit, dear = (dataclasses.replace(SHIRT, price=price) for price in (30.0, 30.01))
    assert compute_reward(GOAL, limit, ()).total == pytest.approx(3 / 5)
    assert compute_reward(GOAL, dear, ()).total == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("changes", "factor"),
    [
        ({}, 1.0),
        ({"query": "hats", "category": "Home"}, 1.0),  # by the title alone: 3 of 3 nouns
        ({"query": "hats", "category": "Home", "nouns": ("hat",)}, 0.0),
        ({"nouns": ("hat",)}, 0.0),  # no noun in common overrides a matching query
    ],
)
def test_the_type_is_a_factor(changes, factor):
    assert compute_reward(GOAL, dataclasses.replace(SHIRT, **changes), ()).type == factor


def test_a_few_common_nouns_make_half_and_fewer_a_tenth():
    strange = {"query": "hats", "category": "Home", "nouns": ("n0",)}
    for count, factor in ((5, 0.5), (10, 0.5), (11, 0.1)):
        target = dataclasses.replace(SHIRT, nouns=tuple(f"n{i}" for i in range(count)))
        goal = dataclasses.replace(GOAL, target=target)
        assert compute_reward(goal, dataclasses.replace(SHIRT, **strange), ()).type == factor


def test_strict_ignores_colours_inside_words():
    # "rectangular" holds "tan"; of a named option the original then looks for the whole pair.
    product = dataclasses.replace(SHIRT, options={"shape": ("rectangular",)})
    goal = dataclasses.replace(GOAL, target=product, options=(("shape", "rectangular"),))
    chosen = (("shape", "rectangular"),)
    assert compute_reward(goal, product, chosen, "webshop").options == 0
    assert compute_reward(goal, product, chosen, "strict").options == 1


def test_strict_takes_a_value_only_for_the_option_that_was_named():
    goal = dataclasses.replace(GOAL, options=(("size", "small"),))
    assert compute_reward(goal, SHIRT, (("fit", "small"),), "webshop").options == 1
    assert compute_reward(goal, SHIRT, (("fit", "small"),), "strict").options == 0


def test_parts_equal_the_slow_twin_on_random_purchases():
    rng = stdlib.Random(0)
    products = [*generator.generate_catalogue(300, 5), SHIRT, HAT]
    goals = [*generator.generate_goals(products[:300], 100, "test"), GOAL]
    for _ in range(1500):
        goal, product = rng.choice(goals), rng.choice(products)
        if rng.random() < 0.5:
            product = goal.target
        chosen = [(name, rng.choice(values)) for name, values in product.options.items()]
        found = compute_reward(goal, product, chosen)
        naive_shop.assert_reward(found, goal, product, chosen)


@pytest.mark.parametrize(
    ("category", "is_same"),
    [
        ("Clothing > Men > Shirts", True),
        ("Clothing > Women > Men", True),
        ("Clothing > Women > Hats", False),  # one shared place is not enough
        ("Home > Kitchen", False),
    ],
)
def test_a_category_is_the_same_where_two_places_are_shared(category, is_same):
    category = category.replace(">", CATEGORY_STEP)  # SHIRT's is Clothing > Men > Shirts
    found = compute_reward(GOAL, dataclasses.replace(SHIRT, query="hats", category=category), ())
    assert found.category_match == is_same and not found.query_match


@pytest.mark.parametrize(("common", "factor"), [(2, 0.5), (3, 1.0), (5, 1.0), (6, 1.0)])
def test_a_title_that_shares_more_than_a_fifth_is_of_the_type(common, factor):
    nouns = tuple(f"n{i}" for i in range(10))
    strange = {"query": "hats", "category": "Home", "nouns": nouns[:common]}
    goal = dataclasses.replace(GOAL, target=dataclasses.replace(SHIRT, nouns=nouns))
    found = compute_reward(goal, dataclasses.replace(SHIRT, **strange), ())
    assert found.title_score == common / 10 and found.type == factor
