# pyright: basic
"""Roots: their fit as a Gaussian, and its divergence from the truth."""

import numpy as np

from envs.causal.learning import roots
from envs.contract import counter_rng


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
