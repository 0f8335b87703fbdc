# pyright: basic
"""Pages and actions as text."""

import numpy as np
import pytest
from shop_visits import visit, walk

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from envs import counter_rng
from envs.shopping.rendering import parse_action


def test_the_rich_format_marks_buttons_and_what_was_clicked(world):
    goal = next(g for g, t in enumerate(world.store.targets) if world.store.value_count[t] > 2)
    product = world.store.products[world.store.targets[goal]]
    state = walk(world, visit(world, goal), f"search[{product.title}]", f"click[{product.id}]")
    name, value = product.values[0]
    rich = world.render_page(walk(world, state, f"click[{value}]"), 0, "text_rich")
    assert rich.startswith(f"You have clicked {value}.\nInstruction:\n")
    assert f"\n{name}\n  [clicked button] {value} [clicked button_]\n" in rich
    assert "\n[button] Buy Now [button_]\n" in rich
    again = walk(world, state, "click[< prev]")
    assert f"\n\n[clicked button] {product.id} [clicked button_]\n" in world.render_page(
        again, 0, "text_rich"
    )
    fresh = walk(world, again, "click[back to search]", f"search[{product.title}]")
    assert "clicked" not in world.render_page(fresh, 0, "text_rich")


def test_every_legal_action_has_a_name_that_means_it(world):
    state = visit(world, np.arange(40), copies=40)
    for step in range(12):
        texts = [world.render_actions(state, copy) for copy in range(40)]
        offered = [[slot for slot, text in enumerate(own) if text] for own in texts]
        pick = counter_rng.integers(
            counter_rng.make_keys(step, 40), np.array([max(1, len(o)) for o in offered])
        )
        slots = np.array([o[i] if o else -1 for o, i in zip(offered, pick, strict=True)])
        for copy in np.flatnonzero(slots >= 0):
            text = texts[copy][slots[copy]]
            if text.startswith("click["):
                named = [""] * 40
                named[copy] = text
                assert world.parse_actions(state, named)[copy] == slots[copy]
        state = world.step(state, slots).state


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("search[Red Lamp]", ("search", "red lamp")),
        ("click[red] now", ("click", "red")),
        ("click[a[b]c]", None),
        ("Search[lamp]", None),
        ("search[]", None),
        ("buy", None),
    ],
)
def test_an_action_is_a_verb_and_an_argument_in_brackets(text, parsed):
    assert parse_action(text) == parsed
