# pyright: basic
"""The students: exact statistics, and what must never teach a node."""

import numpy as np
import pytest

from envs import counter_rng
from envs.causal.learning import roots
from envs.causal.learning.linear import REACH, triangular_inverse
from envs.causal.learning.metric import CAP, compute_risk, make_truth, probe_points
from envs.causal.learning.mlp_student import MlpParams, MlpStudent
from envs.causal.learning.student import BayesLinear, true_means
from envs.causal.models import named
from envs.pytree import copy_tree

MODEL = named.ace5().scm
PARENTS = MODEL.parents[0]


def linear():
    return BayesLinear(PARENTS, probe_points(5), features=32, length_scale=1.8, ridge=1e-3)


def batches(copies, steps, seed=0):
    """Rows under random interventions: (rows [B, 50, 5], chosen [B, 5]) for each step."""
    for t in range(steps):
        key = counter_rng.fold(counter_rng.make_keys(seed, copies), t)
        chosen = np.arange(5) == counter_rng.integers(key, 5)[:, None]
        values = 10 * counter_rng.uniform(counter_rng.fold(key, 1), (5,)) - 5
        noise = counter_rng.normal(counter_rng.fold(key, 2), (50, 5))
        yield MODEL.sample(noise, chosen, values), chosen


def taught(student, copies=3, steps=8):
    state = student.reset(counter_rng.make_keys(0, copies), MODEL)
    for rows, chosen in batches(copies, steps):
        state = student.learn(state, rows, chosen)
    return state


def features(node, x, count=32):
    """The features as the task defines them, all of them and in double precision."""
    parents = np.flatnonzero(PARENTS[node])
    points = counter_rng.low_discrepancy(count, len(parents) + 1, 120)
    frequencies = counter_rng.normal_quantiles(points[:, :-1]).T / 1.8
    return np.sqrt(2 / count) * np.cos(x[:, parents] @ frequencies + 2 * np.pi * points[:, -1])


def naive(node, copy, steps, count=32):
    """Means at the probe points and average variance: ridge regression on all rows at once."""
    rows = [x[copy] for x, chosen in batches(copy + 1, steps) if not chosen[copy, node]]
    x = np.concatenate(rows).astype(float)
    x = x[np.abs(x[:, PARENTS[node]]).max(axis=1) <= REACH]
    phi, at_probes = features(node, x, count), features(node, probe_points(5), count)
    gram = phi.T @ phi + 1e-3 * np.eye(count)
    variance = np.mean((at_probes @ np.linalg.inv(gram)) * at_probes) * count
    return at_probes @ np.linalg.solve(gram, phi.T @ x[:, node]), variance


@pytest.mark.parametrize("slot", [0, 1, 2])
@pytest.mark.parametrize("steps", [3, 10, 30])
def test_learning_step_by_step_equals_one_fit_to_all_rows(slot, steps):
    student = linear()
    state = taught(student, steps=steps)
    node, probes = int(student.slots[slot]), probe_points(5)[None]
    mechanism = MODEL.mechanism(np.array([node]), probes)[0]
    excess = compute_risk(student, state, make_truth(MODEL, student)).node_excess[:, node]
    for copy in range(3):
        means, variance = naive(node, copy, steps)
        learnt = student.predict(state, np.repeat(probes, 3, axis=0))[copy, slot]
        # What single precision and the directions left out may change, far below the noise of .1.
        np.testing.assert_allclose(learnt, means, rtol=1e-3, atol=1e-3)
        assert state.variance[copy, slot] == pytest.approx(variance, rel=1e-3)
        assert excess[copy] == pytest.approx(np.mean(np.square(means - mechanism)), rel=0.01)


def test_directions_need_not_fit_the_number_of_features():
    for count in (4, 12, 40):
        student = BayesLinear(PARENTS, probe_points(5), count, length_scale=1.8, ridge=1e-3)
        state = taught(student)
        means, variance = naive(2, 1, 8, count)
        learnt = student.predict(state, np.repeat(probe_points(5)[None], 3, axis=0))[1, 1]
        np.testing.assert_allclose(learnt, means, rtol=1e-3, atol=1e-3)
        assert state.variance[1, 1] == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize("size", [8, 12, 16, 24, 64])
def test_triangles_are_inverted(size):
    x = counter_rng.normal(counter_rng.make_keys(0, 5), (size, size)).astype(float)
    lower = np.linalg.cholesky(x @ np.swapaxes(x, 1, 2) + np.eye(size))
    np.testing.assert_allclose(triangular_inverse(lower), np.linalg.inv(lower), atol=1e-12)


@pytest.mark.parametrize("node", [1, 2, 4])
def test_rows_with_a_node_set_never_change_its_parameters(node):
    student = linear()
    before = taught(student)
    slot = student.slots.tolist().index(node)
    for step in range(3):
        chosen = np.arange(5) == np.full((3, 1), node)
        noise = counter_rng.normal(counter_rng.make_keys(step, 3), (50, 5))
        after = student.learn(before, MODEL.sample(noise, chosen, chosen * 2.0), chosen)
        for name in ("gram", "moment", "weights"):
            new, old = getattr(after, name)[slot], getattr(before, name)[slot]
            np.testing.assert_array_equal(new, old)
        np.testing.assert_array_equal(after.variance[:, slot], before.variance[:, slot])
    assert (after.variance != before.variance).any()


