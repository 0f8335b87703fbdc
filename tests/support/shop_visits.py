# pyright: basic
"""Walking through a shop, for tests."""

import dataclasses
from typing import Any

import numpy as np

from envs.contract import counter_rng
from envs.shopping import pages
from envs.shopping.catalogue import Product, Request
from envs.shopping.goals import searches

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
    """The state of one copy after actions in WebShop's words; any query can be searched for."""
    for text in texts:
        if state.page[0] == pages.DONE:
            return state
        if text.startswith("search["):
            state = dataclasses.replace(state, step=state.step + 1)
            found = world.store.search(text[7:-1].lower())[None]
            state = pages.search(state, np.array([0]), found)
        else:
            state = world.step(state, find_slots(world, state, text.lower())).state
    return state


def find_slots(world, state, text):
    """The slot [1] of an action in words, -1 where illegal; of a repeated name the last."""
    names = list_actions(world, state)
    return np.array([max((slot for slot, name in enumerate(names) if name == text), default=-1)])


def list_actions(world, state):
    """What one copy may do in WebShop's words, by slot; empty where a slot is not legal."""
    mask, store = pages.compute_legal_mask(state, world.store)[0], world.store
    listed = []
    if state.page[0] == pages.START:
        listed = [f"search[{query}]" for query in searches(store.goals[state.goal[0]].instruction)]
    elif state.page[0] == pages.RESULTS:
        ids = [store.products[p].id.lower() for p in pages.get_shown_products(state)[0]]
        listed = [f"click[{name}]" for name in ids]
    elif state.page[0] == pages.ITEM:
        listed = [f"click[{value}]" for _, value in store.products[state.item[0]].values]
    texts = [*(f"click[{name}]" for name in pages.BUTTONS), *listed]
    texts += [""] * (len(mask) - len(texts))
    return [text if is_legal else "" for text, is_legal in zip(texts, mask, strict=True)]


def legal_texts(world, state):
    return [text for text in list_actions(world, state) if text]


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
