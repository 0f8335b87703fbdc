# pyright: basic, reportArgumentType=false
"""The excess risk of a student: against Monte Carlo, at the truth, and its cap."""

import numpy as np
import pytest
from causal_students import MODEL, PARENTS, linear, taught

from envs.causal.learning import roots
from envs.causal.learning.metric import CAP, compute_risk, make_truth, probe_points
from envs.causal.learning.mlp_student import MlpStudent
from envs.causal.learning.student import true_means
from envs.contract import counter_rng


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
