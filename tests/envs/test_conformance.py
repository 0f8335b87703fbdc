# pyright: basic
"""Gymnasium's own conformance tests, adapted to every id, single and vector.

After its ``tests/envs/test_envs.py``, ``tests/vector/test_vector_env.py`` and
``tests/vector/test_vector_make.py``: what a single environment and SyncVectorEnv do, ours do.
"""

import copy
import dataclasses
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import envs
from envs.contract import counter_rng
from envs.contract.batched import BatchedVectorEnv
from rungwise.validation import InputError

READER = {"width": 16, "steps": 0}
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "learning": ("CausalLearning-v0", {"interventions": 4}),
    "learning, ends anywhere": (
        "CausalLearning-v0",
        {"interventions": 9, "stop_when_learnt": True, "tolerance": 0.3, "patience": 2},
    ),
    "learning, random models": ("CausalLearning-v0", {"scm": "random", "interventions": 3}),
    "learning, mlp": (
        "CausalLearning-v0",
        {"student": "mlp", "mlp": {"fast_epochs": 1, "epochs": 1}, "interventions": 2},
    ),
    "optimisation": ("CausalOptimisation-v0", {"interventions": 4}),
    "shop": ("Shopping-v0", {"products": 150, "goals": 50, "episode_limit": 6}),
    "shop, language": (
        "Shopping-v0",
        {"products": 150, "goals": 50, "episode_limit": 4, "text": "language"},
    ),
    "edges": ("EdgeSelection-v0", {"size": 6}),
    "edges, summary": ("EdgeSelection-v0", {"size": 6, "observation": "summary"}),
    "edges, curriculum": ("EdgeSelection-v0", {"size": 8, "sizes": (5,), "action": "edges"}),
    "fsai": ("EdgeSelection-v0", {"size": 6, "objective": "fsai"}),
    "sparsifier": ("EdgeSelection-v0", {"size": 6, "objective": "sparsifier", "steps": 3}),
    "thoughts": ("QuietThoughts-v0", {"longest": 3, "reader": READER}),
}
ONE_OF_EACH = ["learning", "optimisation", "shop", "edges", "thoughts"]
COPIES = 3

each_world = pytest.mark.parametrize("world", WORLDS)
each_family = pytest.mark.parametrize("world", ONE_OF_EACH)


def single(world, **more) -> Any:
    identity, fields = WORLDS[world]
    return gymnasium.make(f"envs:{identity}", **fields, **more)


def vector(world, copies=COPIES, **more) -> Any:
    identity, fields = WORLDS[world]
    return gymnasium.make_vec(f"envs:{identity}", copies, **fields, **more)


def sync(world, copies=COPIES, **more) -> Any:
    identity, fields = WORLDS[world]
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gymnasium.make_vec(f"envs:{identity}", copies, "sync", same_step, **fields, **more)


def actions(env, steps, seed=0):
    """Actions of the space, some of them from the world's random agent, which are legal."""
    env.action_space.seed(seed)
    world, keys = env.unwrapped.world, counter_rng.make_keys(seed, COPIES)
    for t in range(steps):
        state = env.unwrapped.state
        if t % 2 and len(state.keys) == COPIES:
            yield world.baselines["random"](world, state, counter_rng.fold(keys, t))
        else:
            yield env.action_space.sample()


def arrays(tree, seen=None):
    """All arrays inside of a tree, an object's attributes included."""
    seen = set() if seen is None else seen
    if id(tree) in seen:
        return
    seen.add(id(tree))
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from arrays(part, seen)
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from arrays(part, seen)
    elif dataclasses.is_dataclass(tree) or type(tree).__module__.startswith("envs."):
        yield from arrays(getattr(tree, "__dict__", {}), seen)


def shared(returned, own):
    """Names of returned parts that share memory with arrays of the environment or each other."""
    parts = [(name, array) for name, part in returned.items() for array in arrays(part)]
    own = list(arrays(own))
    found = {name for name, array in parts for kept in own if np.shares_memory(array, kept)}
    for place, (name, array) in enumerate(parts):
        found |= {name for _, other in parts[:place] if np.shares_memory(array, other)}
    return found


def named(step):
    names = ("observation", "reward", "terminated", "truncated", "info")
    return dict(zip(names, step, strict=True))


@each_family
def test_the_table_of_worlds_has_every_id(world):
    assert {WORLDS[name][0] for name in ONE_OF_EACH} == set(envs.FAMILIES)
    assert isinstance(vector(world).unwrapped, BatchedVectorEnv)


@each_world
@pytest.mark.parametrize("make", [single, vector])
def test_no_returned_array_shares_memory_with_the_state(world, make):
    env = make(world)
    observation, info = env.reset(seed=1)
    inside = {"state": env.unwrapped.state, "world": env.unwrapped.world}
    assert shared({"observation": observation, "info": info}, inside) == set()
    ended = False
    for action in actions(env, 8):
        before = env.unwrapped.state
        returned = named(env.step(action)) | {"action": action}
        inside = {"before": before, "state": env.unwrapped.state, "world": env.unwrapped.world}
        assert shared(returned, inside) == set()
        over = returned["terminated"] | returned["truncated"]
        ended |= bool(np.any(over))
        if make is single and over:
            env.reset()
    assert ended


