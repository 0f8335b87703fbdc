# pyright: basic
"""Whole episodes from the same start: each copy brings its first one, once, and nothing else."""

import gymnasium
import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_worlds import Leaving

from algos.rollouts.group_sampler import TRAINING_SEED
from algos.rollouts.rollout import Rollout, mask_first_episodes, number_episodes

CAUSAL = "envs:CausalLearning-v0"
LEAVING, NEXT_STEP = "toy_worlds:Leaving-v0", "toy_worlds:LeavingNextStep-v0"
TRUNCATED = {"terminates": False, "truncates": True}
STOPS_EARLY = {"interventions": 8, "stop_when_learnt": True, "tolerance": 0.3, "patience": 2}
ENVS = [
    (LEAVING, {}),
    (LEAVING, TRUNCATED),
    (NEXT_STEP, {}),
    (NEXT_STEP, TRUNCATED),
    (CAUSAL, STOPS_EARLY),
]


def grouped(env=LEAVING, env_kwargs=None, *, num_envs=6, group_size=3, **changed):
    sizes = {"num_envs": num_envs, "group_size": group_size}
    return small.runner(env, env_kwargs, algo="grpo", **sizes, **changed)


def lived(built, starts=None):
    return built.collect(built.settings.rollout_length, starts=starts)


def alone(env, env_kwargs):
    return Leaving(**env_kwargs) if env == NEXT_STEP else gymnasium.make(env, **env_kwargs)


def flat(observation):
    parts = observation.values() if isinstance(observation, dict) else [observation]
    return np.concatenate([np.ravel(part) for part in parts])


@pytest.mark.parametrize(("env", "env_kwargs"), ENVS)
def test_a_copy_brings_exactly_the_first_episode_of_its_start(env, env_kwargs):
    built = grouped(env, env_kwargs, rollout_length=30, seed=2)
    for _ in range(2):  # the second time after episodes that were under way
        found, _ = lived(built)
        seen = [name for name in found.columns if name.split(".")[0] == "obs"]
        lengths = set()
        for b in range(6):
            single = alone(env, env_kwargs)
            observation, _ = single.reset(seed=int(found.columns["start"][0, b]))
            for t in range(30):
                row = [np.ravel(found.columns[name][t, b]) for name in sorted(seen)]
                keys = sorted(observation) if isinstance(observation, dict) else None
                expected = {k: observation[k] for k in keys} if keys else observation
                np.testing.assert_array_equal(np.concatenate(row), flat(expected))
                columns = built.module.head.columns
                action = {name: found.columns[name][t, b : b + 1] for name in columns}
                batched = built.module.head.to_env_action(action)
                one = {n: part[0] for n, part in batched.items()} if keys else int(batched[0])
                observation, reward, terminated, truncated, _ = single.step(one)
                assert found.valid[t, b]
                assert found.rewards[t, b] == np.float32(reward)
                assert found.done[t, b] == (terminated or truncated)
                if found.done[t, b]:
                    break
            assert not found.valid[t + 1 :, b].any() and not found.done[t + 1 :, b].any()
            lengths.add(t + 1)
        assert len(lengths) > 1  # some ended earlier than others


@pytest.mark.parametrize(("env", "env_kwargs"), ENVS)
def test_a_group_begins_alike_and_groups_do_not(env, env_kwargs):
    found, _ = lived(grouped(env, env_kwargs))
    for name, column in found.columns.items():
        first = column[0].reshape(2, 3, -1)
        if name.split(".")[0] == "obs" or name == "start":
            np.testing.assert_array_equal(first, np.repeat(first[:, :1], 3, 1))
    assert len(np.unique(found.columns["start"])) == 2
    if env != CAUSAL:  # which shows nothing before the first intervention
        assert (found.columns["obs"][0, 0] != found.columns["obs"][0, 3]).any()


@pytest.mark.parametrize("env", [LEAVING, NEXT_STEP])
def test_an_episode_that_has_not_ended_is_cut_off(env):
    built = grouped(env, {"length": 100, "terminates": False}, rollout_length=4, minibatch_size=4)
    for _ in range(2):
        found, statistics = lived(built)
        assert found.valid.all() and found.valid.shape == (4, 6)
        assert found.done[-1].all() and not found.done[:-1].any()
        assert statistics["episodes"]["episode_length"].tolist() == [4] * 6


def test_collecting_ends_with_the_last_episode():
    found, _ = lived(grouped(LEAVING, {"length": 5}, rollout_length=1000))
    assert len(found.rewards) <= 5 and found.done[-1].any()


@pytest.mark.parametrize(("env", "env_kwargs"), ENVS)
def test_the_statistics_count_each_episode_once(env, env_kwargs):
    built = grouped(env, env_kwargs, rollout_length=30)
    for _ in range(3):
        found, statistics = lived(built)
        episodes = statistics["episodes"]
        # Both are in the order of the copies.
        assert episodes["episode_return"] == pytest.approx(found.returns(1.0), rel=1e-5)
        assert episodes["episode_length"].tolist() == found.valid.sum(0).tolist()
        assert all(len(values) == 6 for values in episodes.values())
        assert statistics["steps"] == found.valid.sum()
        assert statistics["reward_sum"] == pytest.approx(found.rewards[found.valid].sum(), rel=1e-5)
        assert statistics["choices"].sum() == found.valid.sum()


# Starts.


def starts_of(built, **how):
    return lived(built, **how)[0].columns["start"][0, :: built.settings.group_size].tolist()


def test_iterations_and_runners_have_new_training_starts():
    drawn = [
        start
        for worker in (0, 1, 2)
        for built in [grouped(worker_index=worker)]
        for _ in range(3)
        for start in starts_of(built)
    ]
    assert len(set(drawn)) == 18 and min(drawn) >= TRAINING_SEED


