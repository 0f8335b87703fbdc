# pyright: basic, reportArgumentType=false
"""Every column of the ledger and of the sums over runs, worked out by hand."""

import math
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_sweep import end, job_row, result

from tune_jobs.run_log.event_log import EventLog
from tune_jobs.run_log.events import DecisionRow
from tune_jobs.run_log.ledger import SCHEMA, build_ledger, write_ledger
from tune_jobs.run_log.ledger_summary import (
    RUN,
    SAVED,
    SUMMED,
    find_runs,
    load_ledger,
    summarise_spending,
)

JOB = job_row(trials=3, cpus_per_trial=2.0, gpus_per_trial=0.5, iterations=27)


def decision(**changed):
    fields = {
        "trial": "00", "iteration": 9, "rung": 9, "score": 0.5, "cut": None, "rank": 1, "of": 1,
        "keep": True, "waits": False, "sentence": "said",
    }  # fmt: skip
    return DecisionRow(**fields | changed)


def test_the_columns_and_their_types_are_those_of_version_2():
    texts = {"trial", "kind", "reason", "sentence"}
    whole = {"iteration", "iterations_run", "iterations_not_run", "iterations_saved"}
    whole |= {"env_steps", "env_steps_budget"}
    for field in SCHEMA:
        expected = (
            pa.string() if field.name in texts else pa.int64() if field.name in whole else None
        )
        assert field.type == (expected or pa.float64()), field.name
        always = {"trial", "kind", "iteration", "sentence"}
        assert field.nullable == (field.name not in always), field.name
    assert len(SCHEMA) == 18


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
    (row,) = build_ledger([JOB, end("00", 0, "error", "failed")]).to_pylist()
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


def written(directory, rows):
    directory.mkdir(parents=True)
    log = EventLog(directory / "events.jsonl")
    for row in rows:
        log.append(row)
    write_ledger(rows, directory / "ledger.parquet")
    return directory


@pytest.fixture
def run(tmp_path):
    """A trial that was stopped for good, one that failed at once, and one that may still run."""
    rows = [
        JOB,
        result("00", 9, 0.3, seconds=18.0, env_steps=900),
        decision(keep=False),
        end("00", 9, "health"),
        end("01", 0, "error"),
        result("02", 7, math.nan, seconds=7.0, env_steps=70),
    ]
    return written(tmp_path / "runs" / "one", rows)


def test_what_is_open_is_what_a_resume_would_still_run(run):
    found = summarise_spending([run])
    opened = {reason: row["iterations_open"] for reason, row in found["by_reason"].items()}
    assert opened == {"health": 0, "open": 20, "error": 0}
    assert found["total"]["iterations_open"] == 20


def test_sums_leave_out_decisions_and_what_is_unknown(run):
    found = summarise_spending([run])
    assert found["runs"] == [str(run)]
    assert list(found["by_reason"]) == ["health", "open", "error"], "the longest run first"
    total = found["total"]
    assert set(total) == {"trials", *SUMMED}
    assert [total[n] for n in ("trials", "iterations_run", "env_steps", "seconds")] == [
        3, 16, 970, 25,
    ]  # fmt: skip
    assert (total["cpu_seconds"], total["gpu_seconds"]) == (50, 12.5)
    assert (total["iterations_saved"], total["env_steps_saved"]) == (18 + 27, 1800)
    assert (total["seconds_saved"], total["cpu_seconds_saved"]) == (36, 72)
    assert total["gpu_seconds_saved"] == 18
    failed = found["by_reason"]["error"]
    assert (failed["trials"], failed["iterations_saved"], failed["seconds_saved"]) == (1, 27, 0)


def test_runs_below_folders_are_listed_once_in_name_order(run):
    other = written(run.parent / "a" / "b", [JOB])
    assert find_runs([run.parent]) == [other, run]
    assert find_runs([run, run.parent, run]) == [run, other]


@pytest.mark.parametrize(
    ("age", "version", "is_read"),
    [(0, None, True), (5, None, True), (-5, None, False), (5, b"1", False)],
)
def test_a_ledger_is_read_where_it_is_new_and_of_this_version(run, age, version, is_read):
    path, events = run / "ledger.parquet", run / "events.jsonl"
    table = pq.read_table(path)
    if version:
        table = table.replace_schema_metadata({b"rungwise_ledger_version": version})
    changed = table.set_column(0, SCHEMA.field(0), pa.array(["mine"] * len(table)))
    pq.write_table(changed, path)
    now = events.stat().st_mtime
    os.utime(path, (now + age, now + age))
    assert (set(load_ledger(run)["trial"].to_pylist()) == {"mine"}) == is_read
    assert load_ledger(run).schema.equals(SCHEMA)


def test_a_run_without_a_ledger_is_read_from_its_events(run):
    expected = load_ledger(run).to_pylist()
    (run / "ledger.parquet").unlink()
    assert str(load_ledger(run).to_pylist()) == str(expected)
