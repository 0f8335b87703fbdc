# pyright: basic
"""The lexicon: words that mean one thing, and instructions in words of no page."""

import itertools

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from envs.shopping.lexicon import DEPARTMENTS, OPTIONS
from envs.shopping.matching import alike, first_color


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
