# pyright: basic
"""The Parquet table of node losses."""

import pyarrow.parquet as pq
from synthetic_sweep import NODES, job_row, result

from tune_jobs.run_log.events import TrialRow
from tune_jobs.run_log.node_losses import write_node_losses


def test_each_trial_iteration_and_node_is_a_row(tmp_path):
    losses = [0.5, 0.25, 1.0, 0.0, 2.0]
    rows = [
        job_row(),
        TrialRow(trial="03", config={}),
        result("03", 1, 0.1, metrics={"node_losses": losses}),
        result("03", 2, 0.1),  # no episode ended
        result("03", 3, 0.1, metrics={"node_losses": losses[::-1]}),
    ]
    write_node_losses(rows, tmp_path / "node_losses.parquet")
    table = pq.read_table(tmp_path / "node_losses.parquet").to_pylist()
    assert [row["node"] for row in table] == NODES * 2
    assert [row["loss"] for row in table] == losses + losses[::-1]
    assert {row["trial"] for row in table} == {"03"}
    assert [row["iteration"] for row in table] == [1] * 5 + [3] * 5
    assert table[-1]["env_steps"] == 3 * 2048


def test_a_run_without_node_losses_writes_no_file(tmp_path):
    rows = [job_row(), TrialRow(trial="00", config={}), result("00", 1, 0.1)]
    write_node_losses(rows, tmp_path / "node_losses.parquet")
    assert not list(tmp_path.iterdir())
