# pyright: basic
"""The two shells: seeds, automatic resets, and copies that do not influence each other."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

import envs
from envs.contract import counter_rng, pytree
from envs.contract.batched import get_world
from rungwise.validation import InputError

ID = "envs:CausalLearning-v0"


def vector(copies, **fields) -> Any:
    return gymnasium.make_vec(
        ID, num_envs=copies, vectorization_mode="vector_entry_point", **fields
    )


def actions(seeds, t):
    seeds = np.asarray(seeds)
    return {"choice": (seeds + t) % 5, "value": np.sin(seeds + 3.0 * t).astype(np.float32)}


def trajectory(copies, seed, steps=25, **fields):
    """Observations [B, T, ...], rewards, excess risks and ends of several episodes."""
    env = vector(copies, **fields)
    env.reset(seed=seed)
    rows = []
    for t in range(steps):
        observation, reward, terminated, _, infos = env.step(actions(np.arange(copies) + seed, t))
        last, going = infos.get("final_info", {}), infos.get("excess_risk", 0)
        excess = np.where(terminated, last.get("excess_risk", 0), going)
        rows.append((observation["nodes"], reward, excess, terminated))
    return [np.stack(part, axis=1) for part in zip(*rows, strict=True)]


ENDS_ANYWHERE = {
    "interventions": 12,
    "observe_every": 3,
    "stop_when_learnt": True,
    "tolerance": 0.3,
    "patience": 2,
}


@pytest.mark.parametrize("fields", [{}, ENDS_ANYWHERE], ids=["plain", "ends anywhere"])
@pytest.mark.parametrize(("seed", "copies"), [(0, 1), (127, 1), (3, 7), (121, 7)])
def test_a_copy_lives_the_same_episodes_whatever_the_batch(seed, copies, fields):
    many = trajectory(128, 0, **fields)
    few = trajectory(copies, seed, **fields)
    for a, b in zip(many, few, strict=True):
        np.testing.assert_array_equal(a[seed : seed + copies], b)


def play(identity: str, **fields: Any) -> str:
    """A digest of what three copies observe and earn in ten random steps."""
    world = cast(Any, gymnasium.make(identity, **fields).unwrapped).world
    keys = np.arange(3, dtype=np.uint64)
    state, observation = world.reset(keys)
    seen: list[Any] = [observation]
    for t in range(10):
        step = world.step(state, world.baselines["random"](world, state, counter_rng.fold(keys, t)))
        state, seen = step.state, [*seen, step.observation, step.reward, step.info]
    pytree = [
        part for each in seen for part in (each.values() if isinstance(each, dict) else [each])
    ]
    return hashlib.sha1(b"".join(np.ascontiguousarray(a).tobytes() for a in pytree)).hexdigest()


PLAYED: list[tuple[str, dict[str, Any]]] = [
    (ID, {}),
    (ID, {"scm": "random"}),
    (ID, {"student": "mlp", "mlp": {"fast_epochs": 1, "epochs": 2}}),
    ("envs:CausalOptimisation-v0", {}),
    ("envs:EdgeSelection-v0", {}),
    ("envs:Shopping-v0", {}),
]


def play_all() -> list[str]:
    return [play(identity, **fields) for identity, fields in PLAYED]


@pytest.mark.system
def test_threads_and_processes_do_not_change_episodes():
    code = "from test_batched import play_all; print(*play_all())"
    digests = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": threads},
        ).stdout.split()
        for threads in ("1", "2")
    ]
    assert digests == [play_all()] * 2


def test_a_state_put_back_continues_the_same():
    env = vector(3)
    env.reset(seed=0)
    env.step(actions(np.arange(3), 0))
    state = pickle.loads(pickle.dumps(env.unwrapped.state))
    first = env.step(actions(np.arange(3), 1))
    env.unwrapped.state = state
    again = env.step(actions(np.arange(3), 1))
    np.testing.assert_array_equal(first[0]["nodes"], again[0]["nodes"])
    np.testing.assert_array_equal(first[1], again[1])


def test_a_state_of_another_size_is_refused_in_a_sentence():
    env = vector(3)
    env.reset(seed=0)
    other = vector(2)
    with pytest.raises(InputError, match="3 copies, but this environment has 2"):
        other.unwrapped.state = env.unwrapped.state


def test_stepping_before_a_reset_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="call reset"):
        vector(1).step(actions([0], 0))


def test_a_reset_of_some_copies_is_refused_in_a_sentence():
    env = vector(2)
    env.reset(seed=0)
    with pytest.raises(InputError, match="cannot be reset one by one"):
        env.reset(options={"reset_mask": np.array([True, False])})


def test_a_reset_without_a_seed_starts_new_episodes():
    env = vector(2)
    env.reset(seed=0)
    before = env.unwrapped.state.keys
    env.reset()
    assert (env.unwrapped.state.keys != before).all()


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_first_reset_without_a_seed_has_63_bits_of_entropy(make):
    bounds = []
    env: Any = make(ID).unwrapped
    env.np_random = SimpleNamespace(integers=lambda high: bounds.append(high) or 5)
    env.reset()
    assert bounds == [2**63]
    assert env.state.keys.tolist() == counter_rng.make_keys(5, 1).tolist()


def test_states_are_indexed_and_merged_without_spelling_them_out():
    world = envs.FAMILIES["CausalLearning-v0"].world(envs.FAMILIES["CausalLearning-v0"].params())
    state, _ = world.reset(np.arange(4, dtype=np.uint64))
    other, _ = world.reset(np.arange(10, 14, dtype=np.uint64))
    mask = np.array([True, False, True, False])
    assert pytree.take(state, mask).keys.tolist() == [0, 2]
    assert pytree.where(mask, state, other).keys.tolist() == [0, 11, 2, 13]
    assert pytree.put(state, mask, pytree.take(other, mask)).keys.tolist() == [10, 1, 12, 3]
    assert pytree.take(state, mask).student.sums[0].shape[0] == 2


class UsersVectorEnv(VectorEnv):
    """A user's own vector environment, which happens to have an attribute ``world``."""

    def __init__(self, num_envs=2):
        self.num_envs, self.world = num_envs, "a map of the level"
        self.single_observation_space = spaces.Box(0, 1, (1,), np.float32)
        self.single_action_space = spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((self.num_envs, 1), np.float32), {}


def test_a_users_attribute_named_world_is_not_ours():
    assert get_world(UsersVectorEnv()) is None
    assert get_world(VectorWrapper(UsersVectorEnv())) is None


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_the_world_is_found_through_wrappers(make):
    env: Any = make("envs:CausalLearning-v0", interventions=2)
    assert get_world(env) is env.unwrapped.world
    assert get_world(gymnasium.make("CartPole-v1")) is None
