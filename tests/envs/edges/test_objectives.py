# pyright: basic
"""What is earned: exact where it can be worked out, and above all not blind to the choice."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import baselines, instances, multigrid, selection
from envs.edges.objectives import Fsai, Multigrid, Sparsifier

KEY = counter_rng.make_keys(0, 1)


def test_the_multigrid_reward_sees_the_choice():
    # Strong coupling along one axis: edges along it coarsen well, edges across it do not.
    objective = Multigrid(2, "smoothed_aggregation", "work")
    instance = objective.instance(instances.anisotropic(16, 0.0, 0.001), KEY, solve=True)
    strong = instance.graph.scores[:, 0] > -0.1
    along, across, everything, nothing = (
        objective.evaluate(instance, kept, 0.0, solve=True)
        for kept in (strong, ~strong, np.ones_like(strong), np.zeros_like(strong))
    )
    assert along.reward > 0.3 > everything.reward > across.reward
    assert along.work < everything.work < across.work
    assert nothing.reward < along.reward


def test_the_reward_is_the_log_of_work_saved():
    objective = Multigrid(3, "smoothed_aggregation", "work")
    rewards, ratios = [], []
    for seed in range(3):
        key = counter_rng.make_keys(seed, 1)
        instance = objective.instance(
            instances.draw_matrix("anisotropic", 32, key), key, solve=True
        )
        for score, threshold in ((0, -0.1), (0, -0.3), (3, -0.1), (3, -0.3), (2, -1.0)):
            kept = selection.strong(
                instance.graph.scores, baselines.make_rule_action(score, threshold, 5)
            )
            result = objective.evaluate(instance, kept, 0.0, solve=True)
            rewards.append(result.reward)
            ratios.append(-np.log(result.work / instance.reference.work))
    assert np.corrcoef(rewards, ratios)[0, 1] > 0.9


@pytest.mark.parametrize("reward", ["vcycle_energy", "pcg_residual"])
def test_the_originals_rewards_charge_for_complexity(reward):
    objective = Multigrid(3, "smoothed_aggregation", reward)
    instance = objective.instance(instances.anisotropic(16, 0.0, 0.001), KEY, solve=False)
    kept = instance.graph.scores[:, 0] > -0.1
    result = objective.evaluate(instance, kept, 0.0, solve=False)
    strength = multigrid.make_strength(multigrid.make_pattern(instance.graph, kept))
    made = multigrid.build_hierarchy(instance.graph.matrix, "smoothed_aggregation", strength)
    assert made.operator_complexity > 1.35
    if reward == "pcg_residual":
        found, _ = multigrid.measure_hierarchy(
            instance.graph.matrix, made, instance.sides, solve=False
        )
        penalty = made.operator_complexity - 1.35
        assert result.reward == pytest.approx(found.reduction - penalty)
    assert 0 < result.reward < 10


def test_hierarchies_that_fail_cost_what_is_said():
    assert multigrid.work_reward(float("nan"), 1.0) == -3
    assert multigrid.work_reward(-0.1, 1.0) == -3
    assert multigrid.work_reward(1e9, 1.0) == 3


def test_a_hierarchy_is_reproducible_and_keeps_numpys_state():
    objective = Multigrid(3, "root_node", "work")
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    instance = objective.instance(instances.anisotropic(12, 0.3, 0.01), KEY, solve=True)
    kept = instance.graph.scores[:, 2] > -0.3
    one = objective.evaluate(instance, kept, 0.0, solve=True)
    assert np.random.rand() == expected
    assert objective.evaluate(instance, kept, 0.0, solve=True) == one


def test_growing_a_sparsifier_beats_adding_all_edges_at_once():
    objective = Sparsifier(8)
    rewards, iterations, usual = [], [], []
    for seed in range(3):
        key = counter_rng.make_keys(seed, 1)
        instance = objective.instance(
            instances.draw_matrix("weighted_grid", 16, key), key, solve=True
        )
        kept, scores, level = instance.kept, instance.graph.scores, instance.start.level
        for _ in range(8):
            kept = kept | objective.choose_edges(
                instance.graph, kept, scores, baselines.make_rule_action(2, -0.5, 5)
            )
            result = objective.evaluate(instance, kept, level, solve=True)
            scores, level = objective.scores(instance.graph, kept), result.level
            rewards.append(result.reward)
        assert kept.sum() <= 1.25 * 256
        assert sum(rewards[-8:]) == pytest.approx(level - instance.start.level)
        iterations.append(result.iterations)
        usual.append(instance.reference.iterations)
    assert np.mean(iterations) < 0.8 * np.mean(usual)


def test_fsai_earns_the_mean_of_its_rows():
    objective = Fsai(3)
    instance = objective.instance(instances.draw_matrix("anisotropic", 8, KEY), KEY, solve=True)
    kept = selection.strongest(instance.graph.scores[:, 3], instance.graph.starts, 3)
    result = objective.evaluate(instance, kept, 0.0, solve=True)
    assert result.row_rewards is not None
    assert result.reward == pytest.approx(result.row_rewards.mean())
