# pyright: basic, reportOptionalMemberAccess=false, reportCallIssue=false
"""Memory: sequences at learning are the steps of acting, and begin where they are marked."""

import pytest
import small
import torch
from gymnasium import spaces

from algos.models.memory import SEQUENCE_START, STATES, Memory

KINDS = ["gru", "lstm"]
LENGTHS = [3, 1, 5, 2]


def rows(kind, width=4, features=3):
    """Features of sequences, state columns as stored at acting, and marks."""
    torch.manual_seed(0)
    memory = Memory(kind, features, width)
    x = torch.randn(sum(LENGTHS), features)
    stored, outputs = {name: [] for name in memory.names}, []
    for part in x.split(LENGTHS):
        state = {name: torch.randn(1, width) for name in memory.names}
        for row in part:
            for name in memory.names:
                stored[name].append(state[name])
            out, state = memory(row[None], state)
            outputs.append(out)
    starts = torch.zeros(len(x), dtype=torch.bool)
    starts[torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0)[:-1].tolist()])] = True
    batch = {name: torch.cat(column) for name, column in stored.items()}
    return memory, x, batch | {SEQUENCE_START: starts}, torch.cat(outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_gives_what_its_steps_gave_one_by_one(kind):
    memory, x, batch, expected = rows(kind)
    out, after = memory(x, batch)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-6)
    assert after == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_anywhere_changes_nothing_but_the_gradient(kind):
    memory, x, batch, expected = rows(kind)
    cut = batch | {SEQUENCE_START: torch.ones(len(x), dtype=torch.bool)}
    torch.testing.assert_close(memory(x, cut)[0], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_through_a_sequence_and_not_beyond(kind):
    memory, x, batch, _ = rows(kind)
    x.requires_grad_()
    memory(x, batch)[0][8].sum().backward()  # the last of the third sequence, rows 4 to 8
    reached = x.grad.abs().sum(-1) > 0
    assert reached.nonzero()[:, 0].tolist() == [4, 5, 6, 7, 8]


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_a_policy_is_zeros_at_the_start(kind):
    policy = small.module(
        spaces.Box(-1, 1, (3,)), spaces.Discrete(2), memory=kind, sequence_length=4
    )
    state = policy.initial_state(5)
    assert tuple(state) == STATES[kind]
    assert all(c.shape == (5, 16) and not c.any() for c in state.values())
    seen, known = policy.recall({"obs": torch.zeros(5, 3).numpy()}, state)
    assert known == {} and set(seen) == {"obs", *STATES[kind]}
    *_, after = policy.act_on_arrays(seen)
    assert tuple(after) == STATES[kind] and all(c.any() for c in after.values())


@pytest.mark.parametrize("kind", KINDS)
def test_each_gate_keeps_the_length_of_the_state_at_first(kind):
    memory = Memory(kind, 3, 8)
    for gate in memory.core.weight_hh_l0.detach().split(8):
        torch.testing.assert_close(gate.T @ gate, torch.eye(8), atol=1e-5, rtol=0)
    assert not memory.core.bias_ih_l0.any() and not memory.core.bias_hh_l0.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [3, 64, 512])
def test_sums_of_features_have_the_size_of_one_at_first(kind, inputs):
    torch.manual_seed(0)
    memory = Memory(kind, inputs, 256)
    sums = torch.randn(100, inputs) @ memory.core.weight_ih_l0.detach().T
    # Torch's own weights, of a variance of a third of 1 / width, give 0.06 to 0.8.
    assert float(sums.square().mean().sqrt()) == pytest.approx(1, abs=0.15)
