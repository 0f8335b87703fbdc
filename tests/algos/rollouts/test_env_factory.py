# pyright: basic, reportArgumentType=false
"""Environments by their ids: the one that is asked for, or a sentence."""

import gymnasium
import numpy as np
import pytest
from agent_games import Couriers
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from algos.rollouts.env_factory import (
    check_arguments,
    find_env_spec,
    make_single_env,
    make_vector_env,
)
from rungwise.validation import InputError


class Street(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length=3):
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, True, False, {}


class Needy(Street):
    def __init__(self, length, *, width, height=2):
        super().__init__(length)


class Broken(Street):
    def __init__(self):
        raise OSError("no map")  # the line of the map


class Streets(VectorEnv):
    """The same by another name: other observations."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    size = 3

    def __init__(self, num_envs, **kwargs):
        self.num_envs = num_envs
        self.single_action_space = spaces.Discrete(2)
        self.single_observation_space = spaces.Box(-1, 1, (self.size,), np.float32)


class SameStreets(Streets):
    size = 2


@pytest.fixture(autouse=True)
def registered():
    ids = {
        "Other-v0": (Street, Streets),
        "Same-v0": (Street, SameStreets),
        "Needy-v0": (Needy, None),
        "Broken-v0": (Broken, None),
        "Batch-v0": (lambda: Streets(4), None),
        "Game-v0": (Couriers, None),
    }
    for name, (single, vector) in ids.items():
        gymnasium.register(name, single, vector_entry_point=vector)
    yield
    for name in ids:
        del gymnasium.registry[name]


def test_a_vector_environment_with_other_spaces_is_not_used():
    made = make_vector_env("Other-v0", {}, 2)
    assert isinstance(made, SyncVectorEnv)
    assert made.single_observation_space.shape == (2,)
    assert isinstance(make_vector_env("Same-v0", {}, 2), SameStreets)
    assert not isinstance(make_vector_env("CartPole-v1", {}, 2), SyncVectorEnv)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({}, "without length and width: give `--env-kwargs length VALUE width VALUE`"),
        ({"length": 1, "width": 2, "wdth": 3}, "has no argument wdth. It takes length, width"),
        ({"length": 1, "wdth": 3}, "no argument wdth, and cannot be made without width: give"),
    ],
)
def test_arguments_that_are_missing_or_unknown_are_named(kwargs, said):
    with pytest.raises(InputError) as error:
        make_vector_env("Needy-v0", kwargs, 2)
    assert said in str(error.value)
    check_arguments("Needy-v0", {"length": 1, "width": 2})
    check_arguments("CartPole-v1", {"max_episode_steps": 9})


def test_an_environment_that_cannot_be_made_is_placed():
    with pytest.raises(
        InputError, match=r"OSError: no map \(.*test_env_factory.py:\d+ in __init__\)"
    ):
        make_vector_env("Broken-v0", {}, 2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Batch-v0", "makes 4 copies (Streets)"),
        ("Game-v0", "makes a game of agents (Couriers)"),
    ],
)
def test_what_is_no_single_environment_is_named(name, said):
    with pytest.raises(InputError) as error:
        make_vector_env(name, {}, 2)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ALE/Nowhere-v5", "write `ale_py:ALE/Nowhere-v5`"),
        ("Nowhere-v0", "name that first: `my_module:Nowhere-v0`"),
    ],
)
def test_an_unknown_id_says_how_to_name_its_module(name, said):
    with pytest.raises(InputError) as error:
        find_env_spec(name)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("line", "missing", "remedy"),
    [
        ("import no_such_package.part", "No module named 'no_such_package'", "Install no_such"),
        ("from math import tau2", "cannot import name 'tau2'", "Correct this import"),
    ],
)
def test_a_failing_import_in_a_users_module_is_a_sentence(write_module, line, missing, remedy):
    path = write_module("users_module", f"import gymnasium\n{line}\n")
    with pytest.raises(InputError, match=missing) as refused:
        find_env_spec("users_module:Street-v0")
    message = str(refused.value)
    assert "'users_module:Street-v0'" in message and f"imported in {path}:2" in message
    assert remedy in message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise ValueError('no map')", "ValueError: no map"),
        ("import sys; sys.exit(0)", "it calls sys.exit(0)"),
        ("import os; os._exit(3)", "it calls os._exit(3)"),
        ("print(1 / 0)", "ZeroDivisionError"),
    ],
)
def test_an_error_of_a_users_module_names_its_line(write_module, line, what):
    path = write_module("failing_module", f"import gymnasium\n{line}\n")
    with pytest.raises(InputError) as refused:
        find_env_spec("failing_module:Street-v0")
    assert what in str(refused.value) and f"({path}:2" in str(refused.value)


def test_a_package_that_registers_by_an_entry_point_is_asked_to(tmp_path, write_module):
    """MinAtar does so; Gymnasium has not called such functions since its version 1."""
    write_module(
        "old_games",
        "import gymnasium\n"
        "def register_envs():\n"
        "    entry = 'gymnasium.envs.classic_control:CartPoleEnv'\n"
        "    gymnasium.register('OldGame-v0', entry_point=entry)\n",
    )
    about = tmp_path / "old_games-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: old_games\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[gymnasium.envs]\nOld = old_games:register_envs\n")
    assert find_env_spec("old_games:OldGame-v0").id == "OldGame-v0"
    del gymnasium.registry["OldGame-v0"]


@pytest.mark.parametrize("name", ["Unlisted", "make_unlisted", "Wrapped"])
def test_a_class_and_a_function_need_no_registration(name, write_module):
    write_module(
        "unlisted",
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Unlisted(CartPoleEnv):\n"
        "    pass\n"
        "def make_unlisted(sutton_barto_reward=False, render_mode=None):\n"
        "    return Unlisted(sutton_barto_reward, render_mode)\n"
        "class Wrapped(gymnasium.Wrapper):\n"
        "    def __init__(self, sutton_barto_reward=False, render_mode=None):\n"
        "        super().__init__(make_unlisted(sutton_barto_reward, render_mode))\n",
    )
    env = make_vector_env(f"unlisted:{name}", {"sutton_barto_reward": True}, 2)
    assert env.observation_space.shape == (2, 4)
    with pytest.raises(InputError, match="has no argument speed"):
        check_arguments(f"unlisted:{name}", {"speed": 3})
    del gymnasium.registry[f"unlisted/{name}"]


@pytest.mark.parametrize("name", ["CartPole", "Acrobot", "late"])
def test_what_a_module_makes_may_have_the_name_of_what_is_registered(name, write_module):
    write_module(
        "own_street",
        "import gymnasium\n"
        "from gymnasium.envs.classic_control import PendulumEnv as CartPole\n"
        "def Acrobot():\n"
        "    return gymnasium.make('Pendulum-v1')\n"
        "def late():\n"
        "    gymnasium.register('late-v0', CartPole)\n"
        "    return gymnasium.make('late-v0')\n",
    )
    assert make_vector_env(f"own_street:{name}", {}, 1).single_observation_space.shape == (3,)
    assert make_single_env(f"own_street:{name}", {}).observation_space.shape == (3,)
    gymnasium.registry.pop("late-v0", None)
    del gymnasium.registry[f"own_street/{name}"]


def test_classes_of_one_name_are_those_of_their_modules(write_module):
    for module, kind in (("one_street", "CartPoleEnv"), ("two_street", "MountainCarEnv")):
        entry = f"from gymnasium.envs.classic_control import {kind} as Twin\n"
        write_module(module, entry)
    for module, shape in (("one_street", (1, 4)), ("two_street", (1, 2)), ("one_street", (1, 4))):
        assert make_vector_env(f"{module}:Twin", {}, 1).observation_space.shape == shape
    del gymnasium.registry["one_street/Twin"], gymnasium.registry["two_street/Twin"]


def test_what_a_module_registers_precedes_its_class(write_module):
    entry = "gymnasium.envs.classic_control:CartPoleEnv"
    write_module(
        "listed",
        f"import gymnasium\ngymnasium.register('Listed', {entry!r}, max_episode_steps=7)\n"
        "class Listed:\n    pass\n",
    )
    assert find_env_spec("listed:Listed").max_episode_steps == 7
    del gymnasium.registry["Listed"]


class MixedInfos(Street):
    """What its copies say differs in kind and shape."""

    copies = 0

    def __init__(self):
        self.number, MixedInfos.copies = MixedInfos.copies, MixedInfos.copies + 1

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed, options=options)
        first = self.number % 3 == 0
        cars = np.arange(2 if first else 3)
        return observation, {"gap": 4 if first else None, "cars": cars, "at": {"x": cars}, "t": 7}


def test_copies_may_differ_in_what_their_infos_hold():
    gymnasium.register("MixedInfos-v0", MixedInfos)
    env = make_vector_env("MixedInfos-v0", {}, 3)
    _, infos = env.reset(seed=1)
    assert infos["gap"].tolist() == [4, None, None] and infos["_gap"].all()
    assert [len(cars) for cars in infos["cars"]] == [2, 3, 3] == [len(x) for x in infos["at"]["x"]]
    assert infos["t"].dtype == int and infos["t"].tolist() == [7, 7, 7]


def test_an_environment_of_gymnasium_shows_the_mask_of_its_info():
    env = make_vector_env("Taxi-v3", {}, 3)
    observation, infos = env.reset(seed=1)
    assert set(env.single_observation_space) == {"observation", "mask"}
    np.testing.assert_array_equal(observation["mask"], infos["action_mask"])
    assert 0 < observation["mask"].mean() < 1
    env.close()