@each_world
def test_writing_into_what_a_step_returns_changes_nothing(world):
    one, two = vector(world), vector(world)
    one.reset(seed=2)
    two.reset(seed=2)
    for action in actions(two, 8):
        mine, yours = one.step(action), two.step(action)
        assert data_equivalence(mine, yours, exact=True)
        for array in arrays(mine):
            array[...] = True


@each_world
def test_a_step_changes_nothing_of_the_state_before_it(world):
    env = vector(world)
    env.reset(seed=2)
    for action in actions(env, 5):
        state, step = env.unwrapped.state, env.unwrapped.world.step
        before = copy.deepcopy(list(arrays(state)))
        first, again = step(state, action), step(state, action)
        for kept, array in zip(before, arrays(state), strict=True):
            np.testing.assert_array_equal(array, kept)
        for name in ("observation", "reward", "terminated", "truncated", "info"):
            np.testing.assert_equal(getattr(again, name), getattr(first, name), err_msg=name)
        env.step(action)


@each_family
@pytest.mark.parametrize("make", [single, vector])
@pytest.mark.parametrize("started", [False, True])
def test_a_pickled_environment_continues_the_same(world, make, started):
    env = make(world)
    if started:
        env.reset(seed=4)
        env.step(env.action_space.sample())
    other = pickle.loads(pickle.dumps(env))
    if not started:
        assert data_equivalence(env.reset(seed=4), other.reset(seed=4), exact=True)
    env.action_space.seed(0)
    for _ in range(3):
        action = env.action_space.sample()
        step = env.step(action)
        assert data_equivalence(step, other.step(action), exact=True)
        if make is single and (step[2] or step[3]):
            assert data_equivalence(env.reset(), other.reset(), exact=True)


@each_family
def test_a_deep_copy_continues_on_its_own(world):
    env = vector(world)
    env.reset(seed=5)
    other = copy.deepcopy(env)
    steps = list(actions(env, 1))
    first = env.step(steps[0])
    assert data_equivalence(first, other.step(steps[0]), exact=True)


@each_world
def test_a_batch_lives_as_gymnasiums_batch_of_singles(world):
    env, plain = vector(world), sync(world)
    assert env.observation_space == plain.observation_space
    assert env.action_space == plain.action_space
    assert data_equivalence(env.reset(seed=6), plain.reset(seed=6))
    for action in actions(env, 8, seed=1):
        ours, theirs = named(env.step(action)), named(plain.step(action))
        assert ours["observation"] in env.observation_space
        for name in ("observation", "terminated", "truncated"):
            assert data_equivalence(ours[name], theirs[name]), name
        np.testing.assert_allclose(ours["reward"], theirs["reward"], rtol=1e-5, atol=1e-6)
        same_info(ours["info"], theirs["info"])


def same_info(ours, theirs):
    """Alike but for ``final_obs``, which SyncVectorEnv gives as an array of objects."""
    ended = theirs.get("_final_obs", np.zeros(COPIES, bool))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if name == "final_obs":
            batch = ours["final_obs"]
            for b in np.flatnonzero(ended):
                own = (
                    {key: part[b] for key, part in batch.items()}
                    if isinstance(batch, dict)
                    else batch[b]
                )
                assert data_equivalence(own, value[b])
        elif name == "final_info":
            same_info(ours[name], value)
        else:
            np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_final_figures_are_in_the_final_info_alone():
    env = vector("learning, ends anywhere", 16)
    env.reset(seed=0)
    steps: list[Any] = []
    for action in actions(env, 9):
        steps.append(env.step(action))
    mixed = 0
    for *_, terminated, truncated, info in steps:
        done = terminated | truncated
        mixed += done.any() and not done.all()
        if not done.all():
            assert (info["_excess_risk"] == ~done).all()
            assert (info["excess_risk"][done] == 0).all()
        assert ("final_info" in info) == done.any() == ("final_obs" in info)
        if done.any():
            final = info["final_info"]
            assert (info["_final_info"] == done).all() and (info["_final_obs"] == done).all()
            assert (final["_excess_risk"] == done).all()
            assert (final["excess_risk"][~done] == 0).all()
            assert (final["length"][done] > 0).all()
    assert mixed > 0


def test_the_info_has_no_figures_where_all_copies_ended():
    env = vector("learning")
    env.reset(seed=0)
    infos = [env.step(action)[4] for action in actions(env, 4)]
    assert "excess_risk" in infos[2] and "final_info" not in infos[2]
    assert set(infos[3]) == {"final_obs", "_final_obs", "final_info", "_final_info"}


