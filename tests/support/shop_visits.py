# pyright: basic
"""Walking through a shop, for tests."""

import dataclasses
from typing import Any

import numpy as np

from envs import counter_rng
from envs.shopping.catalogue import Product, Request

SHIRT = Product(
    id="B00SHIRT01",
    title="Acme Red Cotton Shirt",
    description="A shirt of soft cotton.",
    features=("Machine washable", "Two pockets"),
    department="fashion",
    query="men's shirts",
    category="Clothing \u203a Men \u203a Shirts",
    prices=(19.5, 25.0),
    price=22.0,
    options={"color": ("red", "dark blue"), "size": ("small", "large")},
    attributes=("machine wash", "cotton"),
    nouns=("acme", "cotton", "shirt"),
    family=0,
    requests=(Request("find me a washable shirt", ("machine wash",)),),
)
HAT = dataclasses.replace(
    SHIRT,
    id="B00HAT0001",
    title="Straw Hat",
    description="",
    features=(),
    query="hats",
    category="Clothing \u203a Women \u203a Hats",
    options={},
    attributes=("DUMMY_ATTR",),
    nouns=("straw", "hat"),
    family=1,
    requests=(),
)


def visit(world, goal: Any = 0, copies=1, seed=0):
    """The start pages of one goal, or of one for each copy."""
    return world.reset_to(counter_rng.make_keys(seed, copies), {"goal": goal})[0]


def walk(world, state, *texts):
    """The state after actions, each given as a text for every copy."""
    for text in texts:
        state = world.step(state, world.parse_actions(state, [text] * len(state.keys))).state
    return state


def legal_texts(world, state, copy=0):
    return [text for text in world.render_actions(state, copy) if text]


def play(world, agent, goals, seed=0):
    """The last step of each of an agent's episodes: infos [B] by name, and all rewards [T, B]."""
    keys = counter_rng.make_keys(seed, len(goals))
    state, _ = world.reset_to(keys, {"goal": np.asarray(goals)})
    infos, rewards, ended = {}, [], np.zeros(len(goals), bool)
    while not ended.all():
        step = world.step(state, agent(world, state, counter_rng.fold(keys, 99 + state.step)))
        state, fresh = step.state, (step.terminated | step.truncated) & ~ended
        for name, values in step.info.items():
            infos.setdefault(name, np.zeros(len(goals)))[fresh] = values[fresh]
        rewards.append(np.where(ended, 0, step.reward))
        ended |= fresh
    return infos, np.array(rewards)
