# pyright: basic
"""What is earned: exact where it can be worked out, and above all not blind to the choice."""

import itertools

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("pyamg")

from envs import counter_rng
from envs.edges import baselines, fsai, instances, krylov, multigrid, selection, sparsifier
from envs.edges.objectives import Fsai, Multigrid, Sparsifier
from envs.validation import InputError

KEY = counter_rng.make_keys(0, 1)


def test_pcg_solves_in_one_step_with_an_exact_preconditioner():
    matrix = instances.draw_matrix("anisotropic", 6, KEY)
    inverse = np.linalg.inv(matrix.toarray())
    norms = krylov.residuals(matrix, np.ones(36), lambda r: inverse @ r, 50)
    assert len(norms) == 2 and norms[1] < 1e-10 * norms[0]


def test_conjugate_gradients_equal_a_naive_solve():
    matrix = instances.draw_matrix("variable", 6, KEY)
    b = np.arange(36.0)
    norms = krylov.residuals(matrix, b, lambda r: r, 10)
    # After t steps the error is the least in energy over the Krylov space: solved here directly.
    K = [b]
    for _ in range(9):
        K.append(matrix @ K[-1] / np.linalg.norm(K[-1]))
    Q = np.linalg.qr(np.array(K).T)[0]
    for t in (1, 4, 7):
        V = Q[:, :t]
        x = V @ np.linalg.solve(V.T @ (matrix @ V), V.T @ b)
        assert norms[t] == pytest.approx(np.linalg.norm(b - matrix @ x), rel=1e-6)


def test_an_indefinite_preconditioner_is_not_a_number():
    matrix = instances.draw_matrix("variable", 6, KEY)
    assert np.isnan(krylov.residuals(matrix, np.ones(36), lambda r: -r, 10)[-1])


def test_fsai_rows_equal_dense_algebra():
    pytest.importorskip("skfem")
    matrix = instances.draw_matrix("mesh", 4, KEY)
    graph = fsai.candidates(matrix, KEY)
    chosen = selection.strongest(np.abs(graph.values), graph.starts, 2)
    dense = matrix.toarray()
    expected = []
    for i in range(16):
        P = graph.columns[chosen & (graph.rows == i)]
        rest = dense[i, P] @ np.linalg.solve(dense[np.ix_(P, P)], dense[P, i]) if len(P) else 0
        expected.append(-np.log(1 - rest / dense[i, i]))
    np.testing.assert_allclose(fsai.row_rewards(graph, chosen), expected, atol=1e-12)


def test_fsai_with_all_entries_of_dense_rows_is_exact():
    matrix = instances.canonical(np.linalg.inv(np.eye(3) + 0.2))
    graph = fsai.candidates(matrix, KEY)
    apply = fsai.preconditioner(graph, np.ones(len(graph.rows), np.bool_))
    b = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(apply(b), np.linalg.solve(matrix.toarray(), b))


def test_fsai_optimum_is_the_best_of_all_choices():
    matrix = instances.draw_matrix("variable", 4, KEY)
    graph = fsai.candidates(matrix, KEY)
    best = fsai.row_rewards(graph, fsai.optimum(graph, 2))
    row = 10
    own = np.flatnonzero(graph.rows == row)
    tried = []
    for pair in itertools.combinations(own, 2):
        chosen = np.zeros(len(graph.rows), np.bool_)
        chosen[list(pair)] = True
        tried.append(fsai.row_rewards(graph, chosen)[row])
    assert best[row] == pytest.approx(max(tried))


def test_fsai_ranks_random_strongest_and_optimum_as_measured():
    # The sixteen cases of the benchmark's table: .0757, .2070 and .2106.
    found = []
    angles = (0, np.pi / 6, np.pi / 4, np.pi / 3)
    for case, (eps, theta) in enumerate(itertools.product((1, 0.1, 0.01, 0.001), angles)):
        graph = fsai.candidates(instances.anisotropic(32, theta, eps), KEY)
        noise = np.random.default_rng(case).random(len(graph.rows))
        kinds = [noise, np.abs(graph.values)]
        chosen = [selection.strongest(kind, graph.starts, 3) for kind in kinds]
        found.append([fsai.row_rewards(graph, c).mean() for c in chosen])
    np.testing.assert_allclose(np.mean(found, axis=0), [0.0757, 0.2070], atol=0.002)


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


