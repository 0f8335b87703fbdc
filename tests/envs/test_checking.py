# pyright: basic
"""The conformance check: planted faults are found, named and placed; sound worlds pass."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from envs.checking import conformance


class Sound(gymnasium.Env):
    """Guess the sign of a number."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    length = 5

    def look(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.look(), {}

    def step(self, action):
        self.time += 1
        return self.look(), float(action), self.time >= self.length, False, {}


class OutOfSpace(Sound):
    def step(self, action):
        observation, *rest = super().step(action)
        return observation + 3 * (self.time == 4), *rest


class WrongType(Sound):
    def look(self):
        return self.np_random.uniform(-1, 1, 2)


class NotFinite(Sound):
    def step(self, action):
        observation, *rest = super().step(action)
        return observation * (np.nan if self.time == 3 else 1), *rest


class BadReward(Sound):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, -np.inf if self.time == 2 else 0.0, *rest


class OwnRandomness(Sound):
    def look(self):
        return np.random.default_rng().uniform(-1, 1, 2).astype(np.float32)


class Raises(Sound):
    def step(self, action):
        if self.time == 4:
            raise KeyError("shelf")  # the planted line
        return super().step(action)


class FourValues(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class OnlyObservation(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class FlagsAreNumbers(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, int(terminated), 0, info


class LateFault(Sound):
    """Breaks in its 150th episode."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        type(self).episodes += 1
        if type(self).episodes > 150:
            raise RuntimeError("out of shelves")
        return super().reset(seed=seed)


def test_sound_environments_pass():
    assert conformance(Sound) == []
    assert conformance(lambda: gymnasium.make("CartPole-v1"), episodes=20) == []
    assert conformance(lambda: gymnasium.make("envs:CausalLearning-v0"), episodes=20) == []


@pytest.mark.parametrize(
    ("env", "rule", "words", "step"),
    [
        (OutOfSpace, "observation_in_space", "step() at step 4", 4),
        (WrongType, "observation_in_space", "float64 instead of (2,) of float32", None),
        (NotFinite, "observation_finite", "NaN", 3),
        (BadReward, "reward_finite", "step 2 gave", 2),
        (OwnRandomness, "same_seed", "self.np_random", 0),
        (Raises, "raises", "KeyError: 'shelf' at step 5", 5),
        (FourValues, "step_returns", "got 4 values", 1),
        (OnlyObservation, "reset_returns", "got a single ndarray", None),
        (FlagsAreNumbers, "flags_are_bool", "return bool(", 1),
    ],
)
def test_planted_faults_are_found_and_placed(env, rule, words, step):
    found = {violation.rule: violation for violation in conformance(env)}
    assert rule in found
    assert words in found[rule].sentence
    assert found[rule].step == step


def test_a_fault_in_a_late_episode_is_found_with_its_step():
    (found,) = conformance(LateFault)
    assert found.rule == "raises"
    assert found.step is not None and found.step > 100
    assert f"RuntimeError: out of shelves at step {found.step}" in found.sentence


def test_the_users_own_line_is_named():
    sentence = next(v.sentence for v in conformance(Raises) if v.rule == "raises")
    source = Path(__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "the planted line" in text)
    assert f"{__file__}:{line}" in sentence


def test_a_check_ends_in_bounded_time():
    class Endless(Sound):
        length = 10**9

    assert conformance(Endless, max_steps=500) == []
    assert conformance(Endless, seconds=0.2) == []
