# pyright: basic
"""Candidates: K actions are tried from one state, which none of them changes; one is done.

What the others cost is counted, unless they were only imagined.
"""

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import small
import torch
from checks import check

from algos.dpo import DPO
from algos.rollouts.columns import Columns
from algos.rollouts.preference_pairs import CandidateRunner, load_recorded_pairs
from algos.rollouts.rollout_io import write_columns
from envs.contract.batched import BatchedVectorEnv
from rungwise.validation import InputError
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_validation import validate_job

CAUSAL, DRIVEN = "envs:CausalLearning-v0", "envs:CausalOptimisation-v0"
K, B = 4, 3


def trying(env_kwargs=None, env=CAUSAL, **changed) -> Any:
    sizes: dict[str, Any] = {
        "num_envs": B,
        "group_size": 1,
        "rollout_length": 12,
        "minibatch_size": 8,
    }
    chosen = {"algo": "dpo", "pairs": "candidates", "candidates": K} | sizes | changed
    config = DPO.get_default_config().environment(env, env_config=env_kwargs or {})
    config.debugging(seed=0).configure_training(small.settings(**chosen), 5)
    assert config.env_runner_cls is CandidateRunner  # what a training collects with
    torch.manual_seed(0)
    return config.env_runner_cls(config=config, worker_index=0)


def leaves(state):
    return [np.array(leaf) for leaf in _walk(vars(state))]


def _walk(tree):
    for value in tree.values():
        if isinstance(value, np.ndarray):
            yield value
        elif hasattr(value, "__dict__"):
            yield from _walk(vars(value))


