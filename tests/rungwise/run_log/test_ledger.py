# pyright: basic, reportArgumentType=false
# pyright: reportOptionalSubscript=false, reportOptionalMemberAccess=false
"""The ledger of a run: every column worked out by hand, and sums that are those of the outcome."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from paths import ROOT
from synthetic_sweep import end, job_row, result

from rungwise.run_log.events import DecisionRow
from rungwise.run_log.ledger import SCHEMA, build_ledger, write_ledger
from rungwise.run_log.ledger_summary import RUN, SAVED
from rungwise.run_log.outcome import Outcome

JOB = job_row(trials=3, cpus_per_trial=2.0, gpus_per_trial=0.5, iterations=27)


def decision(**changed):
    fields = {
        "trial": "00", "iteration": 9, "rung": 9, "score": 0.5, "cut": None, "rank": 1, "of": 1,
        "keep": True, "waits": False, "sentence": "said",
    }  # fmt: skip
    return DecisionRow(**fields | changed)


def test_the_columns_and_their_types_are_those_of_version_4():
    texts = {"trial", "kind", "reason", "sentence"}
    whole = {"iteration", "iterations_run", "iterations_not_run", "iterations_saved"}
    whole |= {"iterations_observed", "env_steps", "env_steps_budget"}
    for field in SCHEMA:
        expected = (
            pa.string() if field.name in texts else pa.int64() if field.name in whole else None
        )
        assert field.type == (expected or pa.float64()), field.name
        always = {"trial", "kind", "iteration", "sentence"}
        assert field.nullable == (field.name not in always), field.name
    assert len(SCHEMA) == 19
    assert SCHEMA.metadata[b"rungwise_ledger_version"] == b"4"
    assert b"estimated" in SCHEMA.metadata[b"seconds_saved"]


def test_the_last_row_of_a_trial_has_all_its_costs():
    rows = [JOB, result("00", 9, 0.3, seconds=18.0, env_steps=900), end("00", 9, "asha", "why")]
    (row,) = build_ledger(rows).to_pylist()
    assert row == {
        "trial": "00",
        "kind": "end",
        "iteration": 9,
        "reason": "asha",
        "score": 0.3,
        "iterations_run": 9,
        "iterations_not_run": 18,
        "iterations_saved": 18,
        "iterations_observed": 0,
        "env_steps": 900,
        "env_steps_budget": None,
        "env_steps_saved": 1800.0,
        "seconds": 18.0,
        "seconds_saved": 36.0,
        "cpu_seconds": 36.0,
        "cpu_seconds_saved": 72.0,
        "gpu_seconds": 9.0,
        "gpu_seconds_saved": 18.0,
        "sentence": "why",
    }


def test_a_trial_that_ended_before_its_first_result_has_no_pace():
    (row,) = build_ledger([JOB, end("00", 0, "health", "doomed")]).to_pylist()
    assert (row["iterations_saved"], row["seconds"]) == (27, 0.0)
    saved = ("env_steps_saved", "seconds_saved", "cpu_seconds_saved", "gpu_seconds_saved")
    assert [row[name] for name in saved] == [None] * 4


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({}, "keep"), ({"waits": True}, "wait"), ({"keep": False}, "stop")],
)
def test_a_decision_has_its_reason_and_no_costs(changed, reason):
    rows = [JOB, result("00", 9, 0.3), decision(**changed)]
    first, last = build_ledger(rows).to_pylist()
    assert (first["kind"], first["reason"], first["score"]) == ("decision", reason, 0.5)
    assert (first["trial"], first["iteration"], first["sentence"]) == ("00", 9, "said")
    assert all(first[name] is None for name in (*RUN, *SAVED, "iterations_not_run"))
    assert (last["kind"], last["reason"], last["iterations_saved"]) == ("open", None, 0)


@pytest.fixture
def ledger(tmp_path, sweep_rows):
    write_ledger(sweep_rows, tmp_path / "ledger.parquet", 0)
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


def test_a_reader_never_sees_half_a_ledger(tmp_path, sweep_rows, monkeypatch):
    """The disk fills up, or the driver is killed, in the middle of the file."""
    path = tmp_path / "ledger.parquet"
    write_ledger(sweep_rows, path, 0)
    before = path.read_bytes()

    def cut_off(table, where):
        Path(where).write_bytes(before[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", cut_off)
    with pytest.raises(OSError, match="No space"):
        write_ledger(sweep_rows, path, 0)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.parquet"]


def test_the_sql_of_the_documentation_works_as_written(tmp_path, sweep_rows, monkeypatch):
    sql = re.search(r"```sql\n(.*?)```", (ROOT / "docs" / "tuning.md").read_text(), re.DOTALL)
    for run in ("one", "two"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        write_ledger(sweep_rows, tmp_path / "runs" / run / "ledger.parquet", 0)
    monkeypatch.chdir(tmp_path)
    found = {reason: (run, saved) for reason, run, saved in duckdb.sql(sql[1]).fetchall() if run}
    outcome = Outcome.from_rows(sweep_rows)
    assert {reason: saved for reason, (_, saved) in found.items() if saved} == {
        reason: 2 * saved for reason, saved in outcome.iterations_saved_by_reason.items()
    }
    assert sum(run for run, _ in found.values()) == 2 * outcome.iterations_run
