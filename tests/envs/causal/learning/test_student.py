# pyright: basic
"""The students: exact statistics, and what must never teach a node."""

import numpy as np
import pytest
from causal_students import MODEL, batches, linear, taught

from envs.contract import counter_rng
from envs.contract.pytree import copy_tree


@pytest.mark.parametrize("node", [1, 2, 4])
def test_rows_with_a_node_set_never_change_its_parameters(node):
    student = linear()
    before = taught(student)
    slot = student.slots.tolist().index(node)
    for step in range(3):
        chosen = np.arange(5) == np.full((3, 1), node)
        noise = counter_rng.normal(counter_rng.make_keys(step, 3), (50, 5))
        after = student.learn(before, MODEL.sample(noise, chosen, chosen * 2.0), chosen)
        for name in ("sums", "weights"):
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
    for name in ("sums", "weights"):
        for part, was in zip(getattr(state, name), getattr(kept, name), strict=True):
            np.testing.assert_array_equal(part, was)
    np.testing.assert_array_equal(state.variance, kept.variance)
