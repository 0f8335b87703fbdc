# pyright: basic
"""The scorer: any number of candidates, made of words, in one pass."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.models.candidate_scorer import TEXTS, _SumBags
from rungwise.validation import InputError

WORDS, LENGTH, KINDS, FIGURES, CONTEXT = 50, 6, 4, 3, 2


def space(k=5, **changed):
    def words(*shape):
        return spaces.Box(0, WORDS - 1, shape, np.int16)

    parts = {
        "instruction": words(LENGTH),
        "page": words(LENGTH),
        "candidates": words(k, LENGTH),
        "kinds": spaces.Box(0, KINDS - 1, (k,), np.int8),
        "figures": spaces.Box(-3, 3, (k, FIGURES), np.float32),
        "context": spaces.Box(0, 3, (CONTEXT,), np.float32),
        "mask": spaces.Box(0, 1, (k,), np.float32),
    } | changed
    return spaces.Dict({name: part for name, part in parts.items() if part is not None})


def columns(count=16, k=5, seed=0):
    """Observation columns with words before padding and at least one legal candidate each."""
    rng = np.random.default_rng(seed)

    def words(*shape):
        found = rng.integers(1, WORDS, (*shape, LENGTH))
        length = rng.integers(0, LENGTH + 1, shape)
        return np.where(np.arange(LENGTH) < length[..., None], found, 0).astype(np.int16)

    mask = rng.random((count, k)) < 0.6
    mask[:, 0] = True
    return {
        "obs.instruction": words(count),
        "obs.page": words(count),
        "obs.candidates": words(count, k),
        "obs.kinds": rng.integers(0, KINDS, (count, k)).astype(np.int8),
        "obs.figures": rng.normal(size=(count, k, FIGURES)).astype(np.float32),
        "obs.context": rng.random((count, CONTEXT)).astype(np.float32),
        "obs.mask": mask.astype(np.float32),
    }


def scorer(k=5, **changed):
    return small.module(space(k), spaces.Discrete(k), model="scorer", **changed)


def forward(policy, batch):
    with torch.no_grad():
        found = policy({name: torch.from_numpy(c) for name, c in batch.items()})
    return found["dist"].choice_probabilities(), found["value"]


def test_a_shuffled_minibatch_has_the_rollout_logps_and_values():
    policy, seen = scorer(), columns(40)
    taken, logp, value = policy.act(seen, torch.Generator().manual_seed(0))
    assert logp.std() > 0.1
    for index in np.array_split(np.random.default_rng(0).permutation(40), 7):
        found = policy({name: torch.from_numpy(c[index]) for name, c in seen.items()})
        again = found["dist"].logp({"choice": taken["choice"][index]})
        torch.testing.assert_close(again, logp[index], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found["value"], value[index], atol=1e-6, rtol=1e-5)


def test_the_order_of_candidates_does_not_matter():
    policy, seen, order = scorer(), columns(), [3, 1, 4, 0, 2]
    parts = ("obs.candidates", "obs.kinds", "obs.figures", "obs.mask")
    before, value = forward(policy, seen)
    after, same = forward(policy, seen | {n: seen[n][:, order].copy() for n in parts})
    torch.testing.assert_close(after, before[:, order], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-5)
    assert (after - before).abs().max() > 0.01


def test_weights_fit_any_number_of_candidates_and_ignore_illegal():
    five, seen = scorer(5), columns(k=5)
    eight = scorer(8, seed=1)
    eight.set_state(five.get_state())
    padded = columns(k=8, seed=2)
    padded["obs.mask"][:, 5:] = 0
    for name, column in seen.items():
        cut = (slice(None), slice(5)) if column.shape[1:2] == (5,) else slice(None)
        padded[name][cut] = column
    (before, value), (after, same) = forward(five, seen), forward(eight, padded)
    torch.testing.assert_close(after[:, :5], before, atol=1e-6, rtol=1e-5)
    assert (after[:, 5:] == 0).all()
    torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("part", [name for name in columns(1) if name != "obs.mask"])
def test_the_scorer_reads_every_part(part):
    policy, seen = scorer(), columns()
    before, value = forward(policy, seen)
    after, other = forward(policy, seen | {part: columns(seed=1)[part]})
    assert (before - after).abs().max() > 1e-3
    assert (value - other).abs().max() > 1e-3


def test_words_in_another_order_are_the_same_bag():
    policy, seen = scorer(), columns()
    turned = {n: seen[n][..., ::-1].copy() for n in ("obs.instruction", "obs.candidates")}
    (before, value), (after, same) = forward(policy, seen), forward(policy, seen | turned)
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(same, value, atol=1e-6, rtol=1e-5)


def test_padding_may_be_negative():
    policy, seen = scorer(), columns()
    padded = {n: np.where(seen[n] > 0, seen[n], -1) for n in TEXTS}
    for before, after in zip(forward(policy, seen), forward(policy, seen | padded), strict=True):
        torch.testing.assert_close(after, before)


def test_a_row_without_legal_candidates_stays_finite():
    policy, seen = scorer(), columns()
    before, value = forward(policy, seen)
    seen["obs.mask"][::2] = 0
    after, other = forward(policy, seen)
    assert torch.isfinite(after).all() and torch.isfinite(other).all()
    torch.testing.assert_close(after[1::2], before[1::2], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(other[1::2], value[1::2], atol=1e-6, rtol=1e-5)
    seen["obs.mask"][:] = 0
    action, logp, _ = policy.act(seen, torch.Generator().manual_seed(0))
    assert torch.isfinite(logp).all() and (action["choice"] < 5).all()


def one(instruction, page, candidates):
    """Columns of one row with these words; all else is the same."""
    seen = columns(1)
    seen["obs.mask"][:] = 1
    texts = {"instruction": instruction, "page": page}
    for name, words in texts.items():
        seen[f"obs.{name}"] = np.array([words + [0] * (LENGTH - len(words))], np.int16)
    rows = [words + [0] * (LENGTH - len(words)) for words in candidates]
    seen["obs.candidates"] = np.array([rows], np.int16)
    return seen


def test_only_unmet_words_are_compared_with_new_words():
    policy = scorer()

    def scores(common, met, asked=5, new=6):
        candidates = [[common, new], [common], [new], [met, common], []]
        seen = one([common, met, asked], [met], candidates)
        with torch.no_grad():
            return policy.compute_outputs({name: torch.from_numpy(c) for name, c in seen.items()})[
                0
            ]

    before = scores(1, 2)
    torch.testing.assert_close(scores(3, 2)[0, [0, 1, 3]], before[0, [0, 1, 3]])  # in common
    torch.testing.assert_close(scores(1, 4), before)  # the page has it
    assert (scores(1, 2, asked=7)[0, [0, 2]] - before[0, [0, 2]]).abs().min() > 1e-4
    assert (scores(1, 2, new=8)[0, [0, 2]] - before[0, [0, 2]]).abs().min() > 1e-4


def test_words_get_a_gradient_past_the_perceptron():
    policy, seen = scorer(), columns()
    with torch.no_grad():
        for parameter in policy.policy.parameters():
            parameter.zero_()
    found = policy({name: torch.from_numpy(c) for name, c in seen.items()})
    found["dist"].logp({"choice": torch.zeros(16, dtype=torch.int64)}).sum().backward()
    assert (policy.word_embeddings.grad != 0).any() and policy.direct.grad != 0


def test_the_value_moves_neither_the_words_nor_the_policy():
    policy, seen = scorer(), columns()
    found = policy({name: torch.from_numpy(c) for name, c in seen.items()})
    found["value"].sum().backward()
    moved = {n.split(".")[0] for n, p in policy.named_parameters() if p.grad is not None}
    assert moved == {"critic"}


@pytest.mark.parametrize("value_hidden", [(), (5,), (7, 3)])
def test_the_perceptrons_have_the_widths_asked_for(value_hidden):
    policy = scorer(hidden=(9, 8), value_hidden=value_hidden)
    widths = {
        name: [
            w.shape[0] for n, w in policy.named_parameters() if n.startswith(name) and w.ndim > 1
        ]
        for name in ("policy", "critic")
    }
    assert widths == {"policy": [9, 8, 1], "critic": [*(value_hidden or (9, 8)), 1]}


@pytest.mark.parametrize("left_out", ["page", "kinds", "figures", "context", "mask"])
def test_parts_that_an_environment_does_not_have_may_be_left_out(left_out):
    nothing: Any = {left_out: None}
    policy = small.module(space(**nothing), spaces.Discrete(5), model="scorer")
    seen = {n: c for n, c in columns().items() if n != f"obs.{left_out}"}
    probabilities, _ = forward(policy, seen)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(16))


@pytest.mark.parametrize(
    ("observation", "actions", "sentence"),
    [
        (space(), 4, "are the choices of the action"),
        (space(instruction=None), 5, "and an 'instruction'"),
        (space(candidates=spaces.Box(0, 9, (5,), np.int32)), 5, "'candidates' .K, L., numbers"),
        (spaces.Box(-1, 1, (3,)), 5, "The scorer needs a Dict observation"),
        (space(weather=spaces.Box(0, 1, (2,))), 5, "it would ignore .'obs.weather'."),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence(observation, actions, sentence):
    with pytest.raises(InputError, match=sentence):
        small.module(observation, spaces.Discrete(actions), model="scorer")


@pytest.mark.parametrize("rows", [3, 300, 70_000])
def test_sums_of_bags_and_their_gradient_are_those_of_a_loop(rows):
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(rows, 2, generator=generator, requires_grad=True)
    sizes = torch.tensor([0, 4, 1, 0, 7, 0])
    places = torch.randint(rows, (12,), generator=generator)
    places[5] = places[0]  # in two bags
    places[1] = places[0]  # twice in one
    sums = _SumBags.apply(table, places, sizes)
    upstream = torch.randn(6, 2, generator=generator)
    (gradient,) = torch.autograd.grad(sums, table, upstream)
    expected, by_row, start = torch.zeros(6, 2), torch.zeros(rows, 2), 0
    for bag, size in enumerate(sizes.tolist()):
        for place in places[start : start + size].tolist():
            expected[bag] += table[place].detach()
            by_row[place] += upstream[bag]
        start += size
    torch.testing.assert_close(sums, expected)
    torch.testing.assert_close(gradient, by_row)
