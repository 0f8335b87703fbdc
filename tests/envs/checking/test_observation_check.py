# pyright: basic
"""Observations that differ from their space: what is refused, and what is only noted."""

import numpy as np
import pytest
from gymnasium import spaces
from sound_env import Sound
from violations import check_conformance

from envs.checking.env_checker import check_random_play

UNIT = spaces.Box(0, 1, (2,), np.float32)
BYTES = spaces.Box(0, 255, (2,), np.uint8)
SHARE = {"share": UNIT, "level": spaces.Discrete(3)}


def showing(space, observation):
    """Return an environment that always shows the same observation."""

    class Shows(Sound):
        observation_space = space

        def look(self):
            return observation

    return Shows


@pytest.mark.parametrize(
    ("space", "observation", "severity", "words"),
    [
        # What can be cast, or taken as it is, is noted once.
        (spaces.Box(0, 1, (2,)), np.array([0.5, 0.2]), "note", "float64 instead of float32"),
        (UNIT, np.array([1, 0]), "note", "int64 instead of float32"),
        (BYTES, np.array([3, 255]), "note", "int64 instead of uint8"),
        (
            spaces.Box(0, 1, (2,), np.float64),
            np.array([0.5, 1.0000000000000002]),
            "note",
            "1.0000000000000002 at (1,) instead of a value from 0.0 to 1.0",
        ),
        (UNIT, np.array([-0.1, 2], np.float32), "note", "-0.1 at (0,)"),
        (
            spaces.Dict(SHARE),
            {"share": np.array([0.5, 1.5], np.float32), "level": 2},
            "note",
            "in 'share' 1.5 at (1,)",
        ),
        (
            spaces.Tuple(SHARE.values()),
            (np.array([0.5, 1.5], np.float32), 2),
            "note",
            "in 0 1.5 at (1,)",
        ),
        (spaces.MultiBinary(2), [2, 0], "note", "2 at (0,) instead of a value from 0 to 1"),
        # Other shapes and kinds are refused.
        (spaces.MultiBinary(2), [0, 1, 0], "stop", "shape (3,) of int64 instead of (2,)"),
        (spaces.MultiBinary(2), [300, 0], "stop", "shape (2,) of int64 instead of (2,) of int8"),
        (spaces.MultiBinary(2), np.array([0.5, 1]), "stop", "float64 instead of (2,) of int8"),
        (UNIT, np.zeros(3, np.float32), "stop", "shape (3,) of float32 instead of (2,)"),
        (BYTES, np.array([0.5, 3]), "stop", "float64 instead of (2,) of uint8"),
        (BYTES, np.array([-1, 3]), "stop", "int64 instead of (2,) of uint8"),
        (spaces.Discrete(3), 3, "stop", "3 (int)"),
        (spaces.Dict(SHARE), {"share": np.zeros(2, np.float32)}, "stop", "the parts ['share']"),
        (
            spaces.Dict(SHARE),
            {"share": np.zeros(2), "level": "low"},
            "stop",
            "in 'level' 'low' (str)",
        ),
        (spaces.Tuple(SHARE.values()), (np.zeros(2),), "stop", "the parts [0] instead of [0, 1]"),
    ],
)
def test_observations_outside_the_space_are_noted_or_refused(space, observation, severity, words):
    (found,) = check_random_play(showing(space, observation), 5, 100, 5.0)
    assert (found.rule, found.severity) == ("observation_in_space", severity)
    assert words in found.sentence


def test_a_violation_comes_before_a_note():
    class Broken(showing(UNIT, np.array([0.5, 0.2]))):
        def step(self, action):
            return super().step(action)[:4]

    found = check_random_play(Broken, 5, 100, 5.0)
    assert [v.rule for v in found] == ["step_returns", "observation_in_space"]


def test_type_and_range_are_noted_apart():
    found = check_random_play(showing(UNIT, np.array([0.5, 1.5])), 5, 100, 5.0)
    assert ["float64" in v.sentence for v in found] == [True, False]
    assert "1.5 at (1,)" in found[1].sentence


def test_the_whole_check_notes_it_too():
    found = {v.rule: v for v in check_conformance(showing(UNIT, np.array([0.5, 0.2])), 5)}
    assert found["observation_in_space"].severity == "note"
