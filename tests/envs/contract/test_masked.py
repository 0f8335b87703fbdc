# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""Masks of every form are shown as the part ``mask``, in every autoreset mode."""

import gymnasium
import numpy as np
import pytest
from agent_games import Couriers
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from masked_games import FORMS, MODES, Game, InfoGame, MethodGame, WrongGame, batched

from envs.contract.action_masks import MaskError, count_choices, find_forbidden, sample_legal
from envs.contract.agents import AgentsVectorEnv
from envs.contract.masked import (
    MaskedEnv,
    MaskedVectorEnv,
    check_choice,
    detect_form,
    detect_vector_form,
)
from rungwise.validation import InputError

KINDS = ("one", "several")
VECTOR_FORMS = ("mask", "action_mask", "info")


def assert_masks_match(observation, ended=None):
    """Compare masks [..., A] with the numbers that are observed beside them."""
    legal, seen = observation["mask"] != 0, observation["observation"] > 0
    running = np.ones(legal.shape[:-1], bool) if ended is None else ~np.asarray(ended)
    np.testing.assert_array_equal(legal[running], seen[running])
    assert legal.any(-1).all()  # also after the end, where games show none


def draw(env, observation):
    """Draw a legal action for each copy, any where none is legal."""
    space, masks = env.single_action_space, observation["mask"]
    return np.stack([sample_legal(space, m if m.any() else None) for m in masks])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_single_environment_shows_its_mask(form, kind):
    env = FORMS[form](kind)
    assert detect_form(env) == form
    env = MaskedEnv(env, form)
    for episode in range(5):
        (observation, _), over = env.reset(seed=episode), False
        while not over:
            assert observation in env.observation_space
            assert_masks_match(observation)
            action = sample_legal(env.action_space, observation["mask"])
            observation, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
        assert observation in env.observation_space


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("form", FORMS)
def test_copies_show_masks_in_every_autoreset_mode(form, mode):
    env = SyncVectorEnv([lambda: MaskedEnv(FORMS[form](), form)] * 3, autoreset_mode=mode)
    play(env, mode, 60)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", VECTOR_FORMS)
def test_a_native_vector_environment_shows_masks(form, mode, kind):
    inner = batched(FORMS[form], MODES[mode])(3, kind=kind)
    assert detect_vector_form(inner) == form
    env = MaskedVectorEnv(inner, form)
    assert isinstance(env.single_observation_space, spaces.Dict)
    assert set(env.single_observation_space.spaces) == {"observation", "mask"}
    play(env, MODES[mode], 60)


def play(env, mode, steps):
    """Play legal actions; compare every mask, also those of final observations."""
    observation, _ = env.reset(seed=0)
    assert_masks_match(observation)
    finals = ends = 0
    for _ in range(steps):
        observation, _, terminated, truncated, infos = env.step(draw(env, observation))
        ended = terminated | truncated
        ends += ended.sum()
        assert observation in env.observation_space
        # In same-step mode the observation of a copy that ended is the first of a new episode.
        same = mode == AutoresetMode.SAME_STEP
        assert_masks_match(observation, None if same else ended)
        if "final_obs" in infos:
            for copy in np.flatnonzero(ended):
                assert infos["final_obs"][copy] in env.single_observation_space
                finals += 1
        if mode == AutoresetMode.DISABLED and ended.any():
            observation, _ = env.reset(options={"reset_mask": ended})
    assert ends > 10
    assert finals == (ends if mode == AutoresetMode.SAME_STEP else 0)


def test_final_observations_that_are_batched_keep_their_masks():
    class Batched(InfoEnv):
        pass

    env = MaskedVectorEnv(Batched(), "info")
    env.reset()
    *_, infos = env.step(np.zeros(2, np.int64))
    assert infos["final_obs"]["mask"].tolist() == [[0, 1], [1, 1]]  # an empty one allows all
    assert infos["final_obs"]["observation"].tolist() == [[7.0], [8.0]]


