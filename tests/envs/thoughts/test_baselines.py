# pyright: basic
"""The simple agents of QuietThoughts."""

import numpy as np
from small_reader import thinking

from envs.contract import counter_rng
from envs.contract.pytree import take

KEYS = counter_rng.make_keys(0, 300)


def test_the_agents_do_what_they_are_called(world):
    state, _ = world.reset(KEYS)
    last = {name: thinking(world, state, name) for name in world.baselines}
    assert (last["silent"].step == 0).all()
    assert (last["random"].step == 3).all()
    hints = state.passages.hints
    np.testing.assert_array_equal(last["oracle"].thought, hints)
    scores = {}
    for name, ended in last.items():
        read = world.reader.predict_answer(
            ended.passages.context, ended.thought, ended.passages.answer
        )
        scores[name] = read[0].mean()
    assert scores["random"] < scores["silent"] < scores["oracle"]
    assert len(np.unique(last["random"].thought)) == 4  # each of the four words
    tokens = last["baked"].thought[:, 0]
    assert (tokens > 0).mean() > 0.5 and len(np.unique(tokens)) == 5


def test_the_baked_thinker_draws_as_the_reader_would_write(world):
    state = take(world.reset(KEYS)[0], np.zeros(20000, np.int64))
    logp = world.reader.next_thought(state.passages.context[:1], state.thought[:1])[0]
    drawn = world.baselines["baked"](world, state, counter_rng.make_keys(1, 20000))
    shares = np.bincount(drawn, minlength=world.choices) / 20000
    np.testing.assert_allclose(shares, np.exp(logp), atol=0.015)
