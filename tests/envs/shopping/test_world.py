# pyright: basic
"""Shopping-v0: goals, episodes, shaping and what Gymnasium makes of it."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from violations import check_conformance

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("rapidfuzz", reason="the extra [shop] is not installed")

from shop_visits import find_slots, play, visit, walk

from envs.contract import counter_rng
from envs.contract.batched import BatchedVectorEnv, SingleEnv
from envs.contract.pytree import take
from envs.shopping import baselines, pages
from envs.shopping.pages import BUY, DONE, LISTED
from envs.shopping.params import Params
from envs.shopping.world import Shopping
from rungwise.validation import InputError


def with_(world, **fields):
    """The same shop under other rules."""
    return Shopping(dataclasses.replace(world.params, **fields))


def leaves(state):
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def test_the_goal_asked_for_is_the_goal_given_1000_times_of_1000(world):
    state, _ = world.reset_to(counter_rng.make_keys(0, 1000), {"goal": np.arange(1000)})
    for goal in range(1000):
        assert state.goal[goal] == visit(world, goal, seed=goal).goal[0] == goal


def test_the_shells_give_the_goal_asked_for(world):
    env, batch = SingleEnv(world), BatchedVectorEnv(world, 2)
    for goal in range(1000):
        env.reset(seed=goal, options={"goal": goal})
        assert env.state is not None and env.state.goal.tolist() == [goal]
    batch.reset(options={"goal": [3, 4]})
    assert batch.state.goal.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"gaol": 1}, r"has the reset option goal, not \['gaol'\]"),
        ({"goal": 1000}, "must be a number from 0 to 999.*but it is 1000"),
        ({"goal": -1}, "but it is -1"),
        ({"goal": 1.5}, "but it is 1.5"),
        ({"goal": [1, 2, 3]}, r"each of the 2 copies, but it is \[1, 2, 3\]"),
    ],
)
def test_a_goal_that_does_not_exist_is_refused_in_a_sentence(world, options, sentence):
    with pytest.raises(InputError, match=sentence):
        world.reset_to(counter_rng.make_keys(0, 2), options)


def test_goals_are_drawn_evenly_from_the_seed(world):
    state, _ = world.reset(counter_rng.make_keys(0, 20_000))
    counts = np.bincount(state.goal, minlength=1000)
    assert counts.min() > 0 and counts.std() == pytest.approx(np.sqrt(20), rel=0.1)


def test_what_is_not_legal_does_nothing_but_count(world):
    state, _ = world.reset(counter_rng.make_keys(1, 40))
    for t in range(12):
        mask = pages.compute_legal_mask(state, world.store)
        for slot in range(-1, world.slots):
            step = world.step(state, np.full(40, slot))
            illegal = ~mask[:, slot] if slot >= 0 else np.ones(40, bool)
            illegal &= state.page != DONE
            after, before = leaves(take(step.state, illegal)), leaves(take(state, illegal))
            assert (after.pop("step") == before.pop("step") + 1).all()
            assert (after.pop("invalid") == before.pop("invalid") + 1).all()
            for name in after:
                np.testing.assert_array_equal(after[name], before[name], err_msg=name)
            assert (step.reward[illegal] == 0).all()
        state = world.step(
            state, baselines.explorer(world, state, counter_rng.make_keys(t, 40))
        ).state


def test_legal_actions_are_never_counted_as_invalid(world):
    infos, _ = play(world, baselines.anything, np.arange(300))
    assert infos["invalid"].max() == 0


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (np.array([0.0, 1.0]), "needs 2 whole numbers"),
        (np.array([0]), "needs 2 whole numbers"),
        (np.array([0, -2]), "but it is -2"),
        (np.array([0, 10**6]), "but it is 1000000"),
    ],
)
def test_what_is_no_action_is_refused_in_a_sentence(world, action, sentence):
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    with pytest.raises(InputError, match=sentence):
        world.step(state, action)


def test_the_first_wrong_slot_is_named(world):
    state, _ = world.reset(counter_rng.make_keys(0, 2))
    most = world.slots - 1
    with pytest.raises(InputError, match=f"but it is {most + 1}"):
        world.step(state, np.array([most, most + 1]))


def test_the_limit_cuts_an_episode_off_and_is_no_purchase(world):
    short = with_(world, episode_limit=4)
    state = visit(short, copies=2)
    for t in range(4):
        step = short.step(state, np.array([-1, [LISTED, LISTED, BUY, -1][t]]))
        state = step.state
        assert step.terminated.tolist() == [False, t >= 2]
        assert step.truncated.tolist() == [t == 3, False]
    assert step.info["bought"].tolist() == [0, 1] and step.info["score"][0] == 0
    assert step.info["length"].tolist() == [4, 3]


def test_the_score_is_the_reward_of_the_purchase(world):
    infos, rewards = play(world, baselines.rule_with_options, np.arange(200))
    np.testing.assert_allclose(100 * rewards.sum(axis=0), infos["score"], rtol=1e-6)
    assert (infos["success"] == (infos["score"] == 100)).all()
    summary = world.summarise(infos)
    assert summary["score"] == infos["score"].mean() and 0 < summary["success"] < 1


def test_shaping_telescopes_and_never_enters_the_score(world):
    shaped = with_(world, shaping=0.7)
    for agent in (baselines.explorer, baselines.anything):
        plain_infos, plain = play(world, agent, np.arange(150))
        infos, rewards = play(shaped, agent, np.arange(150))
        np.testing.assert_array_equal(infos["score"], plain_infos["score"])
        bought = infos["bought"] == 1
        # After a purchase the potential is 0, as at the start: shaping has added nothing at all.
        gained = (rewards - plain).sum(axis=0)
        np.testing.assert_allclose(gained[bought], 0, atol=1e-6)
        # Who does not buy has gained at most the potential of what is still in hand.
        assert (gained[~bought] <= 0.7 + 1e-6).all() and (gained >= -1e-6).all()
        assert np.abs(rewards - plain).max() > 0.1


def test_going_round_in_circles_gains_nothing(world):
    shaped = with_(world, shaping=1.0, episode_limit=100)
    state = visit(shaped)
    product = world.store.products[world.store.targets[0]]
    state = walk(shaped, state, f"search[{product.title}]")
    total = 0.0
    for _ in range(10):
        for text in (f"click[{product.id}]", "click[features]", "click[< prev]", "click[< prev]"):
            step = shaped.step(state, find_slots(shaped, state, text.lower()))
            state, total = step.state, total + float(step.reward[0])
    assert total == pytest.approx(0, abs=1e-6)


def test_a_discount_below_one_makes_waiting_cost(world):
    shaped = with_(world, shaping=1.0, discount=0.9)
    product = world.store.products[world.store.targets[0]]
    state = walk(shaped, visit(shaped), f"search[{product.title}]", f"click[{product.id}]")
    step = shaped.step(state, np.array([-1]))
    assert step.reward[0] == pytest.approx(-0.1 * shaped.potential(state)[0])


def test_our_own_check_finds_nothing_wrong():
    def make():
        return gymnasium.make("envs:Shopping-v0", products=200, goals=50)

    assert check_conformance(make, episodes=20) == []


def test_observations_stay_in_their_space(world):
    for text in ("tokens", "ids"):
        shop = with_(world, text=text)
        env = BatchedVectorEnv(shop, 8)
        observation, _ = env.reset(seed=0)
        for t in range(40):
            assert observation in env.observation_space
            keys = counter_rng.make_keys(t, 8)
            observation, *_ = env.step(baselines.anything(shop, env.state, keys))


def test_generated_catalogues_have_the_same_spaces(cache):
    small, large = (Shopping(Params(products=p, goals=50, seed=p)) for p in (150, 600))
    assert small.observation_space == large.observation_space
    assert small.action_space == large.action_space


def test_the_limit_of_an_episode_is_that_of_the_parameters(world):
    assert with_(world, episode_limit=7).episode_limit == 7
