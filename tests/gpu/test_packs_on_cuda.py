# pyright: basic
"""Packs on a GPU: updates recorded as CUDA graphs are those of the CPU, also under Ray."""

import warnings

import numpy as np
import pytest
import torch
from packs import CARTPOLE, CAUSAL, PENDULUM, make_tasks

import tune_jobs
from algos.learning.cuda_graphs import record_operations
from algos.learning.packed_update import PackedUpdate
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.run_log.events import EndRow


@pytest.fixture(autouse=True)
def _no_graph_is_given_up():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_record_does_what_its_operations_do_and_leaves_the_state():
    state, seen = torch.ones(3, device="cuda"), torch.zeros(3, device="cuda")

    def double():
        state.mul_(2)
        seen.copy_(state)

    run = record_operations(double, [state])
    assert run is not double and state.tolist() == [1, 1, 1]
    run()
    run()
    assert state.tolist() == seen.tolist() == [4, 4, 4]


def test_what_cannot_be_recorded_runs_as_it_is():
    state = torch.ones(3, device="cuda")

    def wait():
        state.add_(state.sum().item())

    with pytest.warns(UserWarning, match="without a CUDA graph: they cannot be recorded"):
        run = record_operations(wait, [state])
    assert run is wait and state.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("env", "chosen"),
    [
        (CARTPOLE, {"optimiser": "adamw", "weight_decay": 0.1, "temperature": 2.0}),
        (PENDULUM, {"kl_coef": 0.1, "log_std_schedule": "linear"}),
        *((CAUSAL, {"model": "mlp", "value_distribution": v}) for v in ("bins", "beta", "normal")),
    ],
)
def test_recorded_updates_are_those_of_the_cpu(env, chosen):
    tasks = make_tasks(3, env, kl_limit=0.01, **chosen)
    update = PackedUpdate(tasks[0], 4, torch.device("cuda"))
    expected = PackedUpdate(tasks[0], 3, torch.device("cpu")).run(tasks)
    for _ in range(2):  # first while it is recorded, then from the record
        for there, here in zip(update.run(tasks), expected, strict=True):
            assert there.epochs == here.epochs
            np.testing.assert_allclose(there.after.weights, here.after.weights, 1e-3, 1e-4)
            for name, value in here.metrics[-1].items():
                assert there.metrics[-1][name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("local_ray")
def test_a_sweep_learns_in_a_pack_that_holds_the_gpu(tmp_path):
    rows = []
    job = {
        **{"env": CARTPOLE, "trials": 4, "iterations": 3, "scheduler": "none", "packs": 1},
        **{"gpus_per_trial": 1, "cpus_per_trial": 0.5, "evaluation_episodes": 0},
        "settings": {"num_envs": 8, "rollout_length": 64, "minibatch_size": 64, "hidden": [8]},
        "search": {"lr": {"loguniform": [1e-4, 1e-2]}},
    }
    tune_jobs.run(make_job(job), tmp_path / "run", on_row=rows.append)
    assert [row.reason for row in rows if isinstance(row, EndRow)] == ["budget"] * 4
