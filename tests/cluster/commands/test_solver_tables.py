# pyright: basic
"""Edge selection for its users: beside PyAMG's solvers, on a matrix of one's own, as PyAMG code."""

from typing import Any

import numpy as np
import pytest
from command_line import answer, call, rungwise
from scipy import io, sparse

pytest.importorskip("pyamg")

from envs.edges import instances
from envs.edges.solvers import SOLVERS

pytestmark = pytest.mark.system

FIGURES = {"work_ratio", "iterations", "work_per_digit", "operator_complexity", "setup_seconds"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run and the checkpoint of a policy that has learnt next to nothing."""
    folder = tmp_path_factory.mktemp("edges")
    done = rungwise(
        *("train", "edges", "--env-kwargs.size", 8, "--iterations", 1, "--settings.num-envs", 4),
        *("--settings.minibatch-size", 8, "--evaluation-episodes", 4, "--cpus", 1),
        *("--out", "run", "--json"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, folder / answer(done)["checkpoint"]


def test_the_report_shows_the_chosen_edges(trained):
    folder, _ = trained
    page = (folder / "run" / "report.html").read_text()
    assert page.count("<svg role") == 2 and 'class="edge cut"' in page
    assert "25 of 64 nodes" in page and "edges chosen" in page


def test_a_policy_stands_beside_pyamgs_solvers_and_case_by_case(trained, tmp_path):
    _, checkpoint = trained
    told = answer(call("evaluate", checkpoint, "--episodes", 6, "--json", cwd=tmp_path))
    # Trained on few matrices and on predictions; judged on others, solved to the end.
    assert told["env_kwargs"] == {"instances": 0, "solve": True}
    assert told["baselines"]["sa_default"]["work_ratio"] == pytest.approx(1)
    for name in SOLVERS:
        assert set(told["baselines"][name]) >= FIGURES
        assert told["baselines"][name]["setup_seconds"] > 0
    assert set(told["policy"]) >= FIGURES and told["policy"]["setup_seconds"] > 0
    assert sum(case["episodes"] for case in told["cases"]) == 6
    logs = [case["episodes"] * np.log(case["work_ratio"]["sa_evolution"]) for case in told["cases"]]
    whole = told["baselines"]["sa_evolution"]["work_ratio"]
    assert np.exp(sum(logs) / 6) == pytest.approx(whole)


def test_the_advice_for_a_custom_matrix_is_code_that_runs(trained, tmp_path):
    _, checkpoint = trained
    A: Any = sparse.csr_matrix(instances.anisotropic(12, 0.4, 0.01))
    io.mmwrite(tmp_path / "own.mtx", A, precision=17)
    told = answer(call("evaluate", checkpoint, "--matrix", "own.mtx", "--json", cwd=tmp_path))
    own = told["matrix"]
    assert (own["nodes"], own["edges"]) == (144, 1012)
    assert told["episodes"] == 1 and own["best_solver"] in SOLVERS
    assert own["saved"] == pytest.approx(1 - told["baselines"]["greedy"]["work_ratio"])
    names: Any = {"A": A, "pyamg": __import__("pyamg")}
    exec(own["call"], names)
    assert names["C"].nnz - A.shape[0] >= own["selected"] > 0
    found = names["solver"].operator_complexity()
    measured = told["baselines"]["greedy"]["operator_complexity"]
    assert found == pytest.approx(measured, rel=0.02)


def test_a_matrix_that_cannot_be_solved_is_refused_in_a_sentence(trained, tmp_path):
    io.mmwrite(tmp_path / "own.mtx", np.array([[2.0, 1], [0, 2]]))
    done = call("evaluate", trained[1], "--matrix", "own.mtx", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert "own.mtx is not symmetric" in done.stderr