@pytest.mark.parametrize("pairs", ["candidates", "imagined"])
def test_trying_changes_nothing_in_the_state_but_the_bill(pairs):
    built = trying(pairs=pairs)
    built.collect(3)
    before = copy.deepcopy(built.env.state)
    built._act(built.observation)
    after = built.env.state
    paid = (after.rows_lookahead - before.rows_lookahead).tolist()
    assert paid == [(K - 1) * 50 if pairs == "candidates" else 0] * B
    same = dataclasses.replace(after, rows_lookahead=before.rows_lookahead)
    assert len(leaves(before)) > 1
    for a, b in zip(leaves(before), leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


# What it costs.


@pytest.mark.parametrize(
    ("env", "pairs", "trials"),
    [(CAUSAL, "candidates", K - 1), (CAUSAL, "imagined", 0), (DRIVEN, "candidates", K - 1)],
)
def test_every_row_is_counted_by_its_purpose(env, pairs, trials):
    fields = {"interventions": 5, "rows": 7}
    fields |= {"observe_every": 2, "observation_rows": 30} if env == CAUSAL else {}
    built = trying(fields, env, pairs=pairs)
    _, statistics = built.collect(10)
    observed = 2 * 30 if env == CAUSAL else 20
    episodes = statistics["episodes"]
    assert len(episodes["rows"]) == 2 * B
    assert set(episodes["rows_lookahead"]) == {5 * 7 * trials}
    assert set(episodes["rows"]) == {5 * 7 * (1 + trials) + observed}


def test_a_policy_learns_from_pairs_that_cost_no_row():
    pairs, _ = trying(pairs="imagined", num_envs=8).sample()
    assert len(pairs) > 60 and (pairs["gap"] > 0).all()


@pytest.mark.usefixtures("local_ray")
def test_a_training_is_refused_before_it_collects():
    chosen = {"algo": "dpo", "pairs": "imagined", "group_size": 1}
    with (
        pytest.raises(InputError, match="CausalOptimisation-v0 has no student inside"),
        small.algorithm(DRIVEN, **chosen),
    ):
        pass


def test_a_check_and_a_job_say_so_before_a_training_does():
    sentence = "CausalOptimisation-v0 has no student inside"
    settings = small.settings("dpo", pairs="imagined", group_size=1)
    answer = check(CheckTarget(DRIVEN, {}, "dpo", settings), "gradients")
    (finding,) = answer["findings"]
    assert finding["symptom"] == "cannot_start" and sentence in finding["evidence"]
    with pytest.raises(InputError, match=sentence):
        validate_job(Job(env=DRIVEN, algo="dpo", settings=settings))


# What is made of it.


@pytest.mark.parametrize("env_kwargs", [{}, {"interventions": 5}])
def test_a_candidate_is_judged_by_the_reward_of_its_step(env_kwargs):
    built = trying(env_kwargs)
    for _ in range(6):  # beyond the end of an episode of 5 interventions
        acted, found, *_ = built._act(built.observation)
        for k in range(K):
            other = BatchedVectorEnv(built.env.world, B)
            other.state = built.env.state
            action = {n: found[f"candidates.{n}"][:, k] for n in built.module.head.columns}
            _, reward, *_ = other.step(built.module.head.to_env_action(action))
            np.testing.assert_array_equal(reward, found["judged"][:, k])
        built.observation = _columns(built.env.step(built.module.head.to_env_action(acted))[0])


def _columns(observation):
    return {f"obs.{name}": column for name, column in observation.items()}


def test_what_is_done_is_the_first_candidate():
    built = trying()
    found, _ = built.collect(12)
    columns, judged = found.columns, found.columns["judged"]
    assert judged.shape == (12, B, K) and (judged.std(-1) > 0).any()
    for name in built.module.head.columns:
        np.testing.assert_array_equal(columns[name], columns[f"candidates.{name}"][:, :, 0])
    np.testing.assert_array_equal(found.rewards, judged[:, :, 0])
    # The log-probability is that of what was done.
    batch = {n: torch.from_numpy(c.reshape(-1, *c.shape[2:])) for n, c in columns.items()}
    with torch.no_grad():
        logp = built.module._forward(batch)["dist"].logp(batch).numpy()
    np.testing.assert_allclose(columns["logp"].ravel(), logp, atol=1e-5)


def test_the_first_candidate_is_an_ordinary_policy_sample():
    # Were the first one special, the data would not be on policy: over many steps each place of
    # the K is equally often the best.
    found, _ = trying(num_envs=32).collect(40)
    judged = found.columns["judged"].reshape(-1, K)
    differ = judged.std(-1) > 0
    share = np.bincount(judged[differ].argmax(1), minlength=K) / differ.sum()
    assert differ.sum() > 300 and np.abs(share - 1 / K).max() < 0.08


def test_pairs_are_the_best_against_the_worst_candidate():
    built = trying()
    found, _ = copy.deepcopy(built).collect(12)
    pairs, _ = built.sample()
    judged = found.to_rows()["judged"]
    gap = judged.max(1) - judged.min(1)
    np.testing.assert_array_equal(pairs["gap"], gap[gap > 0])


STEPS: dict[str, Any] = {
    "obs": np.arange(3.0),
    "choice": np.array([0, 1, 1]),
    "reward": np.array([2.0, 1.0, 0.0]),
    "episode": np.array([4, 5, 5]),
    "start": np.array([7, 7, 7]),
}


def test_an_episode_of_one_step_at_the_front_is_kept(tmp_path):
    write_columns(Columns(STEPS), tmp_path / "a.parquet")
    pairs = load_recorded_pairs(str(tmp_path), 1.0)
    assert pairs["gap"].tolist() == [1.0]
    assert pairs["chosen.obs"].values.tolist() == [0.0]
    assert pairs["rejected.obs"].values.tolist() == [1.0, 2.0]


def test_recorded_episodes_are_compared_by_their_discounted_returns(tmp_path):
    late = {"reward": np.array([2.0, 1.0, 3.0])}
    write_columns(Columns(STEPS | late), tmp_path / "a.parquet")
    better = {
        gamma: load_recorded_pairs(str(tmp_path), gamma)["chosen.obs"].values.tolist()
        for gamma in (1.0, 0.1)
    }
    assert better == {1.0: [1.0, 2.0], 0.1: [0.0]}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"reward": np.array([1.0, 1.0, 0.0])}, "nothing was better"),
        ({"start": None}, "neither candidates nor episodes"),
    ],
)
def test_rollouts_without_pairs_are_refused(tmp_path, changed, sentence):
    known = {name: column for name, column in (STEPS | changed).items() if column is not None}
    write_columns(Columns(known), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=sentence):
        load_recorded_pairs(str(tmp_path), 1.0)
