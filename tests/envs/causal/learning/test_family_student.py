# pyright: basic
"""CausalLearning over families: every copy its own model, and no copy knows of the others."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from causal_families import actions, world

from envs.causal.learning.family_student import PARTS, FamilyStudent
from envs.causal.learning.linear import REACH, additive_features, joint_features
from envs.causal.learning.metric import compute_risk, make_truth, probe_points
from envs.causal.learning.observation import FEATURES, observe
from envs.causal.learning.roots import Roots
from envs.contract import counter_rng
from envs.contract.pytree import take


def play(made, copies=8, steps=3, seed=0) -> Any:
    """The last of some steps of random actions."""
    keys = counter_rng.make_keys(seed, copies)
    state, _ = made.reset(keys)
    step = None
    for t in range(steps):
        step = made.step(state, actions(state, counter_rng.fold(keys, t)))
        state = step.state
    return step


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("family", ["random", "erdos_renyi", "linear_chain"])
def test_a_copy_lives_the_same_alone_and_beside_others(family):
    made = world(scm=family, observe_every=2)
    many, alone = play(made, copies=40), play(made, copies=1, seed=33)
    there = np.array([33])
    assert_same(take(many.observation, there), alone.observation)
    assert_same(take(many.info, there), alone.info)
    np.testing.assert_array_equal(many.reward[33:34], alone.reward)


def renumbered(state, new):
    """The same state with node i of every copy called new[i]."""
    old = np.argsort(new)
    problem, scm = state.drawn, state.drawn.scm
    by_node = {
        f.name: getattr(scm, f.name)[:, old]
        for f in dataclasses.fields(scm)
        if f.name not in ("order", "inputs")
    }
    other = dataclasses.replace(
        scm, order=new[scm.order], inputs=new[scm.inputs[:, old]], **by_node
    )
    return other, dataclasses.replace(
        problem, scm=other, parents=other.parents, settable=problem.settable[:, old]
    )


def test_renumbering_nodes_renumbers_the_observation_only():
    made, keys, new = world(), counter_rng.make_keys(3, 6), np.array([3, 7, 0, 5, 1, 6, 2, 4])
    state, _ = made.reset(keys)
    scm, problem = renumbered(state, new)
    problem = dataclasses.replace(problem, truth=make_truth(scm, made.student))
    fresh = made.student.reset(keys, scm)
    other = dataclasses.replace(
        state, drawn=problem, student=fresh, risk=compute_risk(made.student, fresh, problem.truth)
    )
    for t in range(4):
        action = actions(state, counter_rng.fold(keys, t))
        noise = counter_rng.normal(counter_rng.fold(keys, 100 + t), (50, 8))
        rows = state.drawn.scm.sample(noise, *settings(action, 8))
        also = scm.sample(noise[:, :, np.argsort(new)], *settings(renamed(action, new), 8))
        np.testing.assert_allclose(also[:, :, new], rows, rtol=1e-5, atol=1e-5)
        state, other = (
            learnt(made, s, x, a)
            for s, x, a in (
                (state, rows, action),
                (other, rows[:, :, np.argsort(new)], renamed(action, new)),
            )
        )
    seen, renumbered_seen = observe(made, state), observe(made, other)
    for name in ("nodes", "mask"):
        np.testing.assert_allclose(renumbered_seen[name][:, new], seen[name], atol=1e-5)
    np.testing.assert_array_equal(renumbered_seen["parents"][:, new][:, :, new], seen["parents"])
    np.testing.assert_allclose(other.risk.node_excess[:, new], state.risk.node_excess, rtol=1e-6)


def renamed(action, new):
    return {"choice": new[action["choice"]], "value": action["value"]}


def settings(action, n):
    chosen = np.arange(n) == action["choice"][:, None]
    return chosen, chosen * 5 * action["value"][:, None]


def learnt(made, state, rows, action):
    """The state after a step in which these rows were seen."""
    student = made.student.learn(state.student, rows, settings(action, rows.shape[2])[0])
    nothing = np.zeros(len(rows), bool)
    return made._advance(state, student, action["choice"], action["value"], nothing)


def naive(scm, copy, node, rows, chosen, probes, kind, ridge=1e-3):
    """Means and variance at the probe points of one node of one copy, by ridge regression."""
    position = np.argsort(scm.order[copy])
    parents = sorted(np.flatnonzero(scm.parents[copy, node]), key=lambda i: position[i])
    affine = kind(len(parents), 32, 1.8)
    count = affine.shape[1]

    def features(x):
        return np.sqrt(2 / count) * np.cos(x @ affine[:-1] + affine[-1])

    x = np.concatenate([r[copy] for r, c in zip(rows, chosen, strict=True) if not c[copy, node]])
    x = x[np.abs(x[:, parents]).max(axis=1) <= REACH].astype(float)
    phi, there = features(x[:, parents]), features(probes[:, : len(parents)])
    gram = phi.T @ phi + ridge * np.eye(count)
    means = there @ np.linalg.solve(gram, phi.T @ x[:, node])
    return parents, means, ((there @ np.linalg.inv(gram)) * there).sum(axis=1)


@pytest.mark.parametrize("interactions", [False, True])
@pytest.mark.parametrize("family", ["random", "erdos_renyi"])
def test_the_student_equals_one_regression_per_node_and_copy(family, interactions):
    made, keys = world(scm=family, interactions=interactions), counter_rng.make_keys(0, 5)
    state, _ = made.reset(keys)
    kind = joint_features if interactions else additive_features
    scm, student, known = state.drawn.scm, made.student, state.student
    probes = student._probes
    rows, chosen = [], []
    for t in range(12):
        set_nodes, values = settings(actions(state, counter_rng.fold(keys, t)), 8)
        chosen.append(set_nodes)
        noise = counter_rng.normal(counter_rng.fold(keys, 50 + t), (50, 8))
        rows.append(scm.sample(noise, set_nodes, values))
        known = student.learn(known, rows[-1], set_nodes)
    excess = compute_risk(student, known, state.drawn.truth).node_excess
    checked = 0
    for copy, node in np.argwhere(scm.parents.any(axis=2)):
        parents, means, variance = naive(scm, copy, node, rows, chosen, probes, kind)
        x = np.zeros((5, len(probes), 8))
        x[copy][:, parents] = probes[:, : len(parents)]
        np.testing.assert_allclose(
            student.predict(known, x)[copy, node], means, rtol=2e-3, atol=2e-3
        )
        assert known.variance[copy, node] == pytest.approx(variance.mean(), rel=2e-3)
        f = take(scm, np.array([copy])).mechanism(np.array([node]), x[copy : copy + 1])[0]
        expected = np.mean(np.square(means - f))
        assert excess[copy, node] == pytest.approx(min(expected, 30), rel=0.02, abs=1e-6)
        checked += 1
    assert checked > 10


def test_the_risk_of_the_truth_is_zero_and_fillers_have_none():
    made = world()
    state, _ = made.reset(counter_rng.make_keys(0, 30))
    scm, of = state.drawn.scm, state.drawn.truth

    class Perfect(FamilyStudent):
        def squared_error(self, state, target):
            # The truth is reached up to what no combination of the features reaches.
            return np.square(target[:, :, -1])

        def roots(self, state):
            many = np.full(of.mean.shape, 1e12)
            return Roots(many, many * of.mean, many * (of.deviation**2 + of.mean**2))

    perfect = Perfect(8, lambda p: additive_features(p, 32, 1.8), probe_points(3), 1e-3)
    found = compute_risk(perfect, state.student, of).node_excess
    assert found.max() < 1e-2
    assert (found[~scm.real] == 0).all()
    before = state.risk.node_excess
    assert (before[~scm.real] == 0).all() and (before[of.is_effect] > 0).all()


def test_fillers_cannot_be_set_and_change_nothing():
    made = world(smallest=4, largest=8)
    state, first = made.reset(counter_rng.make_keys(0, 20))
    real = state.drawn.scm.real
    assert not real.all()
    for seen in (first, play(made, copies=20).observation):
        np.testing.assert_array_equal(seen["mask"], real)
        assert (seen["nodes"][~real] == 0).all()
        parents = seen["parents"]
        assert (parents[~real] == 0).all() and (np.swapaxes(parents, 1, 2)[~real] == 0).all()
    # Whoever chooses one all the same sets nothing, whatever the value.
    filler = np.argmin(real, axis=1)
    steps = [
        made.step(state, {"choice": filler, "value": np.full(20, value)}) for value in (-1.0, 1.0)
    ]
    short = ~real.all(axis=1)
    for name in ("excess_risk", "node_excess"):
        one, other = (step.info[name][short] for step in steps)
        np.testing.assert_array_equal(one, other)
    gained = steps[0].state.student.roots.count[short]
    assert (gained[real[short]] == 50).all()


def test_the_sizes_of_models_can_be_chosen():
    made = world(smallest=5, largest=5)
    assert made.observation_space["nodes"].shape == (5, FEATURES + PARTS)
    assert made.choice_names == tuple(f"node {i}" for i in range(1, 6))
    assert not play(made, steps=9).terminated.any()
    assert play(made, steps=10).terminated.all()


def test_episodes_can_end_early_and_observational_rows_count():
    made = world(stop_when_learnt=True, patience=1, tolerance=100.0, observe_every=2)
    assert play(made, steps=1).terminated.all()
    step = play(world(observe_every=2), steps=5)
    assert set(step.info["rows_observational"].tolist()) == {400}
    assert set(step.info["rows"].tolist()) == {650}
    assert (step.info["excess_at_start"] > step.info["excess_risk"]).mean() > 0.5
