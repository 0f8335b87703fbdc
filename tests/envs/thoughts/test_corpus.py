# pyright: basic
"""The texts: what is read, what follows, which thoughts help, and what is kept for evaluation."""

import math

import numpy as np
import pytest

from envs.contract import counter_rng
from envs.thoughts.corpus import EQUALS, PlainText, Problems, cyclic, symmetric
from rungwise.validation import InputError

KEYS = counter_rng.make_keys(0, 2000)


def sums(filler=0.0, terms=5, longest=4, modulus=5):
    return Problems(*cyclic(modulus), terms, longest, filler)


def test_what_follows_a_sum_is_the_sum():
    corpus = sums()
    passages = corpus.draw(KEYS, "train")
    terms = passages.context[:, :5] - corpus.first
    assert (passages.context[:, 5] == EQUALS).all()
    np.testing.assert_array_equal(passages.answer[:, 0] - corpus.first, terms.sum(1) % 5)
    np.testing.assert_array_equal(
        passages.hints - corpus.first, (np.cumsum(terms, axis=1) % 5)[:, 1:]
    )


def test_permutations_are_done_one_after_the_other():
    table, names = symmetric(3)
    first, then = names.index("120"), names.index("021")
    # Things 0, 1, 2 go to 1, 2, 0 and then 0, 1, 2 go to 0, 2, 1: in all to 2, 1, 0.
    assert names[table[first, then]] == "210"
    assert names[table[then, first]] == "102"  # the order matters


@pytest.mark.parametrize(("group", "size"), [(symmetric(3), 6), (symmetric(5), 120)])
def test_the_permutations_are_a_group(group, size):
    table, names = group
    assert len(names) == size
    np.testing.assert_array_equal(np.sort(table, axis=1), np.tile(np.arange(size), (size, 1)))
    a, b, c = counter_rng.integers(counter_rng.make_keys(1, 100), size, (3,)).T
    np.testing.assert_array_equal(table[table[a, b], c], table[a, table[b, c]])


def test_no_passage_of_the_evaluation_is_ever_trained_on():
    corpus = sums(terms=3, longest=2)  # 125 problems: every one is drawn
    found = {
        split: {tuple(row) for row in corpus.draw(KEYS, split).context.tolist()}
        for split in ("train", "test")
    }
    assert not found["train"] & found["test"]
    assert len(found["train"] | found["test"]) == 125
    assert 3 <= len(found["test"]) <= 25


def test_a_passage_does_not_depend_on_its_neighbours():
    corpus = sums(filler=0.3)
    among, alone = corpus.draw(KEYS, "train"), corpus.draw(KEYS[700:701], "train")
    np.testing.assert_array_equal(among.context[700:701], alone.context)
    np.testing.assert_array_equal(among.answer[700:701], alone.answer)


def test_only_some_places_benefit_from_thinking():
    corpus = sums(filler=0.4)
    passages = corpus.draw(KEYS, "train")
    share = 1 - passages.problem.mean()
    assert abs(share - 0.4) < 3 * math.sqrt(0.24 / len(KEYS))
    letters, after = passages.context[~passages.problem], passages.answer[~passages.problem]
    assert ((letters > EQUALS) & (letters < corpus.end)).all()
    steps = np.diff(np.concatenate([letters, after], 1), axis=1) % 4
    assert (steps == 1).all()  # what follows is plain to see
    assert (passages.hints[~passages.problem] == 0).all()


@pytest.mark.parametrize("longest", [2, 4, 6])
def test_a_thought_implies_its_last_product_and_the_rest(longest):
    corpus = sums(longest=longest)
    passages = corpus.draw(KEYS, "train")
    for length in range(1, longest + 1):
        thought = np.where(np.arange(longest) < length, passages.hints, 0)
        np.testing.assert_array_equal(corpus.infer_answer(passages, thought), passages.answer[:, 0])
    wrong = passages.hints.copy()
    wrong[:, 0] = corpus.first + (wrong[:, 0] - corpus.first + 1) % 5  # one more
    one = np.where(np.arange(longest) < 1, wrong, 0)
    np.testing.assert_array_equal(
        corpus.infer_answer(passages, one) - corpus.first,
        (passages.answer[:, 0] - corpus.first + 1) % 5,
    )
    assert (corpus.infer_answer(passages, np.zeros_like(one)) == -1).all()


def test_a_plain_text_is_read_letter_by_letter(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question. " * 20)
    corpus = PlainText.of(str(path), context=6, ahead=3, longest=4)
    passages = corpus.draw(KEYS, "train")
    text = path.read_text()
    for row in range(50):
        read, after = (
            "".join(corpus.words[t] for t in part[row])
            for part in (passages.context, passages.answer)
        )
        assert read + after in text
        assert "".join(corpus.words[t] for t in passages.hints[row]).startswith(after)


def test_the_last_tenth_of_a_plain_text_is_kept_for_evaluation():
    letters = [chr(1000 + place) for place in range(250)]
    corpus = PlainText("".join(letters), context=6, ahead=3, longest=4)
    border = letters[225]
    train, test = (corpus.draw(KEYS, split) for split in ("train", "test"))
    seen = {
        corpus.words[t] for part in (train.context, train.answer, train.hints) for t in part.flat
    }
    kept = {corpus.words[t] for part in (test.context, test.answer, test.hints) for t in part.flat}
    assert max(seen) < border <= min(kept)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("too short", "has 9 letters, but to predict 3 of them after 6 it needs at least"),
        ("".join(chr(1000 + n) for n in range(300)), "300 different letters.*at most 250"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_in_a_sentence(content, sentence, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence):
        PlainText.of(str(path), context=6, ahead=3, longest=4)
    with pytest.raises(InputError, match="cannot be read as a text"):
        PlainText.of(str(tmp_path / "missing.txt"), context=6, ahead=3, longest=4)
