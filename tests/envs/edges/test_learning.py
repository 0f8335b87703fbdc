# pyright: basic
"""Edges chosen one by one are learnt where each row is credited with its own reward."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

import small  # pyright: ignore[reportMissingImports]
import sparse_inverse
from ray.rllib.core import DEFAULT_MODULE_ID
from sparse_inverse import ENV, SETTINGS

from algos.reinforce import ReinforceObjective

FIELDS = sparse_inverse.FIELDS | {"solve": False}


def test_a_rollout_keeps_what_each_row_was_worth_and_how_likely():
    runner = small.runner(ENV, FIELDS, **SETTINGS)
    rollout, _ = runner.collect(runner.settings.rollout_length, group_size=8)
    columns = rollout.columns
    assert columns["row_reward"].shape == columns["row_logp"].shape == (1, 16, 36)
    np.testing.assert_allclose(columns["row_reward"].mean(-1), rollout.rewards, rtol=1e-5)
    np.testing.assert_allclose(columns["row_logp"].sum(-1), columns["logp"], rtol=1e-4)


def test_an_action_for_the_whole_graph_is_not_credited_by_row():
    runner = small.runner(ENV, FIELDS | {"action": "latent"}, **SETTINGS)
    assert not {"row_reward", "row_logp"} & set(runner.sample()[0])


@pytest.mark.slow
def test_most_of_what_can_be_gained_is_learnt_in_a_minute():
    runner = small.runner(ENV, FIELDS, **SETTINGS)
    settings = runner.settings
    learner = runner.config.build_learner(env=None, spaces=runner.get_spaces())
    policy = learner.module[DEFAULT_MODULE_ID]
    earned: list[float] = []
    for _ in range(60):
        runner.module.set_state(policy.get_state())
        rows, statistics = runner.sample()
        earned.append(statistics["reward_sum"] / statistics["steps"])
        small.updated(learner, ReinforceObjective(settings).preprocess_batch(rows)[0], progress=0.0)
    assert np.mean(earned[-10:]) > 2 * np.mean(earned[:3])
