# pyright: basic
"""The reader: made once, the same on every day, and a judge whose numbers do not wobble."""

import dataclasses

import numpy as np
import pytest
import torch
from small_reader import QUICK, UNTAUGHT, small

from envs.contract import counter_rng
from envs.thoughts import reader as readers
from envs.thoughts.corpus import EQUALS, NOTHING, THINK, Problems, cyclic
from envs.thoughts.reader import Baking, Reader, bake, encode_text, load_or_bake_reader
from rungwise.validation import InputError

KEYS = counter_rng.make_keys(0, 400)
CORPUS = Problems(*cyclic(3), 3, 3, 0.2)


def text_of(corpus, tokens):
    return " ".join(corpus.words[t] for t in tokens if t)


def test_a_thought_is_written_between_its_two_marks():
    corpus = Problems(*cyclic(3), 2, 2, 0.0)
    zero = corpus.first
    context = np.array([[zero, zero + 1, EQUALS], [zero + 2, zero + 2, EQUALS]])
    thought, answer = np.array([[zero + 1, 0], [0, 0]]), np.array([[zero + 1], [zero + 1]])
    text, place = encode_text(corpus, context, thought, answer)
    assert text_of(corpus, text[0]) == "0 1 = ( 1 ) 1"
    assert text_of(corpus, text[1]) == "2 2 = ( ) 1"
    assert place.tolist() == [[5], [4]]  # the end of each thought: what comes next is the answer


def test_log_probabilities_are_summed_word_by_word():
    """Against a loop over the words, without batches or padding."""
    corpus = Problems(*cyclic(3), 3, 3, 0.2)
    corpus.ahead = 2
    reader = Reader(corpus, bake(corpus, UNTAUGHT))
    passages = corpus.draw(KEYS[:20], "train")
    answer = np.concatenate([passages.answer, passages.answer[::-1]], 1)
    thought = passages.hints * (np.arange(3) < np.arange(20)[:, None] % 4)
    found, guess = reader.predict_answer(passages.context, thought, answer)
    for row in range(20):
        own = [t for t in thought[row].tolist() if t]
        text = [*passages.context[row].tolist(), THINK, *own, corpus.end]
        total = 0.0
        for place, word in enumerate(answer[row].tolist()):
            logp = torch.log_softmax(reader.network(torch.tensor([text]))[0, -1], -1)
            assert int(logp.argmax()) == guess[row, place]
            total += float(logp[word])
            text.append(word)
        assert found[row] == pytest.approx(total, abs=1e-12)


def test_batch_and_threads_do_not_change_the_readers_numbers(world):
    passages = world.corpus.draw(KEYS, "train")
    together, _ = world.reader.predict_answer(passages.context, passages.hints, passages.answer)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            alone = np.concatenate(
                [
                    world.reader.predict_answer(
                        *(part[row : row + 1] for part in (passages.context, passages.hints)),
                        passages.answer[row : row + 1],
                    )[0]
                    for row in range(0, 400, 7)
                ]
            )
            np.testing.assert_array_equal(
                alone.astype(np.float32), together[::7].astype(np.float32)
            )
    finally:
        torch.set_num_threads(before)


def test_a_baked_reader_uses_a_helpful_thought(world):
    passages = world.corpus.draw(KEYS, "test")
    none = np.zeros_like(passages.hints)
    told, guess = world.reader.predict_answer(passages.context, passages.hints, passages.answer)
    untold, _ = world.reader.predict_answer(passages.context, none, passages.answer)
    problem = passages.problem
    assert told[problem].mean() > -0.15 and untold[problem].mean() < -1.3  # chance: -1.39
    assert (guess == passages.answer)[problem].mean() > 0.98
    assert untold[~problem].mean() > -0.3  # filler is plain to see


def test_baking_is_independent_of_torchs_generator():
    once = dataclasses.replace(QUICK, steps=3)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = bake(CORPUS, once).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)  # and nobody else notices
    torch.manual_seed(2)
    second = bake(CORPUS, once).state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, second[name])
    other = bake(CORPUS, dataclasses.replace(once, seed=1)).state_dict()
    assert not torch.equal(first["words.weight"], other["words.weight"])


def test_a_reader_is_baked_once_and_then_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    baking = dataclasses.replace(QUICK, steps=2)
    first = load_or_bake_reader(CORPUS, baking).network.state_dict()
    (kept,) = tmp_path.iterdir()
    monkeypatch.setattr(readers, "bake", lambda *_: pytest.fail("baked a second time"))
    again = load_or_bake_reader(CORPUS, baking).network.state_dict()
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
    assert kept.name.startswith("reader-") and kept.suffix == ".safetensors"


def test_a_cache_that_cannot_be_written_is_named_in_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match=r"cannot be kept in .*below: .*Set RUNGWISE_CACHE"):
        load_or_bake_reader(CORPUS, dataclasses.replace(QUICK, steps=10**9))


@pytest.mark.parametrize(
    ("corpus", "baking"),
    [
        (CORPUS, dataclasses.replace(QUICK, steps=2, seed=1)),
        (CORPUS, dataclasses.replace(QUICK, steps=1)),
        (Problems(*cyclic(3), 3, 3, 0.1), dataclasses.replace(QUICK, steps=2)),
        (Problems(*cyclic(4), 3, 3, 0.2), dataclasses.replace(QUICK, steps=2)),
    ],
)
def test_a_reader_made_otherwise_is_another_one(corpus, baking, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    load_or_bake_reader(CORPUS, dataclasses.replace(QUICK, steps=2))
    load_or_bake_reader(corpus, baking)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_lesson_has_thoughts_of_every_length_with_few_errors():
    corpus = Problems(*cyclic(5), 5, 4, 0.0)
    baking = Baking(passages=4000, corruption=0.1)
    text = readers.make_lesson(corpus, baking, 0)
    thought = text[:, corpus.context + 1 :]
    end = (thought == corpus.end).argmax(1)
    shares = np.bincount(end, minlength=5) / len(end)
    np.testing.assert_allclose(shares, [0.1, 0.1, 0.1, 0.1, 0.6], atol=0.02)
    sums = np.cumsum(text[:, :5] - corpus.first, axis=1)[:, 1:] % 5 + corpus.first
    there = np.arange(4) < end[:, None]
    wrong = (thought[:, :4] != sums)[there].mean()
    assert abs(wrong - 0.08) < 0.01  # a fifth of the random tokens are right by chance
    assert (text != NOTHING).any(1).all()


def test_a_width_that_has_no_heads_is_refused():
    with pytest.raises(InputError, match=r"width must be a multiple of 4, but it is 30"):
        small(Baking(width=30))
