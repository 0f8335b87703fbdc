# pyright: basic
"""What an algorithm needs of an environment is looked for, and its lack told with a way out."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import small
from gymnasium.vector import SyncVectorEnv

from algos import ALGORITHMS, load_objectives
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.env_requirements import (
    check_needs,
    detect_offered_needs,
    list_runnable_algorithms,
)
from rungwise.validation import InputError

WHOLE: Any = frozenset({"whole"})
STARTS: Any = WHOLE | {"starts"}
ALL: Any = STARTS | {"candidates"}
ROWS: Any = frozenset({"starts", "candidates"})
NOTHING: Any = frozenset()
OBJECTIVES = load_objectives()


@pytest.mark.parametrize(
    ("env", "has"),
    [
        ("envs:CausalLearning-v0", ALL),
        ("toy_worlds:Leaving-v0", STARTS),
        ("toy_worlds:Masked-v0", STARTS),
        ("toy_worlds:LeavingNextStep-v0", STARTS),
        ("CartPole-v1", STARTS),
        ("toy_worlds:Unseeded-v0", WHOLE),
    ],
)
def test_what_an_environment_has_is_found_out(env, has):
    built = make_vector_env(env, {}, 2, per_copy_seeds=True)
    assert detect_offered_needs(built) == has
    built.close()


def test_a_vector_environment_with_one_seed_offers_no_starts():
    built = make_vector_env("CartPole-v1", {}, 2)
    assert detect_offered_needs(built) == WHOLE
    built.close()


@pytest.mark.parametrize(
    ("objective", "has"), [("multigrid", ROWS), ("fsai", ROWS), ("sparsifier", ALL)]
)
def test_picks_in_many_rows_do_not_offer_whole_actions(objective, has):
    pytest.importorskip("pyamg")
    fields = {"objective": objective, "observation": "graph", "size": 6, "solve": False}
    picks = make_vector_env("envs:EdgeSelection-v0", fields | {"action": "edges"}, 2)
    assert detect_offered_needs(picks) == has
    latent = make_vector_env("envs:EdgeSelection-v0", fields, 2)
    assert detect_offered_needs(latent) == ALL
    for algo in ("dpo", "astar_po"):
        needs = small.objective(algo).needs
        if has == ROWS:
            with pytest.raises(InputError, match=r"worth comparing .* ppo or reinforce or grpo wo"):
                check_needs(
                    algo, needs, "EdgeSelection-v0", detect_offered_needs(picks), OBJECTIVES
                )
        check_needs(algo, needs, "EdgeSelection-v0", detect_offered_needs(latent), OBJECTIVES)


@pytest.mark.parametrize(
    ("algo", "changed", "needs"),
    [
        ("ppo", {}, NOTHING),
        ("reinforce", {}, NOTHING),
        ("reinforce", {"baseline": "leave_one_out"}, frozenset({"starts"})),
        ("grpo", {}, frozenset({"starts"})),
        ("dpo", {}, STARTS),
        ("dpo", {"pairs": "candidates"}, frozenset({"candidates", "whole"})),
        ("dpo", {"pairs": "/some/folder"}, WHOLE),
        ("astar_po", {}, STARTS),
    ],
)
def test_what_an_algorithm_needs_depends_on_its_settings(algo, changed, needs):
    assert small.objective(algo, **changed).needs == needs


def test_a_refusal_names_what_is_missing_and_what_would_work():
    with pytest.raises(InputError) as refused:
        check_needs("grpo", STARTS, "my:World-v0", NOTHING, OBJECTIVES)
    assert str(refused.value) == (
        "grpo needs episodes that begin alike when they are seeded alike, which my:World-v0 does "
        "not offer; ppo or reinforce would work."
    )
    check_needs("grpo", STARTS, "my:World-v0", STARTS, OBJECTIVES)


def test_everything_works_where_everything_is_offered():
    assert (
        list_runnable_algorithms(ALL, OBJECTIVES)
        == list_runnable_algorithms(STARTS, OBJECTIVES)
        == list(ALGORITHMS)
    )
    assert list_runnable_algorithms(WHOLE, OBJECTIVES) == ["ppo", "reinforce"]
    assert list_runnable_algorithms(ROWS, OBJECTIVES) == ["ppo", "reinforce", "grpo"]


def test_copies_that_differ_after_one_seed_offer_no_starts():
    class Apart(SyncVectorEnv):
        def reset(self, *, seed=None, options=None):
            seen, infos = super().reset(seed=0, options=options)
            return seen + np.arange(self.num_envs)[:, None], infos

    built = Apart([lambda: gymnasium.make("CartPole-v1")] * 2)
    assert detect_offered_needs(built) == WHOLE
    built.close()
