# pyright: basic
"""Random Fourier features, their directions, and the posterior of a regression on them."""

import numpy as np
import pytest
from causal_students import MODEL, PARENTS, batches, linear, taught

from envs.causal.learning.linear import REACH, compute_sums, fit, triangular_inverse
from envs.causal.learning.metric import compute_risk, make_truth, probe_points
from envs.causal.learning.student import BayesLinear
from envs.contract import counter_rng


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


def test_sums_and_posteriors_equal_those_of_a_loop():
    phi = counter_rng.normal(counter_rng.make_keys(0, 4), (50, 12))
    values = counter_rng.normal(counter_rng.make_keys(1, 4), (50,))
    ridge, energy = 0.1, np.linspace(0, 1, 12)
    sums = compute_sums(phi, values)
    means, variances, factor = fit(sums + ridge * np.eye(12, 13), energy)
    for copy in range(4):
        expected = np.zeros((12, 13))
        for x, y in zip(phi[copy].astype(float), values[copy].astype(float), strict=True):
            expected += np.outer(x, np.append(x, y))
        np.testing.assert_allclose(sums[copy], expected, atol=1e-12)
        covariance = np.linalg.inv(expected[:, :-1] + ridge * np.eye(12))
        np.testing.assert_allclose(means[copy], covariance @ expected[:, -1])
        np.testing.assert_allclose(factor[copy].T @ factor[copy], covariance)
        assert variances[copy] == pytest.approx(np.diag(covariance) @ energy)


@pytest.mark.parametrize("size", [8, 12, 16, 24, 64])
def test_triangles_are_inverted(size):
    x = counter_rng.normal(counter_rng.make_keys(0, 5), (size, size)).astype(float)
    lower = np.linalg.cholesky(x @ np.swapaxes(x, 1, 2) + np.eye(size))
    np.testing.assert_allclose(triangular_inverse(lower), np.linalg.inv(lower), atol=1e-12)


def test_rows_are_imagined_parents_first_in_whatever_order_nodes_are_stored():
    chain = np.eye(4, k=-1, dtype=bool)  # node 1 has the parent 0, and so on
    noise = counter_rng.normal(counter_rng.make_keys(1, 3), (40, 4))
    chosen, values = np.eye(4, dtype=bool)[[1, 1, 1]], np.full((3, 4), 0.5)
    rows = counter_rng.normal(counter_rng.make_keys(2, 3), (200, 4)).cumsum(-1)

    def imagine(order):
        probes = probe_points(4)[:, order]
        student = BayesLinear(chain[order][:, order], probes, 16, length_scale=1.8, ridge=1e-3)
        state = student.reset(counter_rng.make_keys(0, 3), MODEL)
        state = student.learn(state, rows[:, :, order], np.zeros((3, 4), bool))
        there = noise[:, :, order], chosen[:, order], values[:, order]
        return student.expected_variance(state, *there)

    np.testing.assert_allclose(imagine([3, 2, 1, 0]), imagine([0, 1, 2, 3]), rtol=1e-5)
