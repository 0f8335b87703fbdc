# pyright: basic
"""Gymnasium's own checker: its findings are warnings, and it ends in time."""

import numpy as np
from sound_env import Sound
from stepping_clock import SteppingClock
from violations import check_conformance

from envs.checking.env_checker import examine


class NumpyFlags(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, np.bool_(terminated), np.bool_(False), info


class UnseededAnswer(Sound):
    def reset(self, *, seed=None, options=None):
        self.time = 0
        return np.zeros(2, np.float32), {}


def test_numpy_flags_pass_and_gymnasiums_findings_are_warnings():
    assert check_conformance(NumpyFlags) == []
    (found,) = [v for v in check_conformance(UnseededAnswer) if v.rule == "gymnasium_check"]
    assert found.severity == "warn"


def test_a_slow_environment_is_checked_in_the_time_there_is():
    clock, steps = SteppingClock(), []

    class Slow(Sound):
        def step(self, action):
            clock.now += 0.05
            steps.append(action)
            return super().step(action)

    found = examine(Slow, 200, 20_000, 0.1, clock)
    assert len(steps) < 10
    assert found.violations == []
    assert "calls of reset() and step() took" in found.cut_short["gymnasium_check"]