@each_family
def test_a_seed_for_each_copy_is_what_a_single_environment_takes(world):
    env, one = vector(world), single(world)
    observation, _ = env.reset(seed=[7, 0, 2**70])
    for b, seed in enumerate((7, 0, 2**70)):
        alone, _ = one.reset(seed=seed)
        assert data_equivalence(row(observation, b), alone)


def row(observation, b):
    if isinstance(observation, dict):
        return {name: part[b] for name, part in observation.items()}
    return observation[b]


@each_family
def test_a_copy_without_a_seed_continues_from_its_own_key(world):
    env, plain = vector(world), sync(world)
    env.reset(seed=1)
    plain.reset(seed=1)
    seeds = [7, None, 9]
    assert data_equivalence(env.reset(seed=seeds), plain.reset(seed=seeds))
    assert seeds == [7, None, 9]
    assert data_equivalence(env.reset(), plain.reset())


@each_family
def test_a_first_reset_takes_a_seed_for_some_copies(world):
    env, plain, other = vector(world), vector(world), vector(world)
    first, _ = env.reset(seed=[7, None, 9])
    again, _ = plain.reset(seed=[7, 8, 9])
    for b in (0, 2):
        assert data_equivalence(row(first, b), row(again, b))
    other.reset(seed=[None, None, None])
    keys = np.concatenate([e.unwrapped.state.keys for e in (env, plain, other)])
    assert len(set(keys.tolist())) == 7  # the seeds 7 and 9 twice


@each_family
@pytest.mark.parametrize("seed", [-1, [3, -2, 1], [1.5, 2, 3], "7"], ids=str)
def test_seeds_that_are_none_get_gymnasiums_error(world, seed):
    env = vector(world)
    with pytest.raises(gymnasium.error.Error, match="Seed must be"):
        env.reset(seed=seed if seed != "7" else 7.0)
    if seed == -1:
        with pytest.raises(gymnasium.error.Error, match="greater or equal to zero"):
            single(world).reset(seed=seed)


@pytest.mark.parametrize("seeds", [[1, 2], [None] * 4, []], ids=str)
def test_another_number_of_seeds_is_refused_in_a_sentence(seeds):
    with pytest.raises(InputError, match="each of the 3 copies"):
        vector("learning").reset(seed=seeds)


@each_family
def test_the_seed_of_an_environment_is_the_one_given(world):
    env, one = vector(world), single(world)
    env.reset(seed=11)
    one.reset(seed=11)
    assert env.np_random_seed == 11 and one.unwrapped.np_random_seed == 11
    same = np.random.default_rng(11).random()
    assert env.np_random.random() == same == one.unwrapped.np_random.random()
    env.reset()
    one.reset()
    assert env.np_random_seed == 11 and one.unwrapped.np_random_seed == 11
    env.reset(seed=[4, None, 6])
    assert env.np_random_seed == (4, None, 6)
    assert env.np_random.random() == np.random.default_rng(4).random()
    assert env.np_random_seed == (4, None, 6)
    env.reset(seed=0)
    assert env.np_random_seed == 0


@each_world
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_on_steps_ends_episodes_as_gymnasiums_does(world, limit):
    env, plain = (make(world, max_episode_steps=limit) for make in (vector, sync))
    env.reset(seed=3)
    plain.reset(seed=3)
    for action in actions(env, 5, seed=2):
        ours, theirs = named(env.step(action)), named(plain.step(action))
        for name in ("observation", "terminated", "truncated"):
            assert data_equivalence(ours[name], theirs[name]), name
        same_info(ours["info"], theirs["info"])


def test_a_limit_counts_from_the_state_that_was_put_back():
    env = vector("learning", max_episode_steps=2)
    env.reset(seed=0)
    state = env.unwrapped.state
    first, second = actions(vector_like(env), 2)
    assert not env.step(first)[3].any()
    assert env.step(second)[3].all()
    env.unwrapped.state = state
    assert not env.step(first)[3].any()


def vector_like(env):
    other = vector("learning")
    other.reset(seed=0)
    other.unwrapped.state = env.unwrapped.state
    return other


@each_family
def test_an_environment_is_made_again_from_its_spec(world):
    env, one = vector(world, max_episode_steps=5), single(world)
    again: Any = gymnasium.make_vec(env.unwrapped.spec)
    assert again.num_envs == COPIES and again.unwrapped.max_episode_steps == 5
    assert data_equivalence(env.reset(seed=1), again.reset(seed=1))
    assert data_equivalence(one.reset(seed=1), gymnasium.make(one.spec).reset(seed=1))


@each_family
def test_a_batch_takes_gymnasiums_vector_wrappers(world):
    env = RecordEpisodeStatistics(vector(world, max_episode_steps=2))
    env.reset(seed=1)
    for _ in range(3):
        env.step(env.action_space.sample())
    env.close()
    assert env.unwrapped.closed and f"num_envs={COPIES}" in repr(env.unwrapped)
