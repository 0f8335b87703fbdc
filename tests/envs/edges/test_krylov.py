# pyright: basic
"""Preconditioned conjugate gradients, against dense algebra."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.contract import counter_rng
from envs.edges import instances, krylov

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


def test_quality_is_the_mean_early_rate_and_a_predicted_end():
    matrix = instances.draw_matrix("variable", 6, KEY)
    sides = np.random.default_rng(0).normal(size=(3, 36))
    norms = [krylov.residuals(matrix, b, lambda r: r, 500) for b in sides]
    rate = np.mean([np.log(n[0] / n[5]) / 5 for n in norms])
    solved = krylov.quality(matrix, sides, lambda r: r)
    assert solved.reduction == pytest.approx(rate)
    assert solved.iterations == len(norms[0]) - 1
    predicted = krylov.quality(matrix, sides, lambda r: r, solve=False)
    assert predicted.reduction == pytest.approx(rate)
    assert predicted.iterations == pytest.approx(np.log(1e8) / rate)
    indefinite = krylov.quality(matrix, sides, lambda r: -r)
    assert np.isnan(indefinite.reduction) and indefinite.iterations == krylov.MOST
