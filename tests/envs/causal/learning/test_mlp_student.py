# pyright: basic
"""The student of neural networks: what teaches a node, and its independence of the batch."""

import numpy as np
from causal_students import MODEL, PARENTS, batches

from envs.causal.learning.metric import compute_risk, make_truth, probe_points
from envs.causal.learning.mlp_student import MlpParams, MlpStudent
from envs.contract import counter_rng


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
