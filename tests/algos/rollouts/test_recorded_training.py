# pyright: basic
"""What was collected is on the disk as it happened, and can be learnt from later."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small

from algos.rollouts.columns import concat
from algos.rollouts.rollout_io import read_columns
from rungwise.validation import InputError

CAUSAL, BANDIT, DRAWING = (
    "envs:CausalLearning-v0",
    "toy_worlds:Bandit-v0",
    "toy_worlds:Drawing-v0",
)
ray = pytest.mark.usefixtures("local_ray")


def iterations(folder, seed=0):
    return sorted((folder / f"seed-{seed:06d}").glob("*.parquet"))


@ray
@pytest.mark.parametrize("env", [DRAWING, CAUSAL])
def test_an_iteration_file_adds_up_to_the_reported_returns(env, tmp_path):
    # Episodes of 5 (or 10) steps in rollouts of 8: most go on in the next file.
    gathered, ended = {}, 0
    with small.algorithm(env, record=str(tmp_path), seed=3) as algorithm:
        for i in range(4):
            algorithm.train()
            rows: Any = pd.read_parquet(iterations(tmp_path, 3)[i])
            assert len(iterations(tmp_path, 3)) == i + 1 and len(rows) == 16
            observed = {"obs"} if env == DRAWING else {"obs.nodes", "obs.context"}
            assert observed | {"choice", "logp", "reward", "done", "episode"} <= set(rows)
            returns = []
            for row in rows.itertuples():
                gathered[row.episode] = gathered.get(row.episode, 0) + row.reward
                if row.done:
                    returns.append(gathered.pop(row.episode))
            assert algorithm.flat_metrics["episodes"] == len(returns)
            if returns:
                assert algorithm.flat_metrics["return_mean"] == pytest.approx(
                    np.mean(returns), abs=1e-5
                )
            ended += len(returns)
            assert len(gathered) <= 2  # no more are under way than there are copies
    assert ended >= 2
    assert iterations(tmp_path, 3)[0].name == "iteration-000001.parquet"


@ray
def test_groups_are_recorded_as_whole_episodes_with_their_starts(tmp_path):
    chosen = {"algo": "grpo", "num_envs": 6, "group_size": 3, "record": str(tmp_path)}
    met = set()
    with small.algorithm("toy_worlds:Leaving-v0", **chosen) as algorithm:
        for i in range(3):
            algorithm.train()
            rows: Any = pd.read_parquet(iterations(tmp_path)[i])
            episodes = rows.groupby("episode")
            assert len(episodes) == algorithm.flat_metrics["episodes"] == 6
            returns = episodes["reward"].sum()
            assert algorithm.flat_metrics["return_mean"] == pytest.approx(returns.mean(), abs=1e-5)
            assert algorithm.flat_metrics["return_max"] == pytest.approx(returns.max(), abs=1e-5)
            assert (episodes["done"].sum() == 1).all()
            assert (episodes["start"].nunique() == 1).all()
            assert episodes["start"].first().value_counts().tolist() == [3, 3]
            assert not met & set(returns.index)
            met |= set(returns.index)


def recorded(runner):
    return runner.sample()[1]["recorded"]["episode"]


def test_episode_numbers_are_unique_over_runners_and_restarts():
    parts = []
    for worker in (0, 1, 2):
        for restored_at in (0, 5, 6):
            built = small.runner(DRAWING, worker_index=worker, record="x")
            if restored_at:
                built.reseed(restored_at)
            parts.append(np.unique(np.concatenate([recorded(built) for _ in range(3)])))
    numbers = np.concatenate(parts)
    assert len(np.unique(numbers)) == len(numbers) and numbers.min() >= 0


@pytest.mark.parametrize("env", [CAUSAL, DRAWING])
def test_numbers_of_episodes_go_on_after_a_restore(env):
    first = small.runner(env, record="x")
    before = np.concatenate([recorded(first) for _ in range(3)])
    state = copy.deepcopy(first.get_state())
    expected = recorded(first)
    second = small.runner(env, record="x")
    second.set_state(state)
    found = recorded(second)
    if env == CAUSAL:  # whose episodes themselves go on
        np.testing.assert_array_equal(found, expected)
    else:
        assert not np.isin(found, before).any()


def test_a_runner_reseeded_in_its_life_gives_new_numbers():
    built = small.runner(DRAWING, record="x")
    before = recorded(built)
    built.reseed(0)
    assert not np.isin(recorded(built), before).any()


def record_groups(folder, **changed):
    chosen = {"algo": "grpo", "num_envs": 64, "group_size": 8, "record": str(folder)} | changed
    chosen |= {"minibatch_size": 64, "epochs": 1}
    with small.algorithm(BANDIT, iterations=3, **chosen) as algorithm:
        algorithm.train()
        algorithm.train()
    return folder / "seed-000000"


@ray
def test_dpo_learns_from_rollouts_that_another_recorded(tmp_path):
    folder = record_groups(tmp_path)
    assert len(read_columns(folder)) == 2 * 64 * 4
    learnt = {"pairs": str(folder), "lr": 0.02, "num_envs": 32, "epochs": 8}
    with small.algorithm(BANDIT, algo="dpo", iterations=15, **learnt) as algorithm:
        algorithm.train()
        assert algorithm.flat_metrics["return_mean"] < 2.7  # of 4; a coin makes 2
        assert algorithm.flat_metrics["pairs"] == 16 and algorithm.flat_metrics["pair_gap"] >= 1
        for _ in range(9):
            algorithm.train()
        assert algorithm.flat_metrics["return_mean"] > 3.3
        assert algorithm.flat_metrics["pair_accuracy"] > 0.9


@ray
def test_recorded_steps_of_no_groups_are_refused_in_a_sentence(tmp_path):
    with small.algorithm(BANDIT, record=str(tmp_path)) as algorithm:
        algorithm.train()
    folder = tmp_path / "seed-000000"
    with (
        pytest.raises(InputError, match=r"are no pairs: .* Record them with .* \(grpo\)"),
        small.algorithm(BANDIT, algo="dpo", pairs=str(folder)),
    ):
        pytest.fail("it was built")


@ray
def test_rollouts_for_v_star_are_not_recorded_as_an_iteration(tmp_path):
    chosen = {"algo": "astar_po", "record": str(tmp_path), "starts": 6}
    with small.algorithm("toy_worlds:Leaving-v0", **chosen) as algorithm:
        algorithm.train()
        (path,) = iterations(tmp_path)
        assert len(np.unique(read_columns(path)["episode"])) == algorithm.flat_metrics["episodes"]


def test_what_is_recorded_are_the_steps_that_were_learnt_from():
    built = small.runner(DRAWING, record="x")
    rows, statistics = built.sample()
    for name in ("obs", "choice", "logp"):
        np.testing.assert_array_equal(statistics["recorded"][name], rows[name])
    parts = [small.runner(DRAWING, worker_index=i, record="x").sample() for i in (1, 2)]
    assert len(concat([part["recorded"] for _, part in parts])) == 32
