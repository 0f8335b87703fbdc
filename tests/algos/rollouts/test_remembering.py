# pyright: basic, reportArgumentType=false
"""Runners of policies that remember: what is learnt from is what was acted on."""

from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import small
import torch
from toy_worlds import Counting

from algos.models.memory import SEQUENCE_START
from algos.rollouts.sequences import cut_sequences, split_sequences

SHORT = {"num_envs": 3, "rollout_length": 20, "minibatch_size": 12, "sequence_length": 6}
KINDS = [{"memory": "gru"}, {"memory": "lstm", "frame_stack": 3}]
SAME_STEP, NEXT_STEP = "toy_worlds:Counting-v0", "CountingSlow-v0"
TRUNCATED = {"length": 7, "terminates": False, "truncates": True}


def counting_next_step(num_envs, **kwargs):
    """Counting as a vector environment that resets in the step after the end."""
    mode = gymnasium.vector.AutoresetMode.NEXT_STEP
    return gymnasium.vector.SyncVectorEnv(
        [lambda: Counting(**kwargs)] * num_envs, autoreset_mode=mode
    )


gymnasium.register(NEXT_STEP, vector_entry_point=counting_next_step)


def largest_gap(runner, rows, settings):
    """How far log-probabilities and values at learning are from those at acting."""
    generator, gap, count = torch.Generator().manual_seed(0), 0.0, 0
    cut = cut_sequences(rows.to_torch(), settings.sequence_length)
    for batch in split_sequences(cut, settings.minibatch_size, generator):
        forward = runner.module._forward(batch)
        gap = max(gap, float((forward["dist"].logp(batch) - batch["logp"]).abs().max()))
        gap = max(gap, float((forward["value"] - batch["values"]).abs().max()))
        count += len(batch)
    assert count == len(rows)
    return gap


@pytest.mark.parametrize("memory", KINDS, ids=["gru", "lstm and stack"])
@pytest.mark.parametrize(
    ("env", "kwargs"),
    [
        ("CartPole-v1", {}),
        (SAME_STEP, TRUNCATED),
        (NEXT_STEP, TRUNCATED),
        ("toy_worlds:Masked-v0", {}),
        ("agent_games:Commuters-v0", {}),
        ("envs:CausalLearning-v0", {"scm": "ace5", "interventions": 3}),
    ],
)
def test_logps_at_learning_are_those_at_acting(env, kwargs, memory):
    chosen = SHORT | memory
    runner = small.runner(env, kwargs, **chosen)
    small._spread(runner.module, 0.3, 1)
    for _ in range(3):  # episodes go on from one rollout into the next
        rows, _ = runner.sample()
        assert rows[SEQUENCE_START].sum() >= 3
        assert largest_gap(runner, rows, runner.settings) <= 2e-6
        # Without the states that were stored, they would differ.
        moved = rows.with_columns(**{"state.hidden": rows["state.hidden"] + 1})
        assert largest_gap(runner, moved, runner.settings) > 1e-4


@pytest.mark.parametrize("memory", KINDS, ids=["gru", "lstm and stack"])
def test_a_restored_runner_remembers_what_it_was_doing(memory):
    env, kwargs = "envs:CausalLearning-v0", {"scm": "ace5", "interventions": 4}
    first = small.runner(env, kwargs, **SHORT | memory)
    first.sample()
    state = first.get_state()
    again = small.runner(env, kwargs, seed=9, **SHORT | memory)
    again.sample()
    again.set_state(state)
    expected, found = first.sample()[0], again.sample()[0]
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("env", [SAME_STEP, NEXT_STEP])
def test_a_state_is_zeros_where_an_episode_begins_and_nowhere_else(env):
    runner = small.runner(env, TRUNCATED, memory="gru", **SHORT)
    # With biases: an observation of zeros would leave the state of zeros as it is.
    small._spread(runner.module, 0.3, 1)
    rollout, _ = runner.collect(20)
    begins = (rollout.columns["obs"][..., 0] == 0) & rollout.valid
    assert begins.sum() >= 6
    zeros = ~rollout.columns["state.hidden"].any(-1)
    np.testing.assert_array_equal(zeros & rollout.valid, begins)


