# pyright: basic
"""When two phrases count as the same, and what colour is in one."""

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from envs.shopping.matching import alike, first_color, title_nouns, whole_color


def test_a_title_without_a_tagger_still_has_nouns():
    assert title_nouns("New Red Cotton Shirt for Men") == ("cotton", "shirt", "men")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("easy to clean", "clean easy to", True),
        ("machine wash", "machine washable cotton", False),
        ("cotton", "soft cotton shirt", True),  # words that only one of them has do not count
        ("caf\u00e9 table", "caf table", True),  # other letters are left out
        ("red", "blue", False),
    ],
)
def test_phrases_are_alike_whatever_the_order_of_words(one, other, same):
    assert alike(one, other) == alike(other, one) == same


def test_the_first_colour_is_sought_inside_words_too():
    assert first_color("rectangular") == "tan" and whole_color("rectangular") == "rectangular"
    assert first_color("red and blue") == whole_color("red and blue") == "blue"
    assert first_color("large") == whole_color("large") == "large"
    # Of a pair, a colour must be one of the two.
    assert first_color(("color", "red")) == "red"
    assert first_color(("color", "dark red")) == "('color', 'dark red')"