def test_a_fixed_number_of_starts_is_a_pool():
    built = grouped(starts=3)
    drawn = [starts_of(built) for _ in range(20)]
    assert {start for pair in drawn for start in pair} == {TRAINING_SEED + i for i in range(3)}
    assert all(a != b for a, b in drawn)  # no start twice while there are others


def test_more_groups_than_starts_share_them_evenly():
    drawn = starts_of(grouped(num_envs=8, group_size=2, starts=2))
    assert sorted(drawn) == [TRAINING_SEED, TRAINING_SEED, TRAINING_SEED + 1, TRAINING_SEED + 1]


def test_runners_share_given_starts_out():
    given = TRAINING_SEED + np.arange(10, 14)
    shares = [starts_of(grouped(worker_index=worker), starts=given) for worker in (1, 2)]
    assert shares == [given[:2].tolist(), given[2:].tolist()]


def test_batched_gymnasium_environments_repeat_their_starts():
    # Gymnasium's own batched CartPole takes one seed for all copies: it is not used here.
    found, _ = lived(grouped("CartPole-v1", rollout_length=50))
    assert (found.columns["obs"][0, 0] == found.columns["obs"][0, 1]).all()
    assert (found.columns["obs"][0, 0] != found.columns["obs"][0, 3]).any()
    assert found.returns(1.0).tolist() == found.valid.sum(0).tolist()


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("env", [CAUSAL, LEAVING])
def test_training_on_groups_resumes_bit_for_bit(env, tmp_path):
    chosen = {"algo": "grpo", "reference_kl_coef": 0.1, "lr": 0.01, "rollout_length": 12}

    def trained(algorithm):
        algorithm.train()
        generator = algorithm.env_runner_group.local_env_runner.generator.get_state().tolist()
        metrics = {n: v for n, v in algorithm.flat_metrics.items() if not n.endswith("_s")}
        return metrics, generator, small.learner_weights(algorithm)

    with small.algorithm(env, **chosen) as undisturbed:
        trained(undisturbed)
        undisturbed.save_to_path(str(tmp_path))
        expected = [trained(undisturbed) for _ in range(2)]
    with small.algorithm(env, seed=9, **chosen) as restored:
        restored.restore_from_path(str(tmp_path))
        for *told, weights in expected:
            *again, same = trained(restored)
            assert again == told and small.same_weights(same, weights)
    # The next starts are drawn from the generator: they are new ones in each iteration.
    assert expected[0][1] != expected[1][1] and expected[0][0] != expected[1][0]


# Naive twins.

flags = st.tuples(st.integers(1, 8), st.integers(1, 4), st.integers(0, 99))


@settings(derandomize=True, max_examples=60)
@given(flags)
def test_first_episodes_are_those_of_a_loop(drawn):
    T, B, seed = drawn
    done = np.random.default_rng(seed).random((T, B)) < 0.3
    ends, valid = mask_first_episodes(done)
    for b in range(B):
        over = False
        for t in range(T):
            assert valid[t, b] == (not over)
            assert ends[t, b] == (not over and (done[t, b] or t == T - 1))
            over = over or done[t, b]


@settings(derandomize=True, max_examples=60)
@given(flags)
def test_numbers_of_episodes_are_those_of_a_loop_across_rollouts(drawn):
    T, B, seed = drawn
    done = np.random.default_rng(seed).random((3 * T, B)) < 0.3
    begun, parts = np.zeros(B, np.int64), []
    for i in range(3):
        numbers, begun = number_episodes(done[i * T : (i + 1) * T], begun, i * T)
        parts.append(numbers)
    found, met = np.concatenate(parts), {}
    for b in range(B):
        began = 0
        for t in range(3 * T):
            # One number for one episode, and one episode for one number.
            assert met.setdefault(found[t, b], (began, b)) == (began, b)
            began = t + 1 if done[t, b] else began
    assert len(met) == len(set(met.values()))


@settings(derandomize=True, max_examples=60)
@given(flags)
def test_episodes_and_returns_are_those_of_a_loop(drawn):
    T, B, seed = drawn
    rng = np.random.default_rng(seed)
    done, valid = mask_first_episodes(rng.random((T, B)) < 0.3)
    columns = {"obs": rng.random((T, B, 2)), "choice": rng.integers(0, 3, (T, B))}
    rewards, zeros = rng.normal(size=(T, B)).astype(np.float32), np.zeros((T, B), np.float32)
    rollout = Rollout(columns, rewards, zeros, zeros, done, valid)
    episodes, returns = rollout.to_episodes(returns=rollout.returns(0.9)), rollout.returns(0.9)
    assert len(episodes) == B
    for b in range(B):
        rows = [t for t in range(T) if valid[t, b]]
        for name, column in columns.items():
            ragged = episodes[name]
            own = ragged.values[ragged.offsets[b] : ragged.offsets[b + 1]]
            np.testing.assert_array_equal(own, column[rows, b])
        expected = sum(0.9**t * float(rewards[t, b]) for t in rows)
        assert returns[b] == pytest.approx(expected, abs=1e-5)
        assert episodes["returns"][b] == returns[b]


@pytest.mark.parametrize(("length", "share"), [(5, 1.0), (12, 0.0)])
def test_what_the_rollout_cuts_off_was_truncated(length, share):
    built = grouped("toy_worlds:Counting-v0", {"length": 8}, rollout_length=length)
    rollout, found = lived(built)
    assert rollout.done.sum() == 6
    assert found["episodes"]["truncated_fraction"].mean() == share
