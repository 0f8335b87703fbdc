# pyright: basic
"""Agents of random play: how long they hold an action, and that it is legal."""

import numpy as np
from gymnasium import spaces

from algos.models.base import MASK
from tune_jobs.check.random_agents import (
    HOLDS,
    ConstantActor,
    RandomActor,
    RandomRule,
    flatten_observation,
    stack_actions,
)

MANY = spaces.Discrete(10**6)  # two draws are hardly ever equal
FEW = spaces.Discrete(3)
ONLY_TWO = {MASK: np.array([0, 0, 1], np.int8)}


def count_changes(seed):
    actor = RandomActor(MANY, seed)
    actions = [actor.act({}) for _ in range(32)]
    return len(set(actions))


def test_an_action_is_held_for_the_steps_of_its_seed():
    assert [count_changes(seed) for seed in range(4)] == [32 // hold for hold in HOLDS]
    assert count_changes(4) == 32


def test_equal_seeds_draw_equal_actions():
    one, same, other = (RandomActor(MANY, seed) for seed in (0, 0, 4))
    assert one.act({}) == same.act({}) != other.act({})


def test_a_held_action_that_becomes_illegal_is_left():
    actor = RandomActor(FEW, 3)
    held = actor.act({})
    mask = np.arange(3) == (held + 1) % 3
    assert actor.act({MASK: mask.astype(np.int8)}) == (held + 1) % 3


def test_a_constant_action_gives_way_only_where_it_is_illegal():
    actor = ConstantActor(FEW, 1, 0)
    assert actor.act({}) == 0
    assert actor.act(ONLY_TWO) == 2


def test_episodes_of_a_constant_action_give_way_differently():
    mask = np.arange(100) > 0
    drawn = [
        [actor.act({MASK: mask.astype(np.int8)}) for _ in range(9)]
        for actor in (ConstantActor(spaces.Discrete(100), seed, 0) for seed in (0, 4))
    ]
    assert drawn[0] != drawn[1]


def test_a_random_rule_is_a_function_of_the_observation():
    scale = np.zeros(2), np.ones(2)
    rule, same = RandomRule(MANY, 1, scale), RandomRule(MANY, 1, scale)
    rows = [{"obs": np.array([x, 1.0])} for x in np.linspace(-3, 3, 20)]
    actions = [rule.act(row) for row in rows]
    assert actions == [rule.act(row) for row in rows] == [same.act(row) for row in rows]
    assert len(set(actions)) > 1
    assert RandomRule(FEW, 1, scale).act({**rows[0], **ONLY_TWO}) == 2


def test_an_observation_is_flattened_without_its_mask():
    columns = {"a": np.array([[1, 2], [3, 4]]), "b": np.array(5), **ONLY_TWO}
    assert flatten_observation(columns).tolist() == [1, 2, 3, 4, 5]


def test_actions_of_parts_are_stacked_part_by_part():
    assert stack_actions([3, 4]).tolist() == [3, 4]
    stacked = stack_actions({"x": i, "y": [i, 0]} for i in range(2))
    assert stacked["x"].tolist() == [0, 1] and stacked["y"].tolist() == [[0, 0], [1, 0]]
