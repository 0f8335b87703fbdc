# pyright: basic
"""The frame of user code: the innermost of the user's own, through causes and libraries."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from sound_env import Sound
from violations import check_conformance

from rungwise.user_frames import find_user_frame, is_raised_by


class Chained(Sound):
    def step(self, action):
        try:
            return {}["aisle"]  # the innermost line
        except KeyError as error:
            raise RuntimeError("no way") from error


class Unbuilt(Sound):
    def __init__(self):
        sum(None)  # pyright: ignore  # in the constructor


@pytest.mark.parametrize(
    ("env", "rule", "mark"),
    [(Chained, "raises", "the innermost line"), (Unbuilt, "cannot_be_made", "in the constructor")],
)
def test_the_innermost_line_of_the_users_own_is_named(env, rule, mark):
    gymnasium.register("Innermost-v0", env)
    (found,) = check_conformance(lambda: gymnasium.make("Innermost-v0"), episodes=1)
    del gymnasium.registry["Innermost-v0"]
    source = Path(__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if f"# {mark}" in text)
    assert found.rule == rule
    assert f"{__file__}:{line}" in found.sentence


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_frame_of_an_installed_package_comes_second():
    error = caught(lambda: np.linalg.inv(np.zeros((2, 2))))
    frame = find_user_frame(error)
    assert frame is not None and frame.startswith(f"{__file__}:")
    assert is_raised_by(error, "numpy") and not is_raised_by(error, "gymnasium")


def test_an_error_without_user_code_has_no_frame():
    error = ValueError("never raised")
    assert find_user_frame(error) is None and not is_raised_by(error, "numpy")
