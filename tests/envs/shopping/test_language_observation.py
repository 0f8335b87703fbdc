# pyright: basic
"""What a language model reads of a shop: all that its page says, and nothing unseen."""

import dataclasses
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from shop_visits import visit, walk

from envs.contract import counter_rng
from envs.shopping import baselines
from envs.shopping.language_observation import (
    LanguageObservation,
    Pretrained,
    action_texts,
    prompt_text,
)
from envs.shopping.pages import LISTED
from envs.shopping.params import Params
from envs.shopping.world import Shopping
from rungwise.validation import InputError


@pytest.fixture(scope="module")
def read():
    """A small shop for a language model."""
    return Shopping(Params(split="test", goals=100, products=300, text="language"))


def walked(world, copies=40, steps=10):
    """States of an explorer's episodes, each with its observation."""
    state, seen = world.reset(counter_rng.make_keys(3, copies))
    for t in range(steps):
        yield state, seen
        step = world.step(state, baselines.explorer(world, state, counter_rng.make_keys(t, copies)))
        state, seen = step.state, step.observation


def test_every_legal_action_has_a_text_and_no_other(read):
    for state, seen in walked(read):
        said = (seen["candidates"] > 0).any(axis=2)
        np.testing.assert_array_equal(said, seen["mask"] > 0)
        assert read.observation_space.contains({n: c[0] for n, c in seen.items()})
        for b in range(5):
            texts = action_texts(state, b, seen["mask"][b], read.store)
            own = [text for text in texts if text]
            assert len(set(own)) >= len(own) - 3  # searches alone may be alike


def test_texts_of_a_generated_shop_are_read_to_their_end(read):
    found: list[int] = []
    for state, seen in walked(read):
        for b in range(10):
            whole = read.language.tokens.encode_prompt(prompt_text(state, b, read.store))
            own = seen["prompt"][b]
            np.testing.assert_array_equal(own[own > 0] - 1, whole)
            found += whole
    assert np.mean(np.array(found) == 0) < 0.1  # a brand is no word
    asked = {tuple(row) for row in read.reset(counter_rng.make_keys(0, 100))[1]["prompt"].tolist()}
    goals = {int(goal) for goal in read.reset(counter_rng.make_keys(0, 100))[0].goal}
    assert len(asked) >= 0.95 * len(goals)


def test_descriptions_are_read_only_once_opened(read):
    product = read.store.products[read.store.targets[0]]
    state = walk(read, visit(read), f"search[{product.title}]", f"click[{product.id}]")
    assert product.title in prompt_text(state, 0, read.store)
    assert product.description not in prompt_text(state, 0, read.store)
    state = walk(read, state, "click[description]", "click[< prev]")
    assert product.description in prompt_text(state, 0, read.store)
    assert product.features[0] not in prompt_text(state, 0, read.store)


def test_what_is_chosen_is_read(read):
    place = next(g for g, p in enumerate(read.store.targets) if read.store.products[p].options)
    product = read.store.products[read.store.targets[place]]
    name, value = product.values[-1]
    state = walk(read, visit(read, place), f"search[{product.title}]", f"click[{product.id}]")
    assert f"chosen {name} {value}" not in prompt_text(state, 0, read.store)
    state = walk(read, state, f"click[{value}]")
    assert f"chosen {name} {value}" in prompt_text(state, 0, read.store)


def test_products_are_called_by_their_place_title_and_price(read):
    state, _ = read.reset(counter_rng.make_keys(0, 1))
    state = read.step(state, np.array([LISTED])).state
    mask = read.step(state, np.array([-1])).observation["mask"][0]
    texts = action_texts(state, 0, mask, read.store)[LISTED : LISTED + 10]
    for place, text in enumerate(texts):
        product = read.store.products[state.results[0, place]]
        assert text == f"{place} : {product.title} {product.price_text}"


def test_training_and_evaluation_share_their_tokens(read):
    train: Any = Shopping(dataclasses.replace(read.params, split="train", goals=400))
    assert train.observation_space == read.observation_space
    text = "start : find me easy clean bedroom lamp"
    assert train.language.tokens.encode_prompt(text) == read.language.tokens.encode_prompt(text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Hugging Face tokenizer of whole words with a form of chat."""
    transformers = pytest.importorskip("transformers", reason="the extra [lm] is not installed")
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["?", "<user>", "<model>", "start", "find", "me", "a", "lamp", "red", "blue", "green"]
    made = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, "?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="?")
    fast.chat_template = "<user> {{ messages[0]['content'] }} <model>"
    path = tmp_path_factory.mktemp("model")
    fast.save_pretrained(path)
    return str(path)


def test_a_models_tokens_and_chat_form_survive_a_long_prompt(folder, read):
    tokens = Pretrained(folder)
    assert tokens.encode_prompt("find me") == [1, 4, 5, 2] and tokens.encode_answer("red lamp") == [
        8,
        7,
    ]
    row = LanguageObservation(read.store, folder, 8, 4, 1)._prompt(
        "find me a lamp red blue green red"
    )
    assert row.tolist() == [2, 5, 6, 7, 8, 9, 10, 3]  # from 1, and still the model's turn
    world = Shopping(dataclasses.replace(read.params, language_model=folder))
    seen: Any = world.reset(counter_rng.make_keys(0, 3))[1]
    assert world.observation_space.contains({n: c[0] for n, c in seen.items()})


@pytest.mark.parametrize("where", ["nowhere", ""])
def test_a_folder_without_a_tokenizer_is_refused_in_a_sentence(where, tmp_path, read):
    pytest.importorskip("transformers", reason="the extra [lm] is not installed")
    with pytest.raises(InputError, match=r"There is no folder|holds no tokenizer"):
        Shopping(dataclasses.replace(read.params, language_model=str(tmp_path / where)))
