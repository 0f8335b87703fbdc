# pyright: basic
"""The comparison with solvers: cases of matrices, and arguments that make it fair."""

import numpy as np
import pytest

pytest.importorskip("pyamg")

from envs.edges import comparison
from envs.edges.params import Params
from envs.edges.world import EdgeSelection

PARAMETERS = {"epsilon": np.array([0.002, 0.3, 0.002]), "theta": np.array([5.0, 40.0, 7.0])}
EPISODES = {
    "policy": {"work_ratio": np.array([0.5, 1.0, 2.0])},
    "sa_default": {"work_ratio": np.ones(3)},
}


def test_work_ratios_are_geometric_means_by_case():
    strong, weak = comparison.compute_work_ratio_by_case(PARAMETERS, EPISODES)
    assert strong["episodes"] == 2 and strong["theta"] == [0.0, 15.0]
    assert strong["work_ratio"] == pytest.approx({"policy": 1.0, "sa_default": 1.0})
    assert weak["epsilon"] == [0.3, 0.3] and weak["work_ratio"]["policy"] == pytest.approx(1.0)


def test_the_table_of_cases_leaves_the_sampled_policy_out():
    details = comparison.describe_cases(PARAMETERS, EPISODES)
    assert details.columns == ("epsilon", "angle", "matrices", "sa default")
    assert [row[2] for row in details.rows] == ["2", "1"]


def test_matrices_without_parameters_have_no_cases():
    assert comparison.describe_cases({}, EPISODES).answer == {}


def test_a_fair_comparison_draws_new_matrices_and_solves_them():
    assert EdgeSelection.make_case_kwargs("", {}) == {"instances": 0, "solve": True}
    assert EdgeSelection.make_case_kwargs("a.mtx", {})["matrix"] == "a.mtx"


@pytest.mark.parametrize("curriculum", [{"sizes": (8,)}, {"epsilons": (0.1,)}])
def test_a_comparison_on_a_matrix_leaves_the_curriculum_out(curriculum):
    Params(**curriculum | EdgeSelection.make_case_kwargs("a.mtx", {}))
