# pyright: basic
"""What the reader predicts after a thought and after its controls."""

import numpy as np
from small_reader import UNTAUGHT, played, small

from envs.contract import counter_rng
from envs.thoughts.readings import draw_random_thought

KEYS = counter_rng.make_keys(0, 300)


def test_other_thoughts_are_read_in_place_of_the_own_one():
    world = small(UNTAUGHT)
    state, _ = world.reset(KEYS)
    after = played(world, state, np.array([[1] * 300, [2] * 300, [0] * 300]))[-1]
    noise = draw_random_thought(world.corpus, after.state)
    assert ((noise > 0) == (after.state.thought > 0)).all()  # as many tokens
    assert (noise != after.state.thought).any(1).mean() > 0.8
    info, places = after.info, state.passages
    read = world.reader.predict_answer(places.context, noise, places.answer)[0]
    np.testing.assert_allclose(info["log_p_random"], read, atol=1e-9)
    # The shuffled thought is this one, read in another place.
    same = info["log_p_shuffled"] == info["log_p_with"]
    assert same.mean() < 0.1
