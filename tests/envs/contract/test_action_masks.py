# pyright: basic
"""Masks of legal actions in every form and for every space that may have one."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from envs.contract.action_masks import find_mask, is_legal, sample_legal

CHOICE = spaces.Dict(choice=spaces.Discrete(3), value=spaces.Box(-1, 1, (), np.float32))


class Shop(gymnasium.Env):
    action_space = spaces.Discrete(3, start=5)


class MethodShop(Shop):
    def action_masks(self):
        return [True, False, True]


@pytest.mark.parametrize(
    ("env", "observation", "info", "form"),
    [
        (Shop(), {"mask": np.array([1, 0, 1])}, {}, "mask"),
        (Shop(), {"action_mask": np.array([1, 0, 1])}, {}, "action_mask"),
        (Shop(), np.zeros(2), {"action_mask": np.array([1, 0, 1])}, "info"),
        (gymnasium.wrappers.OrderEnforcing(MethodShop()), 3, {}, "method"),
    ],
)
def test_every_form_of_a_mask_is_known(env, observation, info, form):
    mask = find_mask(env, observation, info)
    assert mask is not None
    assert mask.form == form
    assert mask.legal.tolist() == [1, 0, 1]


@pytest.mark.parametrize("given", [None, np.ones(4), "all", {"left": 1}, [object()]])
def test_what_does_not_fit_the_actions_is_no_mask(given):
    assert find_mask(Shop(), np.zeros(2), {"action_mask": given}) is None


@pytest.mark.parametrize(
    ("space", "legal", "share"),
    [
        (spaces.Discrete(3, start=5), [1, 0, 1], 2 / 3),
        (spaces.MultiDiscrete([2, 3], start=[1, 4]), [0, 1, 1, 1, 0], 1 / 3),
        (CHOICE, [0, 0, 1], 1 / 3),
        (spaces.Discrete(3), [2, 0, -1], 2 / 3),
    ],
)
def test_legal_actions_alone_are_drawn(space, legal, share):
    space.seed(0)
    mask = np.array(legal, np.int8)
    assert all(is_legal(space, mask, sample_legal(space, mask)) for _ in range(50))
    free = [is_legal(space, mask, sample_legal(space, None)) for _ in range(500)]
    assert np.mean(free) == pytest.approx(share, abs=0.08)
