# pyright: basic
"""Goals: from a catalogue's requests, their splits, and what is read from instructions."""

import random as stdlib

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from shop_files import RECORD, written

from envs.shopping import catalogue, generator
from envs.shopping.goals import (
    NO_LIMIT,
    SHARES,
    families_of,
    from_requests,
    limit_in,
    price_limit,
    price_phrase,
    searches,
)


def test_each_combination_of_options_is_a_goal(tmp_path):
    products = catalogue.load(*written(tmp_path))
    goals = from_requests(products, stdlib.Random(0))
    assert [goal.options for goal in goals] == [(("size", "7 | 8 wide"),), (("size", "xl"),)]
    # Near 1,000 dollars there is no round limit above the price, and none is named.
    assert goals[0].instruction == "Find me shirts with size: 7 | 8 wide"
    assert goals[0].weight == 0.5


def test_human_instructions_take_the_place_of_synthetic_ones(tmp_path):
    asked = {"instruction": "a shirt.", "instruction_options": ["xl"]}
    human = {
        "b00shirt01": [
            asked | {"instruction_attributes": ["machine wash"]},
            asked | {"instruction_attributes": []},
        ]
    }
    record = RECORD | {"pricing": "$12.00"}
    goals = from_requests(
        catalogue.load(*written(tmp_path, [record], human=human)), stdlib.Random(0)
    )
    assert len(goals) == 1 and goals[0].options == (("", "xl"),) and goals[0].weight == 1
    assert goals[0].instruction.startswith("a shirt, and price lower than ")
    assert limit_in(goals[0].instruction) == goals[0].price_upper in (30.0, 40.0, 50.0)


def test_no_family_is_in_two_splits_and_none_is_lost():
    families = [product.family for product in generator.generate_catalogue(1000, 0)]
    inside = np.array([families_of(families, split, 0) for split in SHARES])
    assert (inside.sum(axis=0) == 1).all()
    shares = [len(set(np.array(families)[own])) / 120 for own in inside]
    assert shares == pytest.approx(list(SHARES.values()), abs=0.01)


def test_searches_are_made_of_the_instructions_words():
    text = "i am looking for red shoes, easy to wash, and price lower than 40.00 dollars"
    assert searches(text) == (
        text,
        "i am looking for red shoes, easy to wash",
        "red shoes easy wash",
        "red shoes",
        "easy wash",
    )
    assert limit_in(text) == 40 and limit_in("red shoes") == float("inf")
    assert all(searches("a"))


@pytest.mark.parametrize(
    ("price", "limits"),
    [
        (12.0, {30.0, 40.0, 50.0}),  # the larger of two of 20, 30, 40 and 50
        (20.0, {40.0, 50.0, 60.0}),  # a limit is above the price
        (975.0, {990.0}),
        (985.0, {NO_LIMIT}),  # a single ten is left
    ],
)
def test_a_price_limit_is_the_larger_of_two_tens_above(price, limits):
    rng = stdlib.Random(0)
    assert {price_limit(price, rng) for _ in range(100)} == limits


def test_the_phrase_of_a_limit_is_read_back():
    assert limit_in("a hat" + price_phrase(40.0)) == 40.0
    assert price_phrase(NO_LIMIT) == ""
