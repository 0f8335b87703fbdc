"""The ledger holds every decision and its sums are those of the outcome."""

# pyright: basic, reportOptionalSubscript=false, reportOptionalMemberAccess=false
import re
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from paths import ROOT
from synthetic_sweep import end, job_row, result

from envs.validation import InputError
from tune_jobs.run_log.events import JobEndRow
from tune_jobs.run_log.ledger import SCHEMA, write_ledger
from tune_jobs.run_log.outcome import Outcome

TUNING = ROOT / "docs" / "tuning.md"


@pytest.fixture
def ledger(tmp_path, sweep_rows):
    write_ledger(sweep_rows, tmp_path / "ledger.parquet")
    return pq.read_table(tmp_path / "ledger.parquet")


def sum_of(ledger, column):
    return sum(value for value in ledger[column].to_pylist() if value is not None)


def test_its_sums_are_those_of_the_outcome(ledger, sweep_rows):
    outcome = Outcome.from_rows(sweep_rows)
    assert sum_of(ledger, "iterations_saved") / outcome.budget == outcome.compute_saved
    assert sum_of(ledger, "iterations_run") == outcome.iterations_run
    by_reason = ledger.group_by("reason").aggregate([("iterations_saved", "sum")]).to_pylist()
    saved = {row["reason"]: row["iterations_saved_sum"] for row in by_reason}
    assert {
        reason: saved[reason] for reason in outcome.iterations_saved_by_reason
    } == outcome.iterations_saved_by_reason


def test_it_has_a_row_for_each_decision_and_each_trial(ledger, sweep_rows):
    decisions = [row for row in sweep_rows if row.kind == "decision"]
    kinds = ledger["kind"].to_pylist()
    assert kinds.count("decision") == len(decisions)
    assert kinds.count("end") == 16
    assert {row.sentence for row in decisions} <= set(ledger["sentence"].to_pylist())


def test_its_columns_are_typed_and_its_estimates_named(ledger):
    assert ledger.schema.equals(SCHEMA)
    assert ledger.schema.metadata[b"rungwise_ledger_version"] == b"2"
    assert b"estimated" in ledger.schema.metadata[b"seconds_saved"]


def test_seconds_are_estimated_by_the_own_pace_of_a_trial(tmp_path):
    rows = [job_row(trials=1, gpus_per_trial=0.5), result("01", 9, 0.3, seconds=18.0)]
    write_ledger([*rows, end("01", 9, "asha")], tmp_path / "ledger.parquet")
    (row,) = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert (row["seconds"], row["seconds_saved"]) == (18.0, 36.0)
    assert (row["gpu_seconds"], row["gpu_seconds_saved"]) == (9.0, 18.0)


def test_interrupted_trial_saves_nothing_and_running_one_is_open(tmp_path):
    path = tmp_path / "ledger.parquet"
    rows = [job_row(), result("01", 9, float("nan"))]
    write_ledger(rows, path)
    assert pq.read_table(path)["kind"].to_pylist() == ["open"]
    write_ledger([*rows, JobEndRow(reason="interrupted", seconds=1.0)], path)
    (row,) = pq.read_table(path).to_pylist()
    assert (row["reason"], row["iterations_not_run"], row["iterations_saved"]) == (
        "interrupted",
        18,
        0,
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, sweep_rows):
    path = tmp_path / "ledger.parquet"
    write_ledger(sweep_rows, path)
    before = path.read_bytes()
    with pytest.raises(InputError):
        write_ledger([], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.parquet"]


def test_a_reader_never_sees_half_a_ledger(tmp_path, sweep_rows, monkeypatch):
    """The disk fills up, or the driver is killed, in the middle of the file."""
    path = tmp_path / "ledger.parquet"
    write_ledger(sweep_rows, path)
    before = path.read_bytes()

    def cut_off(table, where):
        Path(where).write_bytes(before[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", cut_off)
    with pytest.raises(OSError, match="No space"):
        write_ledger(sweep_rows, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.parquet"]


def test_the_sql_of_the_documentation_works_as_written(tmp_path, sweep_rows, monkeypatch):
    sql = re.search(r"```sql\n(.*?)```", TUNING.read_text(), re.DOTALL)
    for run in ("one", "two"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        write_ledger(sweep_rows, tmp_path / "runs" / run / "ledger.parquet")
    monkeypatch.chdir(tmp_path)
    found = {reason: (run, saved) for reason, run, saved in duckdb.sql(sql[1]).fetchall() if run}
    outcome = Outcome.from_rows(sweep_rows)
    assert {reason: saved for reason, (_, saved) in found.items() if saved} == {
        reason: 2 * saved for reason, saved in outcome.iterations_saved_by_reason.items()
    }
    assert sum(run for run, _ in found.values()) == 2 * outcome.iterations_run
