# pyright: basic
"""Entry points of the registered ids: fields of the parameters are keywords."""

import dataclasses
from typing import Any, cast

import gymnasium
import pytest

import envs
from envs.causal.learning.reward import RewardTerms
from envs.contract.batched import SingleEnv
from envs.factory import make_case_kwargs, make_params, make_vector
from rungwise.validation import InputError


def test_fields_of_the_parameters_are_keywords():
    env = gymnasium.make("envs:CausalLearning-v0", interventions=5, reward={"coverage": 10.0})
    params = cast("SingleEnv[Any]", env.unwrapped).world.params
    assert params.interventions == 5
    assert params.reward == RewardTerms(coverage=10.0)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"interventons": 3}, "no argument 'interventons'.*did you mean interventions"),
        ({"reward": {"coverag": 1.0}}, "no argument 'coverag'.*did you mean coverage"),
        ({"rows": 0}, "rows must be at least 1, but it is 0"),
        ({"rows": 2.5}, "rows must be a whole number, but it is 2.5"),
        ({"ridge": 0.0}, "ridge must be greater than 0"),
        ({"student": "tree"}, "one of 'bayes_linear', 'mlp', but it is 'tree'"),
        ({"reward": {"diversity_threshold": 2.0}}, r"must be in \[0, 1\], but it is 2.0"),
        ({"reward": 3}, "reward must be RewardTerms, but it is 3"),
    ],
)
def test_wrong_fields_are_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InputError, match=sentence):
        gymnasium.make("envs:CausalLearning-v0", **fields)


def test_no_limit_of_steps_is_minus_one_as_in_gymnasium():
    path = "envs.causal.learning.world:CausalLearning"
    limits = [
        [step[3].any() for step in play(make_vector(path, 2, limit, interventions=3))]
        for limit in (2, -1, None)
    ]
    assert limits == [[False, True, False], [False] * 3, [False] * 3]


def play(env):
    env.reset(seed=0)
    return [env.step(env.action_space.sample()) for _ in range(3)]


def test_a_mapping_is_a_nested_configuration_or_a_plain_value():
    @dataclasses.dataclass(frozen=True)
    class Inner:
        size: int = 1

    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Inner
        table: dict

    Outer.__annotations__ = {"inner": Inner, "table": dict}
    made = make_params(Outer, {"inner": {"size": 3}, "table": {"size": 3}})
    assert made == Outer(Inner(3), {"size": 3})
    assert make_params(Outer, {"inner": Inner(2), "table": {}}).inner.size == 2


def test_a_limit_of_a_registered_id_holds_for_its_batch():
    world = envs.FAMILIES["CausalLearning-v0"].path
    gymnasium.register(
        "Limited-v0",
        entry_point="envs.factory:make_single",
        vector_entry_point="envs.factory:make_vector",
        max_episode_steps=2,
        kwargs={"world": world},
    )
    env: Any = gymnasium.make_vec("Limited-v0", 2)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[3].all() for _ in range(4)]
    assert ends == [False, True, False, True]


@pytest.mark.parametrize("limit", [0, -2])
def test_a_limit_below_one_step_is_refused(limit):
    with pytest.raises(InputError, match=f"max_episode_steps must be at least 1.*is {limit}"):
        make_vector("envs.causal.learning.world:CausalLearning", 2, limit)


@pytest.mark.parametrize(
    ("family", "case", "sentence"),
    [
        (None, {"scm": "ace5", "matrix": ""}, "--scm .* but X is none: leave it out"),
        ("EdgeSelection-v0", {"scm": "ace5"}, "--scm .* but X is none: leave it out"),
        (None, {"matrix": "a.mtx"}, "--matrix .* was trained for X: leave it out"),
        (
            "CausalLearning-v0",
            {"scm": "ace5", "matrix": "a.mtx"},
            "--matrix .* for X: leave it out",
        ),
    ],
)
def test_a_case_is_refused_where_there_are_none(family, case, sentence):
    world = family and envs.FAMILIES[family].world
    with pytest.raises(InputError, match=sentence):
        make_case_kwargs("X", world, {}, **case)


def test_a_case_is_chosen_by_the_flag_of_the_world():
    world = envs.FAMILIES["CausalOptimisation-v0"].world
    chosen = {"scm": "my.yaml", "curriculum": False}
    assert make_case_kwargs("X", world, {}, scm="my.yaml", matrix="") == chosen
    assert make_case_kwargs("X", world, {}, scm="") == make_case_kwargs("X", None, {}) == {}
