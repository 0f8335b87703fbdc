# pyright: basic
"""The problem of an episode of CausalOptimisation: its optimum, by formula and by a search."""

import numpy as np
import pytest
from driven_episodes import play

from envs.causal.models.named import load_model
from envs.causal.models.scm import Scm
from envs.causal.optimisation import baselines as baselines
from envs.causal.optimisation.params import Params
from envs.causal.optimisation.problem import noise_rows, simulate_target, solve_problem
from envs.causal.optimisation.world import CausalOptimisation
from envs.contract import counter_rng
from envs.contract.pytree import take


def test_the_optimum_of_a_linear_model_is_exact():
    """In closed form: do(x_i) moves the target by the sum over paths, (I - W)^-1."""
    world = CausalOptimisation(Params(scm="linear_random", smallest=4, largest=7))
    problem = world.reset(counter_rng.make_keys(0, 32))[0].problem
    for b in range(32):
        scm, target, n = take(problem.scm, np.array([b])), problem.target[b], 7
        weights = np.zeros((n, n))
        for j in range(n):
            np.add.at(weights[j], scm.inputs[0, j], scm.weights[0, j, :, 0])
        total = np.linalg.inv(np.eye(n) - weights)[target]
        best = min(-5 * abs(total[i]) for i in range(n) if problem.allowed[b, i])
        assert problem.base[b] == pytest.approx(0, abs=1e-5)
        assert problem.optimum[b] == pytest.approx(best, rel=1e-5)


def test_the_optimum_of_a_hard_model_is_that_of_many_rows():
    world = CausalOptimisation(Params(scm="hard_offset"))
    problem = world.reset(counter_rng.make_keys(0, 6))[0].problem
    noise, n = noise_rows(1024, world.source.nodes), len(world.choice_names)
    every = np.arange(6)
    lowest = np.full(6, np.inf)
    for node in range(n):
        chosen = np.zeros((6, world.source.nodes), np.bool_)
        chosen[:, node] = problem.allowed[:, node]
        for value in np.linspace(-5, 5, 21):
            values = np.where(chosen, value, 0.0)
            found = simulate_target(problem.scm, problem.target, chosen, values, noise).mean(axis=1)
            lowest = np.where(chosen.any(axis=1), np.minimum(lowest, found), lowest)
    scale = np.maximum(problem.base - lowest, problem.spread)
    assert (np.abs(problem.optimum - lowest) / scale).max() < 0.06
    assert problem.allowed[every, problem.best_node].all()


def test_published_models_have_the_optima_of_the_literature():
    _, step, _ = play(baselines.oracle, copies=2, scm="toy_graph", precision=1024, rows=100)
    np.testing.assert_allclose(step.info["incumbent"], -2.1718, rtol=0.02)


def test_models_that_are_no_sums_are_solved_too():
    """A grid in one pass and the plain way agree."""
    scm = load_model("fixed-chain-3").scm
    target, allowed, noise = np.array([2]), np.array([[True, True, False]]), noise_rows(64, 3)
    quick, plain = (solve_problem(one, target, allowed, noise, 21, 8) for one in (scm, Plain(scm)))
    assert quick.optimum == pytest.approx(plain.optimum, rel=1e-5)
    assert quick.best_node == plain.best_node == [0]


class Plain(Scm):
    """A model of another class than the families have."""

    def __init__(self, scm):
        super().__init__(scm.order, scm.noise, scm.low, scm.high, scm.real)
        self.scm = scm

    @property
    def parents(self):
        return self.scm.parents

    def mechanism(self, node, x):
        return self.scm.mechanism(node, x)
