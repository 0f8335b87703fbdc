# pyright: basic
"""The conformance check: planted faults are found, named and placed; sound worlds pass."""

import os
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from sound_env import Sound
from violations import check_conformance

from envs.checking.env_checker import check_random_play


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


class NoFlag(Sound):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, None, info


class LateFault(Sound):
    """Breaks in its 150th episode."""

    episodes = 0

    def reset(self, *, seed=None, options=None):
        type(self).episodes += 1
        if type(self).episodes > 150:
            raise RuntimeError("out of shelves")
        return super().reset(seed=seed)


def test_sound_environments_pass():
    assert check_conformance(Sound) == []
    assert check_conformance(lambda: gymnasium.make("CartPole-v1"), episodes=20) == []
    assert check_conformance(lambda: gymnasium.make("envs:CausalLearning-v0"), episodes=20) == []


@pytest.mark.parametrize(
    ("env", "rule", "words", "step"),
    [
        (NotFinite, "observation_finite", "NaN", 3),
        (BadReward, "reward_finite", "step 2 gave", 2),
        (OwnRandomness, "same_seed", "self.np_random", 0),
        (Raises, "raises", "KeyError: 'shelf' at step 5", 5),
        (FourValues, "step_returns", "got 4 values", 1),
        (OnlyObservation, "reset_returns", "got a single ndarray", None),
        (NoFlag, "flags_are_bool", "return bool(", 1),
    ],
)
def test_planted_faults_are_found_and_placed(env, rule, words, step):
    found = {violation.rule: violation for violation in check_conformance(env)}
    assert rule in found
    assert words in found[rule].sentence
    assert found[rule].step == step


@pytest.mark.parametrize("where", ["make", "reset()", "step()"])
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_an_environment_that_ends_the_process_is_named(where, end):
    class Ends(Sound):
        def __init__(self):
            super().__init__()
            self.end_in("make")

        def reset(self, *, seed=None, options=None):
            self.end_in("reset()")
            return super().reset(seed=seed)

        def step(self, action):
            self.end_in("step()")
            return super().step(action)

        def end_in(self, place):
            if place == where:
                sys.exit(0) if end == "sys.exit(0)" else os._exit(0)

    sentence = check_conformance(Ends)[0].sentence
    assert where.replace("make", "making") in sentence and f"called {end}" in sentence


def test_a_fault_in_a_late_episode_is_found_with_its_step():
    (found,) = check_conformance(LateFault)
    assert found.rule == "raises"
    assert found.step is not None and found.step > 100
    assert f"RuntimeError: out of shelves at step {found.step}" in found.sentence


def test_the_users_own_line_is_named():
    sentence = next(v.sentence for v in check_conformance(Raises) if v.rule == "raises")
    source = Path(__file__).read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(source) if "the planted line" in text)
    assert f"{__file__}:{line}" in sentence


@pytest.mark.parametrize(
    ("env", "rule", "name"),
    [
        (FourValues, "step_returns", "step"),
        (OwnRandomness, "same_seed", "reset"),
        (OnlyObservation, "gymnasium_check", "reset"),
    ],
)
def test_the_method_is_named_where_nothing_was_raised(env, rule, name):
    sentence = next(v.sentence for v in check_conformance(env) if v.rule == rule)
    code = getattr(env, name).__code__
    assert sentence.endswith(f" ({name}() is at {code.co_filename}:{code.co_firstlineno}).")


def test_a_check_ends_in_bounded_time():
    class Endless(Sound):
        length = 10**9

    assert check_conformance(Endless, max_steps=500) == []
    assert check_conformance(Endless, seconds=0.2) == []


class Aisles(Sound):
    """Every other action is closed, by turns; to take one raises."""

    action_space = gymnasium.spaces.Discrete(4)

    def legal(self):
        return (np.arange(4) % 2 == self.time % 2).astype(np.int8)

    def step(self, action):
        if not self.legal()[action]:
            raise LookupError("closed")
        return super().step(action)


class InfoMask(Aisles):
    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, {"action_mask": self.legal()}

    def step(self, action):
        return *super().step(action)[:4], {"action_mask": self.legal()}


