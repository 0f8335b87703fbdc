# pyright: basic
"""A*-PO: V* of every start before training, then a regression of the policy on what beat it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import small
import torch
from ray.rllib.core import DEFAULT_MODULE_ID

from algos.algorithm import ColumnAlgorithm
from algos.astar_po import ADVANTAGE_LIMIT, AStarPO, AStarPOObjective
from algos.rollouts.advantages import estimate_v_star
from algos.rollouts.columns import Columns
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.rollouts.rollout import Rollout, mask_first_episodes
from algos.rollouts.v_star import VStarTable

BANDIT = "toy_worlds:Bandit-v0"
SMALL: dict[str, Any] = {"algo": "astar_po", "num_envs": 4, "starts": 6, "reference_samples": 2}

OBJECTIVE = small.objective("astar_po")


def rows(**changed):
    """Three episodes of 1, 3 and 2 steps with returns 2, 3 and 1 and V* of 1, 1 and 2."""
    rng = np.random.default_rng(0)
    shape = (3, 3)
    done, valid = mask_first_episodes(np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], bool))
    rewards = np.array([[2, 1, 0], [9, 1, 1], [9, 1, 9]], np.float32)
    columns = {
        "obs": rng.normal(size=(*shape, 2)).astype(np.float32),
        "choice": rng.integers(0, 2, shape),
        "logp": np.log(rng.uniform(0.3, 0.7, shape)).astype(np.float32),
        "start": np.broadcast_to(TRAINING_SEED + np.arange(3), shape),
    }
    zeros = np.zeros(shape, np.float32)
    settings = small.settings("astar_po", **changed)
    rollout = Rollout(columns, rewards, zeros, zeros, done, valid)
    credited = AStarPOObjective(settings).compute_advantages(rollout)
    credited = credited.with_columns(v_star=np.array([1, 1, 2], np.float32))
    return AStarPOObjective(settings).preprocess_batch(credited), columns


def policy(**changed):
    """A learner, its policy and a batch with what the policy's frozen copy says about it."""
    (table, _), columns = rows(**changed)
    learner = small.learner(BANDIT, algo="astar_po", entropy_coef=0.0, **changed)
    module, batch = learner.module[DEFAULT_MODULE_ID], table.to_torch()
    with torch.no_grad():
        reference = OBJECTIVE.compute_reference_columns(
            module(OBJECTIVE.build_network_inputs(batch)), batch
        )
    return learner.objective.settings, module, batch.with_columns(**reference), columns


