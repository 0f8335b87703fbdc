# pyright: basic
"""The agents: how hard the generated shop is."""

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from shop_visits import play

from envs.shopping import baselines
from envs.shopping.pages import BUY, LISTED, PREV, TO_FEATURES, WINDOW
from envs.shopping.params import Params
from envs.shopping.world import Shopping


@pytest.mark.parametrize("seed", range(2))
def test_the_shop_is_as_hard_as_it_was_made(cache, seed):
    world = Shopping(Params(split="test", goals=500, seed=seed))
    found = {name: play(world, a, np.arange(500))[0] for name, a in baselines.AGENTS.items()}
    score = {name: infos["score"].mean() for name, infos in found.items()}
    success = {name: infos["success"].mean() for name, infos in found.items()}
    assert score["random"] < 20
    assert 39 < score["rule"] < 47 and success["rule"] < 0.07
    assert 57 < score["rule_with_options"] < 64 and 0.13 < success["rule_with_options"] < 0.21
    assert score["oracle"] > 96 and success["oracle"] > 0.9
    assert found["rule"]["length"].max() == 3 and found["oracle"]["bought"].mean() > 0.99


def test_the_explorer_tries_everything(world):
    taken = set()

    def watched(world, state, keys):
        action = baselines.explorer(world, state, keys)
        taken.update(action.tolist())
        return action

    infos, _ = play(world, watched, np.arange(500))
    assert infos["bought"].mean() > 0.95 and infos["invalid"].max() == 0
    assert taken >= {PREV, TO_FEATURES, BUY, *range(LISTED, LISTED + WINDOW)}


def test_agents_decide_by_key_alone(world):
    one = play(world, baselines.explorer, np.arange(50), seed=3)[0]
    other = play(world, baselines.explorer, np.arange(50), seed=3)[0]
    np.testing.assert_array_equal(one["score"], other["score"])
