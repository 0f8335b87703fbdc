# pyright: basic
"""Catalogues: the generator, WebShop's files, goals and splits."""

import gzip
import itertools
import json
import random as stdlib

import numpy as np
import pytest
from paths import SHARED

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

import naive_shop

from envs.shopping import catalogue, generator
from envs.shopping.goals import SHARES, families_of, from_requests, limit_in, searches
from envs.shopping.lexicon import DEPARTMENTS, OPTIONS
from envs.shopping.matching import alike, first_color, title_nouns
from envs.shopping.params import Params
from envs.shopping.reward import compute_reward
from envs.shopping.world import Shopping
from envs.validation import InputError

RECORD = {
    "asin": "b00shirt01",
    "name": "Acme Red Cotton Shirt",
    "full_description": "Soft.",
    "small_description": "Machine washable",
    "category": "fashion",
    "query": " Men's Shirts ",
    "product_category": "Clothing \u203a Men \u203a Shirts",
    "pricing": "$1,019.50$1,025.00",
    "customization_options": {"Size": [{"value": " 7/8 Wide "}, {"value": "XL"}], "Fit": None},
}
ABOUT = {
    "b00shirt01": {
        "attributes": ["machine wash"],
        "instruction": "Find me shirts",
        "instruction_attributes": ["machine wash"],
    }
}
REAL = SHARED / "webshop_1k"


def written(folder, records=None, about=None, human=None):
    """WebShop's files with these contents."""
    (folder / "items_shuffle_9.json").write_text(
        json.dumps([RECORD] if records is None else records)
    )
    (folder / "items_ins_v2_9.json").write_text(json.dumps(ABOUT if about is None else about))
    if human is not None:
        (folder / "items_human_ins.json").write_text(json.dumps(human))
    return catalogue.find_files(folder, human is not None)


def test_a_record_is_read_as_webshop_reads_it(tmp_path):
    (product,) = catalogue.load(*written(tmp_path))
    assert product.id == "B00SHIRT01"
    assert product.features == ("Machine washable",)
    assert product.query == "men's shirts"
    assert product.prices == (1019.5, 1025.0) and 1019.5 <= product.price <= 1025
    assert product.price_text == "$1019.5 to $1025.0"
    assert dict(product.options) == {"size": ("7 | 8 wide", "xl")}
    assert product.attributes == ("machine wash",)


def test_records_that_webshop_drops_are_dropped(tmp_path):
    records = [RECORD, RECORD, RECORD | {"asin": "nan"}, RECORD | {"asin": "B0123456789"}]
    assert len(catalogue.load(*written(tmp_path, records))) == 1


def test_what_is_not_known_has_webshops_stand_ins(tmp_path):
    record = RECORD | {"pricing": "", "customization_options": ""}
    (product,) = catalogue.load(*written(tmp_path, [record], about={}))
    assert (product.price, product.price_text) == (100.0, "$100.0")
    assert product.attributes == ("DUMMY_ATTR",) and not product.options and not product.requests


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


@pytest.mark.parametrize(
    ("records", "about", "sentence"),
    [
        ([{"asin": "b"}], None, r"Record 0 of .*items_shuffle_9.json has no 'small_description'"),
        ([RECORD | {"pricing": "$1.2.3"}], None, "Record 0 .* cannot be read: could not convert"),
        ({}, None, "should hold a JSON list, but it holds a dict"),
        (None, [], "should hold a JSON object, but it holds a list"),
    ],
)
def test_broken_files_are_refused_in_a_sentence(tmp_path, records, about, sentence):
    with pytest.raises(InputError, match=sentence):
        catalogue.load(*written(tmp_path, records, about))


def test_missing_and_damaged_files_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"There is no items_shuffle.* in .*Params.data must be"):
        catalogue.find_files(tmp_path, human=False)
    files = written(tmp_path)
    with pytest.raises(InputError, match="There is no items_human_ins"):
        catalogue.find_files(tmp_path, human=True)
    files[0].write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        catalogue.load(*files)