def gradient(scalar, module):
    found = torch.autograd.grad(scalar, list(module.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


# Stage 2.


def test_an_episode_is_a_row_with_its_return_and_its_own_steps():
    (table, metrics), columns = rows()
    assert table["returns"].tolist() == [2, 3, 1]
    assert (table["starts"] - TRAINING_SEED).tolist() == [0, 1, 2]
    assert table["logp"].lengths.tolist() == [1, 3, 2]
    assert table["obs"].values[:1].tolist() == columns["obs"][:1, 0].tolist()
    assert table["obs"].values[1:4].tolist() == columns["obs"][:, 1].tolist()
    assert table["advantages"].tolist() == [1, 2, -1]
    assert metrics["advantage_mean"] == pytest.approx(2 / 3)
    assert metrics["advantage_negative_fraction"] == pytest.approx(1 / 3)
    assert rows(gamma=0.5)[0][0]["returns"].tolist() == [2, 1.75, 0.5]


def test_the_logp_of_an_episode_is_the_sum_over_its_steps():
    _, module, batch, columns = policy()
    for episode, length in enumerate([1, 3, 2]):
        steps = {n: torch.tensor(columns[n][:length, episode]) for n in ("obs", "choice")}
        with torch.no_grad():
            expected = module(steps)["dist"].logp(steps).sum()
        assert batch["reference_logp"][episode].item() == pytest.approx(expected.item(), abs=1e-6)


def test_kl_is_estimated_over_the_steps_of_the_episodes():
    settings, module, batch, _ = policy()
    steps = OBJECTIVE.build_network_inputs(batch)
    with torch.no_grad():
        forward = module(steps)
        ratio = (forward["dist"].logp(steps) - batch["logp"].values).exp()
    expected = (ratio - 1 - ratio.log()).mean()
    found = small.measure("astar_po", forward, batch, settings)
    assert expected > 0.01 and found["kl"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("beta", [0.01, 0.7])
def test_at_the_reference_only_advantages_are_regressed(beta):
    settings, module, batch, _ = policy(beta=beta)
    loss = small.loss("astar_po", module(OBJECTIVE.build_network_inputs(batch)), batch, settings)
    # Mean of (R - V*)^2 / (2 beta): (1 + 4 + 1) / 3 / (2 beta).
    assert loss.item() == pytest.approx(2 / (2 * beta), rel=1e-5)


def test_at_the_reference_it_is_a_policy_gradient_for_any_beta():
    settings, module, batch, _ = policy(beta=0.05)
    forward = module(OBJECTIVE.build_network_inputs(batch))
    logp = batch["logp"].sum_by_row(forward["dist"].logp(OBJECTIVE.build_network_inputs(batch)))
    expected = gradient(-(logp * batch["advantages"]).mean(), module)
    forward = module(OBJECTIVE.build_network_inputs(batch))
    found = gradient(small.loss("astar_po", forward, batch, settings), module)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_regression_is_zero_for_the_optimal_policy():
    """That is reference * exp((R - V*) / beta)."""
    settings, module, batch, _ = policy(beta=0.5)
    gain = batch["advantages"] / settings.beta
    batch = batch.with_columns(reference_logp=batch["reference_logp"] - gain)
    loss = small.loss("astar_po", module(OBJECTIVE.build_network_inputs(batch)), batch, settings)
    assert loss.item() == pytest.approx(0, abs=1e-9)


def test_clipped_pg_normalises_and_clips_the_advantages():
    settings, module, batch, _ = policy(loss="clipped_pg", beta=0.5)
    expected = (np.array([1, 2, -1]) - 2 / 3) / np.std([1, 2, -1])
    np.testing.assert_allclose(batch["advantages"], expected, rtol=1e-5)
    loss = small.loss("astar_po", module(OBJECTIVE.build_network_inputs(batch)), batch, settings)
    by_hand = -0.5 * (batch["reference_logp"] * batch["advantages"]).mean()
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_limit_of_a_normalised_advantage_is_told():
    (table, _), _ = rows()
    many = table.select(np.zeros(100, np.int64))
    many["returns"][7] = 1000.0  # one of a hundred: 99 / sqrt(99) = 9.9 standard deviations
    prepared, metrics = AStarPOObjective(
        small.settings("astar_po", loss="clipped_pg")
    ).preprocess_batch(many)
    assert prepared["advantages"].max() == ADVANTAGE_LIMIT
    assert metrics["advantage_clip_fraction"] == 0.01
    plain, metrics = AStarPOObjective(small.settings("astar_po")).preprocess_batch(many)
    assert plain["advantages"].max() == 999 and "advantage_clip_fraction" not in metrics


def test_the_kl_to_the_reference_is_told_per_action():
    settings, module, batch, _ = policy()
    forward = module(OBJECTIVE.build_network_inputs(batch))
    assert small.measure("astar_po", forward, batch, settings)["reference_kl"].item() == 0
    moved = batch.with_columns(reference_logp=batch["reference_logp"] - 0.6)
    found = small.measure("astar_po", forward, moved, settings)["reference_kl"].item()
    assert found == pytest.approx(3 * 0.6 / 6, rel=1e-5)  # three episodes, six actions


# Stage 1.


@pytest.mark.usefixtures("local_ray")
def test_v_star_of_every_start_comes_from_reference_episodes():
    with small.algorithm(BANDIT, **SMALL) as algorithm:
        assert algorithm.prepare()
        metrics = algorithm.preparation_metrics
        assert sorted(algorithm.v_star.values) == list(range(6))
        values = np.array(list(algorithm.v_star.values.values()))
        assert metrics["v_star_mean"] == pytest.approx(values.mean())
        assert metrics["v_star_std"] == pytest.approx(values.std(), rel=1e-5)
        assert metrics["v_star_max"] == values.max()
        assert (metrics["v_star_starts"], metrics["v_star_starts_left"]) == (6, 0)
        # Two episodes of a start whose returns are whole numbers from 0 to 4.
        pairs = [[a, b] for a in range(5) for b in range(a, 5)]
        possible = estimate_v_star(np.array(pairs, np.float32), "softmax", 0.5)
        assert all(np.isclose(possible, value).any() for value in values)
        # Six starts, two a sample: three samples of four episodes of four steps.
        assert algorithm.env_steps == 3 * 4 * 4


@pytest.mark.usefixtures("local_ray")
def test_v_star_is_part_of_a_checkpoint_and_not_estimated_again(tmp_path):
    def trained(algorithm):
        algorithm.train()
        flat = {n: v for n, v in algorithm.flat_metrics.items() if not n.endswith("_s")}
        return flat, small.learner_weights(algorithm)

    with small.algorithm(BANDIT, **SMALL) as undisturbed:
        assert "v_star_mean" in trained(undisturbed)[0]
        table = dict(undisturbed.v_star.values)
        undisturbed.save_to_path(str(tmp_path))
        expected, weights = trained(undisturbed)
        assert "v_star_mean" not in expected and undisturbed.v_star.values == table
        assert expected["reference_kl"] != 0
    with small.algorithm(BANDIT, seed=9, **SMALL) as restored:
        restored.restore_from_path(str(tmp_path))
        assert restored.v_star.values == table
        # Bit for bit, which takes the reference and the random state of the runner as well.
        found, restored_weights = trained(restored)
        assert found == expected and restored.v_star.values == table
        assert small.same_weights(restored_weights, weights)


@pytest.mark.usefixtures("local_ray")
def test_v_star_is_cached_for_the_same_reference(tmp_path):
    cached: dict[str, Any] = SMALL | {"v_star_cache": str(tmp_path)}

    def begun(**changed):
        """V*, and whether episodes had to be lived through for it."""
        with small.algorithm(BANDIT, **cached | changed) as algorithm:
            assert algorithm.prepare()
            assert sorted(algorithm.v_star.values) == list(range(algorithm.settings.starts))
            assert algorithm.preparation_metrics["v_star_mean"] == pytest.approx(
                np.mean(list(algorithm.v_star.values.values()))
            )
            return algorithm.v_star.values, algorithm.env_steps > 0

    first, sampled = begun()
    assert sampled
    again, sampled = begun(lr=0.01, beta=0.7)  # what V* does not depend on
    assert again == pytest.approx(first) and not sampled
    more, sampled = begun(starts=8)  # only what is missing is lived through
    assert sampled and {start: more[start] for start in first} == pytest.approx(first)
    for other in ({"seed": 1}, {"activation": "relu"}, {"gamma": 0.5}, {"v_star": "max"}):
        assert begun(**other)[1], other


@pytest.mark.usefixtures("local_ray")
def test_training_after_stage_1_in_parts_is_the_same():
    def train(in_parts):
        with small.algorithm(BANDIT, **SMALL) as algorithm:
            while in_parts and not algorithm.prepare(seconds=0):
                pass
            algorithm.train()
            flat = {n: v for n, v in algorithm.flat_metrics.items() if not n.endswith("_s")}
            return flat, small.learner_weights(algorithm)

    (whole, weights), (parts, same) = train(False), train(True)
    assert parts == whole and small.same_weights(same, weights)


class Loose(AStarPO):
    """An algorithm that was never set up: its policy has these weights, its episodes are drawn."""

    iteration = 0  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self: Any, weights=None, env_config=None, starts=2, **changed):
        chosen = small.settings("astar_po", starts=starts, **changed)
        self.config = SimpleNamespace(env=BANDIT, env_config=env_config or {}, settings=chosen)
        weights = {"a": np.zeros(2)} if weights is None else weights
        self.learner_group = SimpleNamespace(get_weights=lambda: {"default_policy": weights})
        self.v_star, self.v_star_folder = VStarTable(), None
        self.training_started, self.preparation_metrics, self.env_steps = False, {}, 0
        self.generator, self.batches = np.random.default_rng(0), []

    def start_training(self):
        return {"warm_start_loss": 0.5}

    def collect_rows(self, starts, group_size):
        """Two starts a batch, from the front again where there is only one."""
        chosen = np.repeat(np.take(starts, [0, 1], mode="wrap"), group_size)
        self.batches.append((chosen[::group_size] - TRAINING_SEED).tolist())
        returns = self.generator.integers(0, 5, len(chosen)).astype(np.float32)
        columns = {"starts": chosen, "returns": returns, "success": returns > 3}
        return Columns(columns), {"steps": 10}


def test_the_key_of_cached_v_star_is_what_it_depends_on():
    weights = {"a": np.zeros(2), "b": np.ones(2)}
    key = Loose(weights, {"size": 3, "depth": {"x": 1, "y": 2}})._compute_cache_key()
    # The order of names and the learning rate mean nothing.
    turned = {"b": np.ones(2), "a": np.zeros(2)}
    same = Loose(turned, {"depth": {"y": 2, "x": 1}, "size": 3}, lr=0.02)
    assert same._compute_cache_key() == key and len(key) == 16
    for other in (
        Loose(weights, {"size": 4, "depth": {"x": 1, "y": 2}}),
        Loose(weights | {"b": np.zeros(2)}, {"size": 3, "depth": {"x": 1, "y": 2}}),
        Loose(weights, {"size": 3, "depth": {"x": 1, "y": 2}}, v_star_beta=0.7),
    ):
        assert other._compute_cache_key() != key


def test_stage_1_in_parts_gives_the_same_v_star():
    whole, parts = Loose(starts=5), Loose(starts=5)
    assert whole.prepare()
    reports = []
    while not parts.prepare(seconds=0):
        reports.append(dict(parts.preparation_metrics))
    assert whole.batches == parts.batches == [[0, 1], [2, 3], [4, 4]]
    assert whole.v_star.get_state() == parts.v_star.get_state()
    assert [r["v_star_starts"] for r in reports] == [2, 4]
    assert [r["v_star_starts_left"] for r in reports] == [3, 1]
    assert parts.preparation_metrics["v_star_starts_left"] == 0 and parts.env_steps == 30
    assert parts.prepare() and len(parts.batches) == 3, "nothing is left to do"


def test_metrics_of_the_warm_start_come_with_those_of_v_star():
    loose = Loose()
    loose.prepare()
    values = np.array(list(loose.v_star.values.values()))
    assert loose.preparation_metrics["warm_start_loss"] == 0.5
    assert loose.preparation_metrics["v_star_mean"] == pytest.approx(values.mean())


def test_a_later_iteration_estimates_nothing():
    loose: Any = Loose()
    loose.iteration = 3
    assert loose.prepare() and not loose.batches and loose.training_started


def test_an_interrupted_stage_1_continues_from_its_cache(tmp_path):
    first = Loose(starts=6, v_star_cache=str(tmp_path))
    assert not first.prepare(seconds=0) and first.batches == [[0, 1]]
    # It is killed here: nothing of the process is left but what each batch has written.
    second = Loose(starts=6, v_star_cache=str(tmp_path))
    assert second.prepare() and second.batches == [[2, 3], [4, 5]]
    assert second.v_star.values.items() >= first.v_star.values.items()
    third = Loose(starts=6, v_star_cache=str(tmp_path))
    assert third.prepare() and not third.batches
    assert third.v_star.get_state() == second.v_star.get_state()
    assert third.preparation_metrics["v_star_starts"] == 6
    assert "v_star_left_s" not in third.preparation_metrics, "it has no pace of its own"


def test_the_state_holds_an_unfinished_stage_1(monkeypatch):
    monkeypatch.setattr(ColumnAlgorithm, "get_state", lambda self: {})
    monkeypatch.setattr(ColumnAlgorithm, "set_state", lambda self, state: None)
    first, second = Loose(starts=6), Loose(starts=6)
    first.prepare(seconds=0)
    second.set_state(first.get_state())
    assert second.prepare() and second.batches == [[2, 3], [4, 5]]
