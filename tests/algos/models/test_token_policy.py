# pyright: basic
"""The language model as a policy: what it reads, what it chooses, and as whom it may begin."""

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.learning.behaviour_cloning import merge_teacher_weights
from rungwise.validation import InputError

L, V, A = 7, 9, 4
READER = {"width": 16, "steps": 2, "passages": 4}
ENV = {"modulus": 3, "terms": 3, "longest": 2, "reader": READER}
WRITER = {"model": "language", "hidden": (16, 16), "num_envs": 4, "rollout_length": 4}


def language(**changed):
    observation = spaces.Dict({"tokens": spaces.Box(0, V - 1, (L,), np.int64)})
    about = {"model": "language", "hidden": (16, 16)} | changed
    return small.module(observation, spaces.Discrete(A), **about)


def texts(count=6, seed=0):
    """Texts of different lengths [count, L], 0 after their end."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(1, V, (count, L))
    return np.where(np.arange(L) < draw.integers(1, L + 1, count)[:, None], tokens, 0)


def probabilities(policy, tokens):
    forward = policy._forward({"obs.tokens": torch.from_numpy(tokens)})
    return forward["dist"].choice_probabilities().detach(), forward["value"].detach()


def test_the_choices_are_the_last_words_of_the_vocabulary():
    policy, tokens = language(), texts()
    found, _ = probabilities(policy, tokens)
    for row, text in enumerate(tokens):
        own = torch.from_numpy(text[text > 0])[None]
        expected = policy.gpt(own)[0, -1, -A:].softmax(-1)
        torch.testing.assert_close(found[row], expected, atol=1e-6, rtol=0)


def test_what_it_says_does_not_depend_on_the_texts_beside_it():
    policy, tokens = language(), texts()
    together, values = probabilities(policy, tokens)
    for row in range(len(tokens)):
        alone, value = probabilities(policy, tokens[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=0)
        torch.testing.assert_close(value[0], values[row], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("place", [0, 2])
def test_it_reads_every_token(place):
    policy, tokens = language(), np.full((1, L), 3)
    before, value = probabilities(policy, tokens)
    tokens[0, place] = 4
    after, other = probabilities(policy, tokens)
    assert (before - after).abs().max() > 1e-3 and (value - other).abs() > 1e-3


def test_the_error_of_the_value_does_not_move_the_language_model():
    policy = language()
    forward = policy._forward({"obs.tokens": torch.from_numpy(texts())})
    forward["value"].square().mean().backward()
    assert all(p.grad is None for p in policy.gpt.parameters())
    assert all(p.grad is not None for p in policy.critic.parameters())


def test_the_value_sees_how_likely_each_token_was():
    """Two texts with the same last state differ in how likely their tokens were."""
    policy, tokens = language(), texts()
    seen = policy.gpt.hidden(torch.from_numpy(tokens))
    found = policy._compute_token_logps(seen, torch.from_numpy(tokens))
    for row, text in enumerate(tokens):
        for place in range(L):
            if place == 0 or not text[place]:
                assert found[row, place] == 0
                continue
            before = torch.from_numpy(text[:place])[None]
            logp = torch.log_softmax(policy.gpt(before)[0, -1], -1)[text[place]]
            torch.testing.assert_close(found[row, place], logp.detach().clamp_min(-10))
    width = policy.gpt.words.in_features
    with torch.no_grad():
        policy.critic[0].weight[:, :width] = 0  # deaf to the place itself
    values = probabilities(policy, tokens)[1]
    assert values.std() > 1e-3


def test_an_empty_text_is_no_failure():
    found, value = probabilities(language(), np.zeros((2, L), np.int64))
    assert torch.isfinite(found).all() and torch.isfinite(value).all()


def test_runner_and_learner_compute_the_same_logp():
    policy, tokens = language(), texts(200)
    action, logp, _ = policy.act({"obs.tokens": tokens}, torch.Generator().manual_seed(0))
    again = policy._forward({"obs.tokens": torch.from_numpy(tokens)})["dist"].logp(action)
    torch.testing.assert_close(again.detach(), logp, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("observation", "action", "hidden", "sentence"),
    [
        (spaces.Box(0, 1, (3,)), spaces.Discrete(2), (16,), "needs a Dict observation of 'tokens'"),
        (
            spaces.Dict({"tokens": spaces.Box(0, 8, (7,), np.int64), "more": spaces.Discrete(2)}),
            *(spaces.Discrete(2), (16,), "of 'tokens' .* alone"),
        ),
        (
            spaces.Dict({"tokens": spaces.Box(0, 8, (7,), np.int64)}),
            *(spaces.Discrete(10), (16,), "last words of its vocabulary of 9"),
        ),
        (
            spaces.Dict({"tokens": spaces.Box(0, 8, (7,), np.int64)}),
            *(spaces.Discrete(4), (16, 8), "blocks of one width, a multiple of 4"),
        ),
        (
            spaces.Dict({"tokens": spaces.Box(0, 8, (7,), np.int64)}),
            *(spaces.Discrete(4), (18, 18), "blocks of one width, a multiple of 4"),
        ),
    ],
)
def test_what_it_cannot_read_is_refused_in_a_sentence(observation, action, hidden, sentence):
    with pytest.raises(InputError, match=sentence):
        small.module(observation, action, model="language", hidden=hidden)


# A teacher that is a network.


def test_a_part_of_the_same_shapes_takes_the_teacher_weights():
    policy, teacher = language(seed=0), language(seed=1)
    network = {
        name.removeprefix("gpt."): w for name, w in teacher.get_state().items() if "gpt." in name
    }
    weights = merge_teacher_weights(policy.get_state(), network)
    assert weights is not None and weights.keys() == policy.get_state().keys()
    for name, weight in weights.items():
        source = teacher if name.startswith("gpt.") else policy
        np.testing.assert_array_equal(weight, source.get_state()[name])


def test_a_network_of_another_size_is_not_taken_over():
    policy, teacher = language(), language(hidden=(32, 32))
    network = {
        name.removeprefix("gpt."): w for name, w in teacher.get_state().items() if "gpt." in name
    }
    assert merge_teacher_weights(policy.get_state(), network) is None
    assert merge_teacher_weights(policy.get_state(), None) is None


def test_of_parts_with_the_same_shapes_the_first_is_the_teachers():
    weights = {f"part{number}.weight": np.zeros(2) for number in range(50)}
    merged = merge_teacher_weights(weights, {"weight": np.ones(2)})
    assert merged is not None
    assert [name for name, weight in merged.items() if weight.any()] == ["part0.weight"]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("algo", ["reinforce", "ppo"])
def test_a_policy_made_like_the_reader_begins_as_the_reader(algo):
    with algorithm(algo, warm_start="baked") as built:
        built.start_training()
        world = built.env_runner_group.local_env_runner.env.world
        expected = world.get_network_weights("baked")
        learner = built.learner_group.get_weights()["default_policy"]
        runner = built.env_runner_group.local_env_runner.module.get_state()
        for name, weight in expected.items():
            np.testing.assert_array_equal(learner[f"gpt.{name}"], weight)
            np.testing.assert_array_equal(runner[f"gpt.{name}"], weight)


@pytest.mark.usefixtures("local_ray")
def test_a_policy_made_otherwise_imitates_the_reader_instead():
    with algorithm("reinforce", warm_start="baked", hidden=(8,), warm_start_episodes=8) as built:
        assert np.isfinite(built.start_training()["warm_start_loss"])


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("algo", ["reinforce", "ppo", "grpo", "dpo", "astar_po"])
def test_every_algorithm_learns_from_thoughts(algo):
    with algorithm(algo) as built:
        before = built.learner_group.get_weights()["default_policy"]["gpt.words.weight"].copy()
        built.train()
        assert built.flat_metrics["updates"] > 0 and built.flat_metrics["nonfinite"] == 0
        after = built.learner_group.get_weights()["default_policy"]["gpt.words.weight"]
        assert (before != after).any()


def algorithm(algo, **changed):
    return small.algorithm("QuietThoughts-v0", ENV, algo=algo, **WRITER | changed)
