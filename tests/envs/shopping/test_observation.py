# pyright: basic
"""Observations: what is printed, and nothing else."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from shop_visits import visit, walk

from envs.contract import counter_rng
from envs.shopping import baselines, observation
from envs.shopping.observation import CONTEXT, FIGURES
from envs.shopping.pages import BUY, LISTED, PREV
from envs.shopping.world import Shopping


def test_shares_of_common_words_equal_counting_them(world):
    state, seen = world.reset(counter_rng.make_keys(2, 60))
    for t in range(8):
        for b in range(60):
            instruction = set(seen["instruction"][b][seen["instruction"][b] > 0].tolist())
            for slot, row in enumerate(seen["candidates"][b]):
                own = set(row[row > 0].tolist())
                common = len(own & instruction)
                expected = common / max(len(own), 1), common / max(len(instruction), 1)
                assert seen["figures"][b, slot, :2] == pytest.approx(expected, abs=1e-6)
        step = world.step(state, baselines.explorer(world, state, counter_rng.make_keys(t, 60)))
        state, seen = step.state, step.observation


def test_ids_are_rows_of_the_table_of_words(world):
    by_id = Shopping(dataclasses.replace(world.params, text="ids"))
    state, _ = world.reset(counter_rng.make_keys(0, 50))
    for t in range(8):
        words = observation.observe(world, state)
        ids = observation.observe(by_id, state)
        np.testing.assert_array_equal(world.tokens[ids["candidates"]], words["candidates"])
        np.testing.assert_array_equal(world.tokens[ids["instruction"][:, 0]], words["instruction"])
        np.testing.assert_array_equal(world.tokens[ids["page"][:, 0]], words["page"])
        state = world.step(
            state, baselines.explorer(world, state, counter_rng.make_keys(t, 50))
        ).state


def test_what_was_not_opened_is_not_seen(world):
    product = world.store.products[world.store.targets[0]]
    state = walk(world, visit(world), f"search[{product.title}]")
    words = [observation.observe(world, state)["candidates"][0, LISTED]]
    place = LISTED + state.results[0, :10].tolist().index(world.store.targets[0])
    state = walk(world, state, f"click[{product.id}]")
    for sub_page in ("features", "description"):
        state = walk(world, state, f"click[{sub_page}]", "click[< prev]")
        words.append(observation.observe(world, state)["candidates"][0, BUY])
    read = [(row > 0).sum() for row in words]
    assert read[0] < read[1] < read[2]
    # What was read is remembered on the page of results, after a new search too.
    state = walk(world, state, "click[back to search]", f"search[{product.title}]")
    again = observation.observe(world, state)
    np.testing.assert_array_equal(again["candidates"][0, place], words[2])
    assert again["figures"][0, place, FIGURES.index("visited in this episode")] == 1


def test_hidden_facts_change_nothing(world):
    """Shelves whose secrets differ look the same to an agent that sees only pages."""
    blind = Shopping(world.params)
    blind.store = secretive = object.__new__(type(world.store))
    secretive.__dict__.update(world.store.__dict__)
    secretive.goals = [
        dataclasses.replace(g, attributes=("x",), options=(), price_upper=1.0)
        for g in world.store.goals
    ]
    state, _ = world.reset(counter_rng.make_keys(0, 80))
    for t in range(10):
        one, other = observation.observe(world, state), observation.observe(blind, state)
        for name, part in one.items():
            np.testing.assert_array_equal(part, other[name], err_msg=name)
        state = world.step(
            state, baselines.explorer(world, state, counter_rng.make_keys(t, 80))
        ).state


def test_figures_say_what_they_are_called(world):
    store = world.store
    goal = next(g for g, t in enumerate(store.targets) if store.group_count[t] == 2)
    product = store.products[store.targets[goal]]
    state = walk(world, visit(world, goal), f"search[{product.title}]", f"click[{product.id}]")
    state = walk(world, state, f"click[{product.values[0][1]}]")
    seen = observation.observe(world, state)
    figures = {name: seen["figures"][0, :, i] for i, name in enumerate(FIGURES)}
    context = dict(zip(CONTEXT, seen["context"][0], strict=True))
    first = len(product.options[product.values[0][0]])
    count = len(product.values)
    chosen = figures["value chosen"][LISTED:]
    assert chosen[0] == 1 and chosen.sum() == 1
    decided = figures["its option has a choice"][LISTED : LISTED + count]
    assert decided.tolist() == [1] * first + [0] * (count - first)
    assert figures["best value of its option by both"].sum() == 2
    within = product.price <= store.limits[goal]
    assert figures["price within the limit"][[PREV, BUY]].tolist() == [within, within]
    assert context["item"] == 1 and context["start"] == 0
    assert context["options without a choice"] == pytest.approx(1 / 3)
    assert context["share of steps gone"] == pytest.approx(3 / 15)


def test_a_search_done_is_marked(world):
    state = world.step(visit(world), np.array([LISTED + 2])).state
    seen = observation.observe(world, walk(world, state, "click[back to search]"))
    done = seen["figures"][0, LISTED:, FIGURES.index("search done before")]
    assert np.flatnonzero(done).tolist() == [2]
