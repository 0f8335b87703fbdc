# pyright: basic
"""A policy acts on single observations in the types of its spaces."""

import gymnasium
import numpy as np
import pytest
import small
import torch
from checkpoints import write_checkpoint
from masked_games import FORMS

from algos.policy import Policy, batch_observation, have_same_structure
from algos.rollouts.env_factory import make_vector_env
from rungwise.validation import InputError


def test_a_discrete_action_is_one_number():
    module = small.module(gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(3, start=5))
    action = Policy(module, {}).act(np.zeros(2, np.float32))
    assert np.ndim(action) == 0 and action in (5, 6, 7)


NESTED = {
    "tuple": gymnasium.spaces.Tuple(
        (gymnasium.spaces.Discrete(2), gymnasium.spaces.Box(-1, 1, (2,), np.float32))
    ),
    "dict": gymnasium.spaces.Dict(
        a=gymnasium.spaces.Dict(x=gymnasium.spaces.Discrete(2), y=gymnasium.spaces.Discrete(3))
    ),
    "both": gymnasium.spaces.Dict(
        a=gymnasium.spaces.Tuple(
            (gymnasium.spaces.MultiDiscrete([2, 2], start=[3, 4]), gymnasium.spaces.Discrete(3))
        )
    ),
}


@pytest.mark.parametrize("kind", NESTED)
def test_an_action_of_several_parts_is_one_row_of_each(kind):
    space = NESTED[kind]
    policy = Policy(small.module(gymnasium.spaces.Box(-1, 1, (2,)), space, scale=1.0), {})
    for seen in np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32):
        assert space.contains(policy.act(seen))


def test_a_saved_policy_acts_from_the_start_of_its_space(tmp_path):
    actions = gymnasium.spaces.MultiDiscrete([3, 3], start=[10, 20])
    seen = gymnasium.spaces.MultiDiscrete([2, 2], start=[5, 6])
    policy = Policy.load(write_checkpoint(tmp_path / "checkpoint_000001", seen, actions))
    assert policy.action_space == actions and policy.observation_space == seen
    assert actions.contains(policy.act(np.array([6, 7])))


def test_a_policy_is_greedy_unless_asked_to_sample():
    module = small.module(gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(9))
    policy, seen = Policy(module, {}), np.zeros(2, np.float32)
    torch.manual_seed(0)
    assert {policy.act(seen) for _ in range(50)} == {policy.act_batch(seen[None])[0]}
    assert len({policy.act(seen, greedy=False) for _ in range(50)}) > 1
    batch = np.zeros((50, 2), np.float32)
    assert len(set(policy.act_batch(batch).tolist())) == 1


def test_an_observation_is_batched_in_the_type_of_its_space():
    space = gymnasium.spaces.Dict(
        x=gymnasium.spaces.Box(-1, 1, (2,)), n=gymnasium.spaces.Discrete(3)
    )
    batch = batch_observation({"x": np.zeros(2), "n": 1}, space, accepts_any_size=False)
    assert batch["x"].shape == (1, 2) and batch["x"].dtype == np.float32
    assert batch["n"].tolist() == [1]
    # Fractions are no whole numbers, whatever their value.
    with pytest.raises(InputError, match=r"has shape .* and type float64"):
        batch_observation({"x": np.zeros(2), "n": 1.0}, space, accepts_any_size=False)
    with pytest.raises(InputError, match="but a part is missing"):
        batch_observation({"n": 1}, space, accepts_any_size=False)
    with pytest.raises(InputError, match="has shape"):
        batch_observation({"x": np.zeros(3), "n": 1}, space, accepts_any_size=False)


def test_spaces_of_other_sizes_have_the_same_structure():
    small_box, large_box = (gymnasium.spaces.Box(-1, 1, (n,)) for n in (2, 5))
    assert have_same_structure(small_box, large_box)
    assert not have_same_structure(small_box, gymnasium.spaces.Box(-1, 1, (2, 2)))
    assert not have_same_structure(small_box, gymnasium.spaces.Discrete(2))
    nested = [gymnasium.spaces.Dict(a=box) for box in (small_box, large_box)]
    assert have_same_structure(*nested)
    assert not have_same_structure(nested[0], gymnasium.spaces.Dict(b=small_box))


def test_an_evaluation_adds_its_arguments_to_those_of_training():
    policy = Policy.__new__(Policy)
    policy.metadata = {"env_kwargs": {"a": 1, "b": 2}, "evaluation_env_kwargs": {"b": 3}}
    assert policy.full_evaluation_env_kwargs == {"a": 1, "b": 3}