def test_the_tree_spans_and_is_the_heaviest():
    graph = sparsifier.candidates(instances.draw_matrix("weighted_grid", 5, KEY), KEY)
    tree = sparsifier.spanning_tree(graph)
    assert tree.sum() == 24
    networkx = pytest.importorskip("networkx")
    other = networkx.Graph()
    for i, j, a in zip(graph.rows, graph.columns, graph.values, strict=True):
        other.add_edge(int(i), int(j), weight=-a)
    heaviest = networkx.maximum_spanning_tree(other).size(weight="weight")
    assert -graph.values[tree].sum() == pytest.approx(heaviest)


def test_a_sparsifier_of_every_edge_is_the_matrix():
    graph = sparsifier.candidates(instances.draw_matrix("random_graph", 5, KEY), KEY)
    every = np.ones(len(graph.rows), np.bool_)
    gap = sparsifier.laplacian(graph, every) - graph.matrix
    assert abs(gap).max() < 1e-12


def test_projections_estimate_effective_resistance():
    graph = sparsifier.candidates(instances.draw_matrix("weighted_grid", 8, KEY), KEY)
    tree = sparsifier.spanning_tree(graph)
    found = (sparsifier.Factor(graph, tree).sketch() ** 2).mean(axis=1)
    inverse = np.linalg.inv(sparsifier.laplacian(graph, tree).toarray())
    own = inverse.diagonal()
    exact = own[graph.rows] + own[graph.columns] - 2 * inverse[graph.rows, graph.columns]
    ratio = found / exact
    assert 0.9 < ratio.mean() < 1.1 and ratio.std() < 0.3


def naive_spread(priority, sketch, k, limit, free):
    """The best open edge, again and again; each closes whatever it overlaps with."""
    unit = sketch / np.linalg.norm(sketch, axis=1, keepdims=True)
    chosen, open_ = np.zeros_like(free), free.copy()
    for _ in range(min(k, free.sum())):
        if not open_.any():
            open_ = free & ~chosen
        edge = int(np.where(open_, priority, -np.inf).argmax())
        chosen[edge] = True
        open_ &= (unit @ unit[edge]) ** 2 <= limit
        open_[edge] = False
    return chosen


def test_a_batch_equals_a_greedy_choice_of_edges():
    rng = np.random.default_rng(0)
    for _ in range(100):
        edges = int(rng.integers(5, 80))
        priority, free = rng.integers(0, 9, edges) / 3, rng.random(edges) < 0.8
        given = priority, rng.normal(size=(edges, 4)), int(rng.integers(1, edges + 9)), 0.3, free
        np.testing.assert_array_equal(sparsifier.spread(*given), naive_spread(*given))


def test_spread_edges_do_not_overlap_while_others_are_left():
    sketch = np.array([[1.0, 0], [1.0, 0.1], [0, 1.0], [1.0, 0]])
    free = np.ones(4, np.bool_)
    priority = np.array([4.0, 3.0, 1.0, 2.0])
    chosen = [
        np.flatnonzero(sparsifier.spread(priority, sketch, k, limit, free)).tolist()
        for k, limit in ((2, 1.0), (2, 0.5), (3, 0.5))
    ]
    assert chosen == [[0, 1], [0, 2], [0, 1, 2]]


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


def test_a_sparsifier_needs_a_laplacian():
    matrix = instances.canonical(sparse.csr_array(np.eye(3) * 3 + 0.5))
    with pytest.raises(InputError, match="off-diagonal entries are positive"):
        sparsifier.candidates(matrix, KEY)


def test_fsai_earns_the_mean_of_its_rows():
    objective = Fsai(3)
    instance = objective.instance(instances.draw_matrix("anisotropic", 8, KEY), KEY, solve=True)
    kept = selection.strongest(instance.graph.scores[:, 3], instance.graph.starts, 3)
    result = objective.evaluate(instance, kept, 0.0, solve=True)
    assert result.row_rewards is not None
    assert result.reward == pytest.approx(result.row_rewards.mean())
