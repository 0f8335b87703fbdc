# pyright: basic, reportArgumentType=false
"""An environment whose ``close()`` raises: its user is warned, and nothing else happens."""

import gymnasium
import numpy as np
import pytest
from command_line import answer, rungwise

from algos.rollouts.env_factory import make_bare_env, make_single_env, make_vector_env
from envs.adapters.closing import guard_close
from rungwise.validation import InputWarning

MODULE = """
import gymnasium, numpy as np
from gymnasium.vector.utils import batch_space

class Leaving(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        self.steps += 1
        observation = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return observation, float(action), False, self.steps >= 10, {}

    def close(self):
        raise RuntimeError("the socket of NAME is gone")

class Copies(gymnasium.vector.VectorEnv):
    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, num_envs=1):
        self.num_envs = num_envs
        self.single_observation_space = Leaving.observation_space
        self.single_action_space = Leaving.action_space
        self.observation_space = batch_space(Leaving.observation_space, num_envs)
        self.action_space = batch_space(Leaving.action_space, num_envs)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def close_extras(self, **kwargs):
        raise RuntimeError("the socket of NAME is gone")

gymnasium.register("NAME-v0", Leaving, vector_entry_point=Copies)
"""


@pytest.mark.parametrize("kind", ["bare", "single", "copies", "batch"])
def test_closing_what_raises_only_warns_with_its_line(kind, write_module):
    name = f"leaving_{kind}"  # each is warned of once
    path = write_module(name, MODULE.replace("NAME", name))
    make = {
        "bare": lambda: make_bare_env(f"{name}:Leaving", {}),
        "single": lambda: make_single_env(f"{name}:Leaving", {}),
        "copies": lambda: make_vector_env(f"{name}:Leaving", {}, 2),
        "batch": lambda: make_vector_env(f"{name}:{name}-v0", {}, 2),
    }[kind]
    with pytest.warns(InputWarning, match=rf"close\(\) of .* raised .*{path}:\d+ in close") as seen:
        env = make()
        env.reset(seed=0)
        env.close()
        env.close()
    texts = [str(warning.message) for warning in seen if warning.category is InputWarning]
    assert len(texts) == len(set(texts))


def test_an_environment_that_closes_well_is_as_before():
    env = make_bare_env("CartPole-v1", {})
    assert isinstance(env, gymnasium.Env)
    assert np.isfinite(env.reset(seed=0)[0]).all()
    env.close()


@pytest.mark.system
def test_check_and_train_end_well_where_close_raises(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE.replace("NAME", "mine"))
    checked = rungwise("check", "mine:Leaving", "--json", cwd=tmp_path)
    short = ("--iterations", 2, "--cpus", 1, "--episodes", 2, "--settings.rollout-length", 32)
    trained = rungwise("train", "--env", "mine:Leaving", *short, "--json", cwd=tmp_path)
    for done in (checked, trained):
        assert done.returncode == 0, done.stderr
        assert "error" not in answer(done) and "Traceback" not in done.stderr
        assert done.stderr.count("close() of Leaving raised RuntimeError") == 1


def test_an_environment_whose_attributes_are_fixed_is_as_it_is():
    class Fixed:
        __slots__ = ()

        def close(self):
            return 7

    assert guard_close(Fixed()).close() == 7
