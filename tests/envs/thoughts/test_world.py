# pyright: basic
"""QuietThoughts-v0: what a thought is, what it is worth, and that copies do not meet."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from small_reader import played, small

from envs.contract import counter_rng
from envs.thoughts.corpus import THINK
from rungwise.validation import InputError

KEYS = counter_rng.make_keys(0, 300)


def test_a_thought_earns_the_gain_in_log_probability_less_cost(world):
    state, _ = world.reset(KEYS)
    hints = np.maximum(state.passages.hints - world.corpus.end, 0)
    steps = played(world, state, hints.T)
    ends = np.stack([step.terminated for step in steps])
    ended = ends & ~np.concatenate([np.zeros_like(ends[:1]), ends[:-1]])
    rewards = np.stack([step.reward for step in steps])
    assert (rewards[~ended] == 0).all()
    last = steps[-1].state
    nothing = np.zeros_like(last.thought)
    with_it, without = (
        world.reader.predict_answer(last.passages.context, thought, last.passages.answer)[0]
        for thought in (last.thought, nothing)
    )
    expected = with_it - without - world.params.price * last.step
    np.testing.assert_allclose(rewards.sum(0), expected, atol=1e-6)
    assert last.step[last.passages.problem].tolist() == [3] * int(last.passages.problem.sum())
    assert (last.step[~last.passages.problem] == 0).all()


def test_no_thought_is_worth_nothing(world):
    state, _ = world.reset(KEYS)
    step = world.step(state, np.zeros(300, np.int64))
    assert step.terminated.all() and (step.reward == 0).all()
    assert (step.info["log_p_with"] == step.info["log_p_without"]).all()


def test_the_episode_ends_with_the_thought_or_at_its_limit(world):
    state, _ = world.reset(KEYS[:3])
    steps = played(world, state, [[1, 0, 2], [0, 1, 2], [0, 1, 2]])
    assert [step.terminated.tolist() for step in steps] == [
        [False, True, False],
        [True, True, False],
        [True, True, True],
    ]
    assert not any(step.truncated.any() for step in steps)
    assert steps[-1].info["length"].tolist() == [1, 0, 3]
    assert (steps[-1].reward[:2] == 0).all()  # what has ended is not paid for again


def test_the_agent_never_sees_the_answer(world):
    corpus, (state, first) = world.corpus, world.reset(KEYS)
    after = world.step(state, np.full(300, 2)).observation["tokens"]
    C = corpus.context
    np.testing.assert_array_equal(first["tokens"][:, :C], state.passages.context)
    assert (first["tokens"][:, C] == THINK).all() and (first["tokens"][:, C + 1 :] == 0).all()
    assert (after[:, C + 1] == corpus.end + 2).all() and (after[:, C + 2 :] == 0).all()
    passages = dataclasses.replace(state.passages, answer=state.passages.answer[::-1].copy())
    other = dataclasses.replace(state, passages=passages)
    np.testing.assert_array_equal(world._observe(other)["tokens"], first["tokens"])


def test_the_thought_is_told_word_by_word(world):
    keys = KEYS[world.reset(KEYS)[0].passages.problem][:1]
    state, _ = world.reset(keys)
    actions = [np.maximum(h - world.corpus.end, 0) for h in state.passages.hints.T]
    steps = played(world, state, actions)
    told = world.trace_episode([state, *(step.state for step in steps)], actions)
    assert len(told.frames) == 4 and all(len(f.cells) == len(told.columns) for f in told.frames)
    problem, hints = (
        world.format_tokens(part[0]) for part in (state.passages.context, state.passages.hints)
    )
    assert told.frames[0].cells[1] == "nothing" and told.frames[-1].cells[1] == hints
    assert told.frames[-1].caption == f"{problem} ({hints})"
    assert float(told.frames[-1].cells[3]) > float(told.frames[0].cells[3])


def test_a_plain_text_can_be_thought_about(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 30)
    fields = {"task": "text", "text": str(path), "context": 5, "ahead": 3, "longest": 2}
    env = gymnasium.make("envs:QuietThoughts-v0", **fields, reader={"width": 16, "steps": 0})
    observation, _ = env.reset(seed=1)
    assert observation["tokens"].shape == (5 + 2 + 2 + 3,)
    _, _, terminated, _, info = env.step(3)
    assert not terminated and info["length"] == 1
    _, reward, terminated, _, info = env.step(4)
    assert terminated
    assert reward == pytest.approx(info["log_p_with"] - info["log_p_without"] - 0.02, abs=1e-6)
    assert 0 <= info["accuracy"] <= 1


def test_a_policy_can_begin_as_the_reader_and_as_no_other_agent(world):
    weights = world.get_network_weights("baked")
    assert weights["words.weight"].shape == (len(world.corpus.words), 32)
    assert weights["words.weight"].dtype == np.float32
    assert world.get_network_weights("oracle") is None


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ([1, 5], "from 1 to 4, but it is 5"),
        ([-1, 1], "but it is -1"),
        ([1.0, 2.0], "2 whole numbers.*float64"),
        ([1], r"2 whole numbers.*\(1,\)"),
    ],
)
def test_an_action_that_is_none_is_refused_in_a_sentence(action, sentence):
    world = small()
    state, _ = world.reset(KEYS[:2])
    with pytest.raises(InputError, match=sentence):
        world.step(state, np.array(action))


def test_examples_show_context_thought_guess_and_answer(world):
    state, _ = world.reset(KEYS[:2])
    rows = world.list_examples(state)
    assert [row["thought"] for row in rows] == ["nothing", "nothing"]
    assert [row["read"] for row in rows] == [
        world.format_tokens(context) for context in state.passages.context
    ]
    for row in rows:
        with_thought, without = row["log p with, without"].split(", ")
        assert with_thought == without and float(without) < 0


def test_a_summary_has_the_means_and_the_tests_of_the_proof(world):
    episodes = {name: np.linspace(-2.0, -1.0, 20) for name in world.episode_metrics}
    found = world.summarise(episodes)
    assert found["log_p_with"] == pytest.approx(-1.5) and found["gain"] == pytest.approx(0)


def test_the_end_mark_stands_behind_the_last_token_of_a_thought(world):
    state, _ = world.reset(KEYS[:2])
    state = world.step(state, np.array([2, 0])).state
    tokens = world.step(state, np.array([0, 0])).observation["tokens"]
    C, end = world.corpus.context, world.corpus.end
    thought = tokens[:, C + 1 :]
    assert [row.tolist().index(end) for row in thought] == np.minimum(state.step, 1).tolist()
    np.testing.assert_array_equal(tokens[:, :C], state.passages.context)
