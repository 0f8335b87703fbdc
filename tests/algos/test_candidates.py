# pyright: basic
"""Candidates: K actions are tried from one state, which none of them changes; one is done."""

import copy
from typing import Any

import numpy as np
import pytest
import small
import torch

from envs.batched import BatchedVectorEnv

CAUSAL = "envs:CausalLearning-v0"
K, B = 4, 3


def trying(env_kwargs=None, **changed):
    sizes: dict[str, Any] = {
        "num_envs": B,
        "group_size": 1,
        "rollout_length": 12,
        "minibatch_size": 8,
    }
    chosen = {"algo": "dpo", "pairs": "candidates", "candidates": K} | sizes | changed
    return small.runner(CAUSAL, env_kwargs, **chosen)


def leaves(state):
    return [np.array(leaf) for leaf in _walk(vars(state))]


def _walk(tree):
    for value in tree.values():
        if isinstance(value, np.ndarray):
            yield value
        elif hasattr(value, "__dict__"):
            yield from _walk(vars(value))


def test_trying_does_not_change_the_state():
    built = trying()
    built._rollout(3)
    before, state = leaves(copy.deepcopy(built.env.state)), built.env.state
    built._act()
    assert built.env.state is state and len(before) > 1
    for a, b in zip(before, leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("env_kwargs", [{}, {"interventions": 5}])
def test_what_a_candidate_is_judged_by_is_what_a_step_would_have_paid(env_kwargs):
    built = trying(env_kwargs)
    for _ in range(6):  # beyond the end of an episode of 5 interventions
        acted, found, _ = built._act()
        for k in range(K):
            other = BatchedVectorEnv(built.env.world, B)
            other.state = built.env.state
            action = {n: found[f"candidates.{n}"][:, k] for n in built.module.head.columns}
            _, reward, *_ = other.step(built.module.head.env_action(action))
            np.testing.assert_array_equal(reward, found["judged"][:, k])
        built.observation = _columns(built.env.step(built.module.head.env_action(acted))[0])


def _columns(observation):
    return {f"obs.{name}": column for name, column in observation.items()}


@pytest.mark.parametrize("execute", ["best", "sampled"])
def test_what_is_done_is_the_best_or_the_first_candidate(execute):
    built = trying(execute=execute)
    found, _ = built._rollout(12)
    columns, judged = found.columns, found.columns["judged"]
    assert judged.shape == (12, B, K) and (judged.std(-1) > 0).any()
    place = judged.argmax(-1) if execute == "best" else np.zeros((12, B), int)
    t, b = np.indices((12, B))
    for name in built.module.head.columns:
        np.testing.assert_array_equal(columns[name], columns[f"candidates.{name}"][t, b, place])
    np.testing.assert_array_equal(found.rewards, judged[t, b, place])
    # The log-probability is that of what was done.
    batch = {n: torch.from_numpy(c.reshape(-1, *c.shape[2:])) for n, c in columns.items()}
    with torch.no_grad():
        logp = built.module._forward(batch)["dist"].logp(batch).numpy()
    np.testing.assert_allclose(columns["logp"].ravel(), logp, atol=1e-5)


def test_the_first_candidate_is_the_policys_own_choice_like_any_other():
    # Were the first one special, "sampled" would not be on policy: over many steps each place of
    # the K is equally often the best.
    found, _ = trying(num_envs=32)._rollout(40)
    judged = found.columns["judged"].reshape(-1, K)
    differ = judged.std(-1) > 0
    share = np.bincount(judged[differ].argmax(1), minlength=K) / differ.sum()
    assert differ.sum() > 300 and np.abs(share - 1 / K).max() < 0.08


def test_pairs_are_the_best_against_the_worst_candidate():
    built = trying()
    found, _ = copy.deepcopy(built)._rollout(12)
    pairs, _ = built.sample()
    judged = found.rows()["judged"]
    gap = judged.max(1) - judged.min(1)
    np.testing.assert_array_equal(pairs["gap"], gap[gap > 0])