class MethodMask(Aisles):
    def action_masks(self):
        return self.legal().astype(bool)


def part_mask(name):
    class PartMask(Aisles):
        observation_space = gymnasium.spaces.Dict(
            {"seen": Sound.observation_space, name: gymnasium.spaces.MultiBinary(4)}
        )

        def look(self):
            return {"seen": super().look(), name: self.legal()}

    return PartMask


@pytest.mark.parametrize("env", [InfoMask, MethodMask, part_mask("action_mask"), part_mask("mask")])
def test_a_mask_of_any_form_is_obeyed(env):
    assert check_conformance(env) == []
    assert check_random_play(env, 5, 100, 5.0) == []


class NothingLegal(InfoMask):
    def legal(self):
        return super().legal() * (self.time != 3)


class NoMaskLater(InfoMask):
    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {} if self.time == 3 else info


class FiveLegal(InfoMask):
    def step(self, action):
        *rest, _ = super().step(action)
        return *rest, {"action_mask": np.ones(5, np.int8)}


class Ambiguous(InfoMask):
    observation_space = gymnasium.spaces.Dict(
        mask=gymnasium.spaces.MultiBinary(4), action_mask=gymnasium.spaces.MultiBinary(4)
    )

    def look(self):
        return {"mask": self.legal(), "action_mask": self.legal()}


@pytest.mark.parametrize(
    ("env", "step", "words"),
    [
        (NothingLegal, 3, "No action is legal"),
        (NoMaskLater, 3, "there was none after step 3"),
        (FiveLegal, 1, "holds 5 numbers, but Discrete(4) needs 4"),
        (Ambiguous, None, "rename the other one"),
    ],
)
def test_a_mask_that_cannot_be_used_is_a_violation(env, step, words):
    (found,) = check_random_play(env, 5, 100, 5.0)
    assert (found.rule, found.step, found.severity) == ("mask_invalid", step, "stop")
    assert words in found.sentence


def test_a_mask_of_actions_that_cannot_be_masked_is_a_note():
    class Sliders(Sound):
        action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

        def reset(self, **kwargs):
            return super().reset(**kwargs)[0], {"action_mask": np.ones(4)}

        def step(self, action):
            return super().step(action[0])

    (found,) = check_conformance(Sliders)
    assert (found.rule, found.severity) == ("mask_unread", "note")


@pytest.mark.parametrize(
    ("success", "noted"),
    [(True, False), (np.array([1]), False), ("goal", True), (None, True), ([], True)],
)
def test_a_success_that_cannot_be_read_is_a_note(success, noted):
    class Named(Sound):
        def step(self, action):
            *rest, _ = super().step(action)
            return *rest, {"success": success}

    found = check_random_play(Named, 5, 100, 5.0)
    assert [(v.rule, v.severity) for v in found] == [("success_unread", "note")] * noted


@pytest.mark.parametrize(
    ("convert", "noted"),
    [
        (lambda reward, *ends: (np.array([reward]), *ends), True),
        (lambda reward, *ends: (reward, *map(int, ends)), True),
        (lambda reward, *ends: (reward, *(np.array([end]) for end in ends)), True),
        (lambda reward, *ends: (np.float32(reward), *map(np.bool_, ends)), False),
    ],
)
def test_results_that_training_casts_are_a_note(convert, noted):
    class Converted(Sound):
        def step(self, action):
            observation, *results, info = super().step(action)
            return observation, *convert(*results), info

    found = check_conformance(Converted)
    assert [(v.rule, v.severity) for v in found] == [("results_cast", "note")] * noted


@pytest.mark.parametrize("reward", [np.array([1.0, -0.5]), [1.0, 0.0], (0, 1, 2)])
def test_a_vector_of_rewards_is_named_with_what_weighs_it(reward):
    class Objectives(Sound):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, reward, *rest

    (found,) = check_random_play(Objectives, 5, 100, 5.0)
    assert found.rule == "reward_is_vector"
    assert f"gave {len(reward)}" in found.sentence
    assert "LinearReward" in found.sentence