BOX = gymnasium.spaces.Box(-1, 1, (2,))
MEMORY = [
    {"frame_stack": 3},
    {"memory": "gru", "sequence_length": 8},
    {"memory": "lstm", "frame_stack": 2, "sequence_length": 8},
]


@pytest.mark.parametrize("chosen", MEMORY)
def test_a_policy_that_remembers_carries_its_state(chosen):
    policy = Policy(small.module(BOX, gymnasium.spaces.Discrete(9), scale=1.0, **chosen), {})
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(12, 4, 2)).astype(np.float32)
    batched, states = [], policy.initial_state(4)
    for observations in seen:
        actions, states = policy.act_batch(observations, states)
        batched.append(actions)
    for b in range(4):
        state = policy.initial_state()
        alone = []
        for observation in seen[:, b]:
            action, state = policy.act(observation, state)
            alone.append(action)
        assert alone == [actions[b] for actions in batched]
    forgetful = [policy.act(one, policy.initial_state())[0] for one in seen[:, 0]]
    assert forgetful != [actions[0] for actions in batched]


@pytest.mark.parametrize("chosen", MEMORY)
def test_a_saved_policy_acts_bit_for_bit_as_before(chosen, tmp_path):
    image = gymnasium.spaces.Box(0, 255, (7, 7, 3), np.uint8)
    space = gymnasium.spaces.Dict(image=image, place=BOX)
    write_checkpoint(tmp_path / "c", space, gymnasium.spaces.Box(-1, 1, (2,)), **chosen)
    first, second = (Policy.load(tmp_path / "c") for _ in "ab")
    space.seed(0)
    states = [first.initial_state(), second.initial_state()]
    for _ in range(6):
        observation, actions = space.sample(), []
        for i, policy in enumerate((first, second)):
            action, states[i] = policy.act(observation, states[i])
            actions.append(action)
        np.testing.assert_array_equal(*actions)
    for name, column in states[0].items():
        np.testing.assert_array_equal(column, states[1][name])


def test_a_missing_or_foreign_state_is_refused_with_what_to_do():
    policy = Policy(small.module(BOX, gymnasium.spaces.Discrete(3), frame_stack=2), {})
    seen = np.zeros((3, 2), np.float32)
    with pytest.raises(InputError, match=r"no state was given: .*initial_state\(\)"):
        policy.act(seen[0])
    with pytest.raises(InputError, match=r"begin with policy.initial_state\(3\)"):
        policy.act_batch(seen, policy.initial_state(2))
    plain = Policy(small.module(BOX, gymnasium.spaces.Discrete(3)), {})
    assert plain.initial_state() == {} and plain.act(seen[0], {})[1] == {}
    with pytest.raises(InputError, match="The state must be that of 3 rows"):
        plain.act_batch(seen, policy.initial_state(3))


def masked_policy(kind, form):
    env = make_vector_env(f"masked_games:Game-{form}-v0", {"kind": kind}, 1)
    module = small.module(env.single_observation_space, env.single_action_space)
    env.close()
    return Policy(module, {})


@pytest.mark.parametrize("kind", ["one", "several"])
@pytest.mark.parametrize("form", FORMS)
def test_a_policy_takes_the_mask_as_the_environment_gives_it(form, kind):
    policy, env = masked_policy(kind, form), FORMS[form](kind)
    for seed in range(5):
        (observation, info), over = env.reset(seed=seed), False
        while not over:
            given = {"info": info.get("action_mask"), "method": None}.get(form)
            if form == "method":
                given = env.action_masks()
            action = policy.act(observation, mask=given, greedy=False)
            observation, _, terminated, truncated, info = env.step(action)  # raises if illegal
            over = terminated or truncated


def test_a_batch_takes_masks_of_its_own():
    policy = masked_policy("one", "info")
    seen = np.zeros((4, 5), np.float32)
    masks = np.eye(5, dtype=bool)[:4]
    assert policy.act_batch(seen, mask=masks).tolist() == [2, 3, 4, 5]


def test_a_mask_that_is_missing_or_allows_nothing_is_refused():
    policy, seen = masked_policy("several", "info"), np.zeros(5, np.float32)
    with pytest.raises(InputError, match="a part is missing: `mask`"):
        policy.act(seen)
    with pytest.raises(InputError, match="No action is legal"):
        policy.act(seen, mask=[1, 1, 1, 0, 0])
    with pytest.raises(InputError, match=r"shape \(4,\)"):
        policy.act(seen, mask=[1, 1, 1, 1])
    module = small.module(gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2))
    with pytest.raises(InputError, match="without a mask"):
        Policy(module, {}).act(np.zeros(2, np.float32), mask=[1, 1])
