# pyright: basic
"""The Parquet tables of a world's metrics."""

import pyarrow.parquet as pq
from synthetic_sweep import NODES, job_row, result

from rungwise.report_chart import ReportChart
from rungwise.run_log.chart_tables import write_chart_tables
from rungwise.run_log.events import TrialRow

LOSSES = ReportChart("", "", {"node_losses": "loss"}, "common scale", table="node_losses").to_dict()


def test_each_trial_iteration_and_node_is_a_row(tmp_path):
    losses = [0.5, 0.25, 1.0, 0.0, 2.0]
    rows = [
        job_row(charts=[LOSSES]),
        TrialRow(trial="03", config={}),
        result("03", 1, 0.1, metrics={"node_losses": losses}),
        result("03", 2, 0.1),  # no episode ended
        result("03", 3, 0.1, metrics={"node_losses": losses[::-1]}),
    ]
    write_chart_tables(rows, tmp_path)
    table = pq.read_table(tmp_path / "node_losses.parquet").to_pylist()
    assert [row["node"] for row in table] == NODES * 2
    assert [row["loss"] for row in table] == losses + losses[::-1]
    assert {row["trial"] for row in table} == {"03"}
    assert [row["iteration"] for row in table] == [1] * 5 + [3] * 5
    assert table[-1]["env_steps"] == 3 * 2048


def test_a_run_without_values_writes_no_file(tmp_path):
    rows = [job_row(charts=[LOSSES]), TrialRow(trial="00", config={}), result("00", 1, 0.1)]
    write_chart_tables(rows, tmp_path)
    assert not list(tmp_path.iterdir())