@pytest.mark.parametrize("env", [SAME_STEP, NEXT_STEP])
def test_a_stack_holds_the_last_observations_of_its_episode(env):
    runner = small.runner(env, {"length": 4}, frame_stack=3, **SHORT)
    for _ in range(2):
        rollout, _ = runner.collect(20)
        for stack in rollout.columns["obs"][rollout.valid][..., 0].astype(int).tolist():
            assert stack == [max(stack[-1] - 2, 0), max(stack[-1] - 1, 0), stack[-1]]


@pytest.mark.parametrize("env", [SAME_STEP, NEXT_STEP])
@pytest.mark.parametrize("memory", [{"frame_stack": 3}, *KINDS], ids=["stack", "gru", "both"])
def test_the_value_of_a_final_observation_remembers_its_episode(env, memory):
    runner = small.runner(env, TRUNCATED, **SHORT | memory)
    small._spread(runner.module, 0.3, 1)
    rollout, _ = runner.collect(20)
    policy, state, values = runner.module, runner.module.initial_state(1), []
    for step in range(8):  # of one episode, its final observation included
        column = {"obs": np.full((1, 1), step, np.float32)}
        seen, state = policy.recall(column, state)
        _, _, value, recurrent = policy.act_on_arrays(seen, greedy=True)
        state |= recurrent
        values.append(value.item())
    ends = rollout.done & rollout.valid
    assert ends.sum() >= 6
    np.testing.assert_allclose(rollout.next_values[ends], values[7], atol=1e-6)
    assert abs(values[7] - values[0]) > 1e-3


def test_rows_of_a_policy_without_memory_lie_as_before():
    rows, _ = small.runner(SAME_STEP, **SHORT, frame_stack=2).sample()
    assert SEQUENCE_START not in rows and not any(n.startswith("state.") for n in rows)


@pytest.mark.parametrize("memory", [{"frame_stack": 3}, *KINDS], ids=["stack", "gru", "both"])
@pytest.mark.parametrize("env", ["agent_games:Couriers-v0", "agent_games:CouriersLate-v0"])
def test_an_agent_remembers_nothing_of_its_absence(env, memory):
    runner = small.runner(env, **SHORT | memory)
    small._spread(runner.module, 0.3, 1)
    rollout, _ = runner.collect(20)  # games of 5 steps
    before = np.concatenate([np.zeros_like(rollout.valid[:1]), rollout.valid[:-1]])
    ended = np.concatenate([np.ones_like(rollout.done[:1]), rollout.done[:-1]])
    begins = rollout.valid & (ended | ~before)
    name = "state.hidden" if "memory" in memory else "state.filled"
    remembered = rollout.columns.get(name)
    if remembered is not None:
        # The late agent joins after it was absent for two steps.
        assert not remembered[begins].any() and remembered[rollout.valid & ~begins].any()
    if "frame_stack" in memory:
        stacks = rollout.columns["obs"][begins]
        np.testing.assert_array_equal(stacks, np.repeat(stacks[:, -1:], 3, 1))


def test_an_agent_that_is_back_remembers_its_last_action():
    runner = small.runner("agent_games:Commuters-v0", frame_stack=3, **SHORT)
    for _ in range(3):
        rollout, _ = runner.collect(20)
        for stacks, valid in zip(
            rollout.columns["obs"].swapaxes(0, 1), rollout.valid.T, strict=True
        ):
            own = stacks[valid]
            for before, after in pairwise(own):
                if after[2, 1] > before[2, 1]:  # later in the same game
                    np.testing.assert_array_equal(after[:2], before[1:])
    runner.stop()