@pytest.mark.parametrize("root", [0, 3])
def test_rows_in_which_a_root_was_set_never_change_its_fit(root):
    student = linear()
    before = taught(student)
    chosen = np.arange(5) == np.full((3, 1), root)
    rows = MODEL.sample(
        counter_rng.normal(counter_rng.make_keys(1, 3), (50, 5)), chosen, chosen * 4.0
    )
    after = student.learn(before, rows, chosen)
    place = student.root_nodes.tolist().index(root)
    np.testing.assert_array_equal(after.roots.mean[:, place], before.roots.mean[:, place])
    np.testing.assert_array_equal(after.roots.count[:, place], before.roots.count[:, place])
    assert (after.roots.count[:, 1 - place] == before.roots.count[:, 1 - place] + 50).all()


def test_the_states_given_to_a_student_stay_what_they_were():
    student = linear()
    state = taught(student)
    kept = copy_tree(state)
    for rows, chosen in batches(3, 2, seed=5):
        student.learn(state, rows, chosen)
    for name in ("gram", "moment", "weights"):
        for part, was in zip(getattr(state, name), getattr(kept, name), strict=True):
            np.testing.assert_array_equal(part, was)
    np.testing.assert_array_equal(state.variance, kept.variance)


def test_roots_are_fitted_by_their_mean_and_variance():
    values = counter_rng.normal(counter_rng.make_keys(0, 2), (400, 1)) * 3 + 2
    fit = roots.empty(2, 1)
    for part in np.split(values, 8, axis=1):
        fit = roots.learn(fit, part, np.ones((2, 1), bool))
    np.testing.assert_allclose(fit.mean[:, 0], values.mean(axis=1)[:, 0])
    # One imagined row of variance 1 among 401.
    expected = (values.var(axis=1)[:, 0] * 400 + 1) / 401
    np.testing.assert_allclose(fit.variance[:, 0], expected)


def test_the_divergence_of_roots_is_that_of_two_gaussians():
    # KL(N(0, 1) || N(2, 1)) = (2 - 0)^2 / 2 = 2, and nothing for the same Gaussian.
    nothing = roots.empty(1, 2)
    found = roots.divergence(nothing, np.array([[0.0, 2.0]]), np.ones((1, 2)))
    np.testing.assert_allclose(found, [[0.0, 2.0]])


def test_excess_risk_agrees_with_monte_carlo():
    student = linear()
    state = taught(student, steps=20)
    found = compute_risk(student, state, make_truth(MODEL, student))
    points = 8 * counter_rng.uniform(counter_rng.make_keys(3, 1), (20_000, 5)) - 4
    learnt = student.predict(state, np.repeat(points, 3, axis=0))
    for slot, node in enumerate(student.slots.tolist()):
        squares = np.square(learnt[:, slot] - MODEL.mechanism(np.array([node]), points))
        error = squares.std(axis=1) / np.sqrt(20_000)
        gap = np.abs(squares.mean(axis=1) - found.node_excess[:, node])
        # The probe points are 512, the Monte Carlo ones 20,000: 5 standard errors and 5 %.
        assert (gap < 5 * error + 0.05 * squares.mean(axis=1)).all()


def test_the_truth_has_excess_risk_zero():
    student = MlpStudent(PARENTS, probe_points(5), capacity=1)
    means = true_means(MODEL, student.slots, probe_points(5))

    class Perfect(MlpStudent):
        def predict(self, state, x):
            return means

        def roots(self, state):
            # So many rows of the true mean and variance that the imagined one does not count.
            n, mean = 1e12, np.array([[0.0, 2.0]])
            return roots.Roots(np.full((1, 2), n), n * mean, n * (1 + mean**2))

    perfect = Perfect(PARENTS, probe_points(5), capacity=1)
    found = compute_risk(perfect, None, make_truth(MODEL, perfect))
    assert found.excess == pytest.approx(0, abs=1e-6)
    # 0.2 x (1 + 1) for the roots' own variance and 3 x 0.01 of noise: "total < 0.43" cannot be.
    assert found.postmortem == pytest.approx(0.43)


def test_excess_risk_is_capped():
    student = linear()
    found = compute_risk(
        student, student.reset(counter_rng.make_keys(0, 2), MODEL), make_truth(MODEL, student)
    )
    assert (found.excess == CAP).all()


def test_the_networks_learn_and_leave_a_set_node_alone():
    student = MlpStudent(PARENTS, probe_points(5), 50, MlpParams(hidden=16, buffer=6))
    state = student.reset(counter_rng.make_keys(0, 2), MODEL)
    of = make_truth(MODEL, student)
    before = compute_risk(student, state, of).node_excess
    for rows, chosen in batches(2, 5):
        state = student.learn(state, rows, chosen)
    assert (compute_risk(student, state, of).node_excess[:, 1] < before[:, 1] / 2).all()
    fresh = student.reset(counter_rng.make_keys(0, 2), MODEL)
    chosen = np.arange(5) == np.full((2, 1), 1)
    rows = MODEL.sample(
        counter_rng.normal(counter_rng.make_keys(1, 2), (50, 5)), chosen, chosen * 2.0
    )
    after = student.learn(fresh, rows, chosen)
    np.testing.assert_array_equal(after.layers[0][:, 0], fresh.layers[0][:, 0])
    assert (after.layers[0][:, 1] != fresh.layers[0][:, 1]).any()


def test_networks_learn_the_same_alone_and_in_a_batch():
    student = MlpStudent(PARENTS, probe_points(5), 50, MlpParams(hidden=8, buffer=3, epochs=20))
    many, one = (
        student.reset(counter_rng.make_keys(0, 3), MODEL),
        student.reset(counter_rng.make_keys(2, 1), MODEL),
    )
    for rows, chosen in batches(3, 2):
        many, one = student.learn(many, rows, chosen), student.learn(one, rows[2:], chosen[2:])
    for a, b in zip(many.layers, one.layers, strict=True):
        np.testing.assert_allclose(a[2:], b, rtol=1e-5, atol=1e-6)
