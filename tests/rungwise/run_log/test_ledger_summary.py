# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""The sums over several runs are those of the runs."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import answer, call
from synthetic_sweep import end, job_row, result

from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import DecisionRow
from rungwise.run_log.ledger import SCHEMA, VERSION, write_ledger
from rungwise.run_log.ledger_summary import (
    RUN,
    SAVED,
    SUMMED,
    find_runs,
    load_ledger,
    summarise_spending,
)
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputError, InputWarning

JOB = job_row(trials=3, cpus_per_trial=2.0, gpus_per_trial=0.5, iterations=27)
DECISION = {"trial": "00", "iteration": 9, "rung": 9, "score": 0.5, "cut": None, "rank": 1, "of": 1}
DECISION["sentence"] = "said"


def write(directory, rows):
    directory.mkdir(parents=True)
    log = EventLog(directory / "events.jsonl")
    for row in rows:
        log.append(row)
    write_ledger(rows, directory / "ledger.parquet", log.path.stat().st_size)
    return directory


@pytest.fixture
def runs(tmp_path, sweep_rows):
    """A sweep, and a run of one trial with two CPUs and half a GPU, stopped at 9 of 27."""
    write(tmp_path / "runs" / "sweep", sweep_rows)
    single = [job_row(trials=1, cpus_per_trial=2.0, gpus_per_trial=0.5)]
    single += [result("00", 9, 0.3, seconds=18.0, env_steps=900), end("00", 9, "health")]
    write(tmp_path / "runs" / "single", single)
    return tmp_path / "runs"


def test_the_sums_are_those_of_the_runs_by_reason(runs, sweep_rows):
    found = summarise_spending([runs])
    outcome = Outcome.from_rows(sweep_rows)
    assert [Path(run).name for run in found["runs"]] == ["single", "sweep"]
    saved = dict(outcome.iterations_saved_by_reason)
    saved["health"] += 18
    by_reason = found["by_reason"]
    assert {
        n: r["iterations_saved"] for n, r in by_reason.items() if r["iterations_saved"]
    } == saved
    assert found["total"]["iterations_run"] == outcome.iterations_run + 9
    assert found["total"]["trials"] == 17
    for name in (*RUN, *SAVED, "iterations_open"):
        assert sum(row[name] for row in by_reason.values()) == pytest.approx(found["total"][name])


def test_iterations_for_a_resume_are_open_and_not_saved(tmp_path):
    ended = [result("00", 9, 0.3), end("00", 9, "asha"), result("01", 9, 0.3)]
    run = write(tmp_path / "run", [job_row(trials=2), *ended, end("01", 9, "interrupted")])
    by_reason = summarise_spending([run])["by_reason"]
    found = {r: (row["iterations_saved"], row["iterations_open"]) for r, row in by_reason.items()}
    assert found == {"asha": (18, 0), "interrupted": (0, 18)}


@pytest.mark.parametrize("damage", ["nonsense", "a block"])
def test_the_rows_of_a_damaged_ledger_are_made_from_the_events(runs, damage):
    path, sound = runs / "sweep" / "ledger.parquet", summarise_spending([runs])
    raw = bytearray(path.read_bytes())
    raw[100:400] = bytes(300)
    path.write_bytes(b"nonsense" if damage == "nonsense" else raw)
    with pytest.warns(InputWarning, match=r"sweep/ledger\.parquet is damaged"):
        assert summarise_spending([runs])["total"] == pytest.approx(sound["total"])


def test_a_run_whose_events_are_lost_is_named(runs):
    (runs / "single" / "events.jsonl").write_text("")
    with pytest.warns(InputWarning, match="single is left out"):
        found = summarise_spending([runs])
    assert found["runs"] == [str(runs / "sweep")]
    assert found["left_out"].keys() == {str(runs / "single")}
    with pytest.warns(InputWarning), pytest.raises(InputError, match="no run that can be read"):
        summarise_spending([runs / "single"])


