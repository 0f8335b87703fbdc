# pyright: basic
"""Texts as rows of hashed words."""

import numpy as np
import pytest
from shop_visits import HAT, SHIRT

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from envs.shopping import texts
from envs.shopping.goals import Goal
from envs.shopping.lexicon import DEPARTMENTS, OPTIONS
from envs.shopping.params import Params
from envs.shopping.store import get_store


def test_rare_words_have_no_number_and_words_keep_theirs():
    words = texts.Vocabulary(["red shoes"] * 3 + ["blue"], 4096, min_texts=2)
    assert len(words.encode("Red shoes")) == 2 and words.encode("blue") == []
    other = texts.Vocabulary(["red hat"] * 3, 4096, min_texts=2)
    assert other.encode("red")[0] == words.encode("red")[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_way_to_say_something_can_be_read(seed, cache):
    source = Params(seed=seed, goals=10).source
    store = get_store(source)
    about = source.vocabulary, source.min_texts
    vocabulary = texts.vocabulary_of(store.products, store.vocabulary_instructions, *about)
    attributes = [term for department in DEPARTMENTS for term in department.attributes]
    for term in (*attributes, *(value for values in OPTIONS.values() for value in values)):
        for phrase in (term.name, term.shown, *term.asked):
            single = phrase.replace("'", "").split()
            assert [word for word in single if not vocabulary.encode(word)] == [], phrase


def test_rows_of_a_table_hold_what_has_been_read():
    goals = [Goal(SHIRT, "a red shirt, and price lower than 40.00 dollars", (), (), 40.0)]
    vocabulary = texts.Vocabulary([f"{SHIRT.title} {SHIRT.description} two pockets"], 4096, 1)
    table = texts.Texts.build([HAT, SHIRT], goals, 5, vocabulary, 6)
    read = {
        0: SHIRT.title,
        texts.DESCRIPTION_SEEN: f"{SHIRT.title} {SHIRT.description}",
        texts.FEATURES_SEEN: f"{SHIRT.title} {' '.join(SHIRT.features)}",
    }
    for seen, text in read.items():
        row = table.rows[texts.Texts.get_product_rows(np.array(1), np.array(seen))]
        expected = vocabulary.encode(text)[:6]  # texts are cut at six words
        assert row.tolist() == expected + [0] * (6 - len(expected))
        assert table.lengths[5 + seen] == len(expected)
    assert texts.Texts.get_product_rows(np.array([-1]), np.array([3])).tolist() == [0]
    tokens = table.rows[table.get_instruction_rows(np.array([0]))[0]]
    assert tokens[tokens > 0].tolist() == vocabulary.encode("a red shirt")
    assert table.get_search_rows(np.array([0])).tolist() == [
        [*range(len(table.rows) - 5, len(table.rows))]
    ]
    assert table.values[0].tolist() == [0] * 5 and (table.values[1, :4] > 8).all()
