# pyright: basic
"""Catalogues: the generator, WebShop's files, goals and splits."""

import gzip
import json
import random as stdlib

import pytest
from paths import SHARED

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

import naive_shop
from shop_files import ABOUT, RECORD, written

from envs.shopping import catalogue
from envs.shopping.goals import from_requests
from envs.shopping.params import Params
from envs.shopping.reward import compute_reward
from envs.shopping.world import Shopping
from rungwise.validation import InputError

REAL = SHARED / "webshop_1k"


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
    with pytest.raises(InputError, match=r"There is no items_shuffle.* in .*data must be"):
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


@pytest.mark.system
def test_real_purchases_are_worth_what_the_slow_twin_says(real):
    rng, products = stdlib.Random(1), real[1]
    goals = from_requests(products, rng)
    for _ in range(5000):
        goal = rng.choice(goals)
        near = [p for p in (goal.target, rng.choice(products))]
        product = rng.choice(near)
        chosen = [(name, rng.choice(values)) for name, values in product.options.items()]
        found = compute_reward(goal, product, chosen)
        naive_shop.assert_reward(found, goal, product, chosen)