@pytest.mark.parametrize("iterations", [2**64, 10**400])
def test_a_run_with_impossible_numbers_is_left_out_of_the_sum(runs, iterations):
    sound = summarise_spending([runs])
    (runs / "odd").mkdir()
    rows = [replace(job_row(), iterations=iterations), result("00", 1, 0.5), end("00", 1, "asha")]
    for row in rows:
        EventLog(runs / "odd" / "events.jsonl").append(row)
    with pytest.warns(InputWarning, match="odd is left out"):
        found = summarise_spending([runs])
    assert found["total"] == sound["total"] and found["runs"] == sound["runs"]


def test_without_a_path_the_runs_in_runs_are_summed(runs, tmp_path):
    done = call("ledger", "--json", cwd=runs.parent)
    assert answer(done)["runs"] == ["runs/single", "runs/sweep"]
    (tmp_path / "elsewhere").mkdir()
    refused = call("ledger", cwd=tmp_path / "elsewhere")
    assert refused.returncode == 2 and "no run in or below runs" in refused.stderr


def test_the_command_prints_one_object_and_without_json_a_table(runs):
    done = call("ledger", "sweep", "single", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert answer(done)["total"] == pytest.approx(summarise_spending([runs])["total"])
    shown = call("ledger", "sweep", "single", cwd=runs).stdout
    assert "2 runs" in shown and "GPU time" in shown and "health" in shown


@pytest.fixture
def run(tmp_path):
    """A trial that was stopped for good, one that failed at once, and one that may still run."""
    rows = [
        JOB,
        result("00", 9, 0.3, seconds=18.0, env_steps=900),
        DecisionRow(**DECISION, keep=False),
        end("00", 9, "health"),
        end("01", 0, "error"),
        result("02", 7, math.nan, seconds=7.0, env_steps=70),
    ]
    return write(tmp_path / "runs" / "one", rows)


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
    assert (total["iterations_saved"], total["env_steps_saved"]) == (18, 1800)
    assert (total["seconds_saved"], total["cpu_seconds_saved"]) == (36, 72)
    assert total["gpu_seconds_saved"] == 18
    failed = found["by_reason"]["error"]
    assert (failed["trials"], failed["iterations_saved"], failed["seconds_saved"]) == (1, 0, 0)
    # What a resume would still run.
    assert [row["iterations_open"] for row in found["by_reason"].values()] == [0, 20, 27]
    assert total["iterations_open"] == 47


def test_runs_below_folders_are_listed_once_in_name_order(run):
    other = write(run.parent / "a" / "b", [JOB])
    assert find_runs([run.parent]) == [other, run]
    assert find_runs([run, run.parent, run]) == [run, other]


@pytest.mark.parametrize(
    ("name", "value", "is_read"),
    [
        ("rungwise_ledger_version", VERSION, True),
        ("rungwise_ledger_version", "1", False),
        ("log_bytes", "1", False),
        ("log_bytes", None, False),  # of an earlier version, which did not keep it
    ],
)
@pytest.mark.parametrize("age", [-5, 5])
def test_a_ledger_is_read_where_it_is_of_this_log_and_version(run, name, value, is_read, age):
    path, events = run / "ledger.parquet", run / "events.jsonl"
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    del metadata[name.encode()]
    metadata |= {name: value} if value else {}
    changed = table.set_column(0, SCHEMA.field(0), pa.array(["mine"] * len(table)))
    pq.write_table(changed.replace_schema_metadata(metadata), path)
    # A copy has other times, in any order.
    now = events.stat().st_mtime
    os.utime(path, (now + age, now + age))
    assert (set(load_ledger(run)["trial"].to_pylist()) == {"mine"}) == is_read
    assert load_ledger(run).schema.equals(SCHEMA)


def test_a_ledger_that_is_newer_than_later_events_is_built_anew(run):
    EventLog(run / "events.jsonl").append(end("02", 7, "plateau"))
    os.utime(run / "events.jsonl", (0, 0))  # a clock step, or a copy of both files
    assert load_ledger(run).to_pylist()[-1]["reason"] == "plateau"


def test_a_run_without_a_ledger_is_read_from_its_events(run):
    expected = load_ledger(run).to_pylist()
    (run / "ledger.parquet").unlink()
    assert str(load_ledger(run).to_pylist()) == str(expected)