def test_a_folder_of_files_makes_a_world(tmp_path):
    written(
        tmp_path,
        [RECORD | {"asin": f"b{i}", "pricing": "$5"} for i in range(4)],
        {f"b{i}": ABOUT["b00shirt01"] for i in range(4)},
    )
    world = Shopping(Params(data=str(tmp_path), products=0, min_texts=1))
    assert len(world.store.goals) == 4  # two of four products, two sizes each
    with pytest.raises(InputError, match="products is 0"):
        Params(products=0)


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


def test_no_family_is_in_two_splits_and_none_is_lost():
    families = [product.family for product in generator.generate_catalogue(1000, 0)]
    inside = np.array([families_of(families, split, 0) for split in SHARES])
    assert (inside.sum(axis=0) == 1).all()
    shares = [len(set(np.array(families)[own])) / 120 for own in inside]
    assert shares == pytest.approx(list(SHARES.values()), abs=0.01)


def test_words_of_the_lexicon_mean_one_thing():
    for department in DEPARTMENTS:
        for one, other in itertools.combinations(department.attributes, 2):
            assert not alike(one.name, other.name), (one, other)
    values = [term.name for terms in OPTIONS.values() for term in terms]
    for one, other in itertools.combinations(values, 2):
        assert not alike(first_color(one), first_color(other)), (one, other)


def test_instructions_can_ask_in_words_that_no_page_has():
    terms = [t for department in DEPARTMENTS for t in department.attributes]
    for term in [*terms, *(t for values in OPTIONS.values() for t in values)]:
        printed = {*term.name.split(), *term.shown.split()}
        assert all(not printed & set(asked.split()) for asked in term.asked), term


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


def test_a_title_without_a_tagger_still_has_nouns():
    assert title_nouns("New Red Cotton Shirt for Men") == ("cotton", "shirt", "men")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The 1,000 real products of WebShop's small set, in its own file format."""
    if not REAL.exists():
        pytest.skip(f"the real products are not in {REAL}")
    folder = tmp_path_factory.mktemp("webshop")
    records = json.loads(gzip.decompress((REAL / "products.json.gz").read_bytes()))
    processed = [record["product"] for record in records]
    raw = [r | {"pricing": "".join(f"${price}" for price in r["pricing"])} for r in processed]
    about = json.loads(gzip.decompress((REAL / "items_ins_v2_1000.json.gz").read_bytes()))
    return processed, catalogue.load(*written(folder, raw, about))


def test_real_products_are_read_as_webshop_holds_them(real):
    for record, product in zip(*real, strict=True):
        assert product.title == record["Title"]
        assert product.price_text == record["Price"]
        assert {k: list(v) for k, v in product.options.items()} == record["options"]
        assert list(product.attributes) == record["Attributes"]
        assert list(product.features) == record["BulletPoints"]


def test_real_products_make_6910_goals_458_of_them_unreachable(real):
    goals = from_requests(real[1], stdlib.Random(0))
    assert len(goals) == 6910
    gold = [compute_reward(goal, goal.target, goal.options).total for goal in goals]
    assert sum(total < 1 for total in gold) == 458
    assert all(compute_reward(g, g.target, g.options, "strict").total == 1 for g in goals)


def test_real_purchases_are_worth_what_the_slow_twin_says(real):
    rng, products = stdlib.Random(1), real[1]
    goals = from_requests(products, rng)
    for _ in range(5000):
        goal = rng.choice(goals)
        near = [p for p in (goal.target, rng.choice(products))]
        product = rng.choice(near)
        chosen = [(name, rng.choice(values)) for name, values in product.options.items()]
        found = compute_reward(goal, product, chosen)
        r_type, attributes, options, price, total = naive_shop.reward(goal, product, chosen)
        assert (found.type, found.attributes, found.options, found.price) == (
            r_type,
            attributes,
            options,
            price,
        )
        assert found.total == pytest.approx(total, abs=1e-9)