class InfoEnv(gymnasium.vector.VectorEnv):
    """Two copies that are batched natively; the first ends in every step."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    num_envs = 2
    single_observation_space = spaces.Box(0, 9, (1,))
    single_action_space = spaces.Discrete(2)
    has = (True, True)

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 1)), {"action_mask": np.ones((2, 2), np.int8)}

    def step(self, actions):
        infos = {
            "action_mask": np.ones((2, 2), np.int8),
            "_action_mask": np.array(self.has),
            "final_obs": np.array([[7.0], [8.0]]),
            "final_info": {"action_mask": np.array([[0, 1], [0, 0]])},
        }
        ended = np.array([True, False])
        return np.zeros((2, 1)), np.zeros(2), ended, ~ended & False, infos


@pytest.mark.parametrize("has", [(True, False), (False, True)])
def test_a_copy_without_its_mask_is_named(has):
    inner = InfoEnv()
    inner.has = has
    env = MaskedVectorEnv(inner, "info")
    env.reset()
    step = 0 if not has[0] else 1  # the first copy has just started anew
    where = f"in copy {has.index(False)} after {f'step {step}' if step else 'reset()'}"
    with pytest.raises(MaskError, match="there was none") as refusal:
        env.step(np.zeros(2, np.int64))
    assert where in str(refusal.value)


def test_an_agent_without_a_legal_action_is_named():
    class Stuck(Couriers):
        def tell(self):
            infos = super().tell()
            if self.time == 2 and "a1" in infos:
                infos["a1"]["action_mask"][:] = 0
            return infos

    env = MaskedVectorEnv(AgentsVectorEnv("couriers", lambda: Stuck(masked=True), 2), "info")
    env.reset(seed=0)
    env.step(np.zeros(6, np.int64))
    with pytest.raises(MaskError, match=r"No action.* for a1 of game 0 after step 2 .*\(0 of 2 "):
        env.step(np.zeros(6, np.int64))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", "No action is legal"),
        ("missing", "there was none"),
        ("size", "holds 4 numbers, but Discrete(5, start=2) needs 5"),
    ],
)
def test_a_wrong_mask_is_refused_with_its_step(fault, words):
    env = MaskedEnv(WrongGame(fault), "info")
    env.reset(seed=0)
    observation, _ = env.reset(seed=1)
    with pytest.raises(MaskError) as refusal:
        for _ in range(3):
            action = sample_legal(env.action_space, observation["mask"])
            observation, *_ = env.step(action)
    assert words in str(refusal.value)
    assert fault == "size" or "after step 3 of an episode" in str(refusal.value)
    assert env.steps == 3


@pytest.mark.parametrize(("form", "named"), [("mask", True), ("info", False)])
def test_the_wrapper_that_leaves_out_a_part_is_named(form, named):
    with pytest.raises(MaskError) as refusal:
        check_choice(spaces.MultiDiscrete([2, 100]), form, np.eye(102)[0], 0)
    assert "after reset() (0 of 100 legal in choice 2 of 2)" in str(refusal.value)
    assert ("gymnasium.wrappers.FilterObservation" in str(refusal.value)) == named


def test_a_part_of_another_size_is_refused_when_it_is_made():
    class Masked(Game):
        form = "mask"

        def __init__(self):
            super().__init__()
            self.action_space = spaces.Discrete(9)

    env = Masked()
    assert detect_form(env) == "mask"
    with pytest.raises(MaskError, match=r"the shape \(5,\), but Discrete\(9\) needs 9"):
        MaskedEnv(env, "mask")


def test_two_parts_that_could_be_the_mask_are_refused():
    env = Game()
    mask = spaces.MultiBinary(5)
    env.observation_space = spaces.Dict(mask=mask, action_mask=mask)
    with pytest.raises(InputError, match="rename the other one"):
        detect_form(env)


def test_actions_that_cannot_be_masked_have_no_form():
    env = MethodGame()
    env.action_space = spaces.Box(-1, 1, (2,))
    assert detect_form(env) is None
    assert count_choices(spaces.Dict(choice=spaces.Discrete(2), other=spaces.Discrete(2))) == -1


def test_an_environment_that_cannot_be_reset_has_no_form_yet():
    class Broken(InfoGame):
        def reset(self, **kwargs):
            raise OSError("no board")

    assert detect_form(Broken()) is None


def test_each_choice_of_several_needs_a_legal_option():
    space = spaces.MultiDiscrete([2, 3])
    masks = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 1, 1], [1, 1, 0, 0, 0]])
    assert find_forbidden(space, masks).tolist() == [False, True, True]
    with pytest.raises(MaskError, match="after reset"):
        check_choice(space, "info", masks[1], 0)
