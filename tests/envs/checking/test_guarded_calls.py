# pyright: basic
"""Guarded calls: a wrong result and an exception become violations with a message."""

import numpy as np
import pytest
from sound_env import Sound

from envs.checking.guarded_calls import call_guarded, reset_env, take_step
from envs.contract.violations import BrokenEnvironmentError


class Returns(Sound):
    """An environment whose calls return what they are given."""

    def __init__(self, result):
        self.result = result

    def reset(self, *, seed=None, options=None):
        return self.result

    def step(self, action):
        return self.result


def violation_of(call):
    with pytest.raises(BrokenEnvironmentError) as refusal:
        call()
    return refusal.value.violation


def test_sound_results_are_passed_through():
    assert reset_env(Returns((1, {})), seed=0) == (1, {})
    result = (1, 0.0, np.bool_(True), False, {})
    assert take_step(Returns(result), 0, 3) == result


def test_a_wrong_number_of_results_is_described():
    found = violation_of(lambda: reset_env(Returns((1, 2, 3)), seed=0))
    assert (found.rule, found.step) == ("reset_returns", None) and "got 3 values" in found.sentence
    found = violation_of(lambda: take_step(Returns([1, 0.0, True, False, {}]), 0, 4))
    assert (found.rule, found.step) == ("step_returns", 4) and "a single list" in found.sentence


@pytest.mark.parametrize(("place", "name"), [(2, "terminated"), (3, "truncated")])
@pytest.mark.parametrize("value", [2, None, "no", np.array([True, False])])
def test_an_end_that_is_no_flag_is_named(place, name, value):
    result = [1, 0.0, False, False, {}]
    result[place] = value
    found = violation_of(lambda: take_step(Returns(tuple(result)), 0, 2))
    assert found.rule == "flags_are_bool" and f"return bool({name})" in found.sentence


def test_results_of_several_copies_are_those_of_a_vector_environment():
    batch = ([1, 2, 3], np.zeros(3), np.zeros(3, bool), np.zeros(3, bool), {})
    found = violation_of(lambda: take_step(Returns(batch), 0, 1))
    assert found.rule == "vector_environment" and "gave 3 of each" in found.sentence
    one = (np.zeros(1), np.zeros(1), np.zeros(1, bool), np.zeros(1, bool), {})
    assert take_step(Returns(one), 0, 1) == one


@pytest.mark.parametrize("name", ["seed", "options"])
def test_a_reset_of_the_old_gym_is_told_its_arguments(name):
    def reset():
        raise TypeError(f"Mine.reset() got an unexpected keyword argument '{name}'")

    sentence = violation_of(lambda: call_guarded("reset()", reset)).sentence
    assert sentence.endswith("define it as reset(self, *, seed=None, options=None).")


def test_an_exception_is_described_with_cause_and_step():
    def fail():
        raise RuntimeError("no way") from KeyError("aisle")

    found = violation_of(lambda: call_guarded("step()", fail, 7))
    assert (found.rule, found.step, found.severity) == ("raises", 7, "stop")
    assert "RuntimeError: no way, caused by KeyError: 'aisle', at step 7" in found.sentence
    assert f"{__file__}:" in found.sentence
    assert violation_of(lambda: call_guarded("make", fail)).rule == "cannot_be_made"
    assert call_guarded("make", lambda: 5) == 5
