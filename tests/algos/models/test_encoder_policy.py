# pyright: basic
"""What the network measures of its encoders and its memory, by naive loops."""

import numpy as np
import pytest
import small
import torch
from gymnasium import spaces

from algos.models.encoder_policy import MEASURED_ROWS, compute_constant_fraction
from algos.models.memory import SEQUENCE_START

MIXED = spaces.Dict(
    image=spaces.Box(0, 255, (7, 7, 3), np.uint8),
    place=spaces.Box(-np.inf, np.inf, (2,), np.float32),
    mode=spaces.Discrete(5),
    mask=spaces.MultiBinary(3),
)
FLAT = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ENCODER, FEATURES = "encoder_constant_fraction", "feature_constant_fraction"
MEMORY = "memory_effect_fraction"


def mixed(count=20, seed=0):
    """Columns of observations, as a learner has them."""
    rng = np.random.default_rng(seed)
    columns = {
        "obs.image": rng.integers(0, 256, (count, 7, 7, 3), np.uint8),
        "obs.place": rng.normal(size=(count, 2)).astype(np.float32),
        "obs.mode": rng.integers(0, 2, count),
        "obs.mask": np.ones((count, 3), np.int8),
    }
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def remembered(policy, count=20, seed=0):
    """Columns of steps: observations and the states before them."""
    generator = torch.Generator().manual_seed(seed)
    columns = {"obs": torch.randn(count, 3, generator=generator)}
    for name, (shape, _) in policy.state_layout.items():
        columns[name] = torch.rand(count, *shape, generator=generator) - 0.5
    return columns


@pytest.fixture(params=["gru", "lstm"])
def memory(request):
    return small.module(FLAT, spaces.Discrete(2), memory=request.param, sequence_length=4)


def test_constant_features_are_counted():
    features = torch.tensor([[1.0, 2.0, 0.0, 5.0], [1.0, 2.0 + 2e-6, 1e-3, 5.0]])
    assert compute_constant_fraction(features) == 0.75
    assert compute_constant_fraction(features[:1]) == 1


def test_the_worst_part_is_reported_and_the_whole():
    policy = small.module(MIXED, spaces.Discrete(3))
    found = policy.compute_network_metrics(mixed())
    # Three of five modes never occur; the other parts have no constant feature.
    parts = {name: e(mixed()[name]) for name, e in zip(policy.names, policy.encoders, strict=True)}
    constant = {name: sum(map(lambda f: np.ptp(f) <= 1e-5, x.detach().numpy().T))
                for name, x in parts.items()}  # fmt: skip
    fractions = {name: n / parts[name].shape[1] for name, n in constant.items()}
    assert fractions["obs.mode"] == 0.6 == max(fractions.values())
    assert found[ENCODER] == pytest.approx(0.6)
    size = sum(x.shape[1] for x in parts.values())
    assert found[FEATURES] == pytest.approx(sum(constant.values()) / size)


@pytest.mark.parametrize("part", ["obs.image", "obs.place", "obs.mode"])
def test_an_encoder_without_an_output_is_seen_behind_any_part(part):
    policy = small.module(MIXED, spaces.Discrete(3))
    encoder = policy.encoders[policy.names.index(part)]
    encoder.forward = lambda column: torch.full((len(column), encoder.size), 0.3)
    found = policy.compute_network_metrics(mixed())
    assert found[ENCODER] == 1 and found[FEATURES] < 1


def test_a_part_that_does_not_change_is_left_out():
    policy, columns = small.module(MIXED, spaces.Discrete(3)), mixed()
    columns["obs.mode"] = torch.full((20,), 2)
    assert policy.compute_network_metrics(columns)[ENCODER] < 0.6
    still = {name: column[:1].expand_as(column) for name, column in columns.items()}
    assert policy.compute_network_metrics(still) == {}
    assert policy.compute_network_metrics(mixed(1)) == {}


def test_observations_are_judged_as_the_encoders_read_them():
    policy = small.module(MIXED, spaces.Discrete(3), normalise_observations=True)
    columns = mixed()
    columns["obs.place"] *= 1e-8
    assert policy.compute_network_metrics(columns)[ENCODER] == 1
    policy.observation_normaliser.update(columns, torch.Tensor.clone)
    policy.observation_normaliser.moments["obs/place"].variance.fill_(1e-16)
    assert policy.compute_network_metrics(columns)[ENCODER] < 1


def test_memory_and_observation_share_the_effect(memory):
    count, half = 20, 10
    columns = remembered(memory)
    found = memory.compute_network_metrics(columns)[MEMORY]

    def act(seen, state):
        row = {"obs": columns["obs"][seen : seen + 1]}
        row |= {name: columns[name][state : state + 1] for name in memory.memory.names}
        return memory.compute_outputs(row)[0].detach()

    of_memory = of_observation = 0.0
    for i in range(count):
        other = (i + half) % count
        of_memory += float((act(i, other) - act(i, i)).abs().mean())
        of_observation += float((act(other, i) - act(i, i)).abs().mean())
    assert found == pytest.approx(of_memory / (of_memory + of_observation), rel=1e-4)
    assert 0.05 < found < 0.95


def test_equal_states_have_no_effect(memory):
    columns = remembered(memory)
    for name in memory.memory.names:
        columns[name] = columns[name][:1].expand(20, -1)
    assert memory.compute_network_metrics(columns)[MEMORY] == 0
    columns["obs"] = columns["obs"][:1].expand(20, -1)
    assert MEMORY not in memory.compute_network_metrics(columns)


def test_only_memory_moves_a_policy_that_sees_nothing(memory):
    columns = remembered(memory)
    columns["obs"] = columns["obs"][:1].expand(20, -1)
    assert memory.compute_network_metrics(columns) == {MEMORY: 1}


def test_marks_of_sequences_change_nothing(memory):
    columns = remembered(memory)
    starts = torch.arange(20) % 4 == 0
    found = memory.compute_network_metrics(columns | {SEQUENCE_START: starts})
    assert found == memory.compute_network_metrics(columns)


def test_a_sample_of_the_rows_is_measured(memory):
    columns = remembered(memory, 3 * MEASURED_ROWS - 1)
    found = memory.compute_network_metrics(columns)
    third = {name: column[::3] for name, column in columns.items()}
    assert found == memory.compute_network_metrics(third)


def test_measuring_draws_no_random_number_and_leaves_no_gradient(memory):
    before = torch.get_rng_state()
    memory.compute_network_metrics(remembered(memory))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in memory.parameters())
