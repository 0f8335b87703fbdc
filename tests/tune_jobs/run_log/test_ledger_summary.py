# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""The sums over several runs are those of the runs."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command_line import answer, rungwise
from synthetic_sweep import end, job_row, result

from envs.validation import InputError, InputWarning
from tune_jobs.run_log.event_log import EventLog
from tune_jobs.run_log.ledger import write_ledger
from tune_jobs.run_log.ledger_summary import RUN, SAVED, find_runs, load_ledger, summarise_spending
from tune_jobs.run_log.outcome import Outcome


def write(directory, rows):
    directory.mkdir(parents=True)
    log = EventLog(directory / "events.jsonl")
    for row in rows:
        log.append(row)
    write_ledger(rows, directory / "ledger.parquet")
    return directory


@pytest.fixture
def runs(tmp_path, sweep_rows):
    """A sweep, and a run of one trial with two CPUs and half a GPU, stopped at 9 of 27."""
    write(tmp_path / "runs" / "sweep", sweep_rows)
    single = [job_row(trials=1, cpus_per_trial=2.0, gpus_per_trial=0.5)]
    single += [result("00", 9, 0.3, seconds=18.0, env_steps=900), end("00", 9, "health")]
    write(tmp_path / "runs" / "single", single)
    return tmp_path / "runs"


def test_a_run_of_several_cpus_costs_and_saves_by_each_of_them(runs):
    total = summarise_spending([runs / "single"])["total"]
    assert [total[name] for name in RUN] == [9, 900, 18.0, 36.0, 9.0]
    assert [total[name] for name in SAVED] == [18, 1800, 36.0, 72.0, 18.0]


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


def test_a_run_named_twice_counts_once(runs):
    assert (
        summarise_spending([runs, runs / "single"])["total"] == summarise_spending([runs])["total"]
    )


def test_a_run_that_was_killed_is_read_from_its_events(tmp_path):
    rows = [job_row(trials=1), result("00", 9, 0.3)]
    run = write(tmp_path / "run", rows)
    EventLog(run / "events.jsonl").append(result("00", 10, 0.2))
    os.utime(run / "ledger.parquet", (0, 0))
    found = summarise_spending([run])
    assert found["by_reason"]["open"]["iterations_run"] == 10
    assert found["total"]["iterations_open"] == 17


def test_iterations_for_a_resume_are_open_and_not_saved(tmp_path):
    ended = [result("00", 9, 0.3), end("00", 9, "asha"), result("01", 9, 0.3)]
    run = write(tmp_path / "run", [job_row(trials=2), *ended, end("01", 9, "interrupted")])
    by_reason = summarise_spending([run])["by_reason"]
    found = {r: (row["iterations_saved"], row["iterations_open"]) for r, row in by_reason.items()}
    assert found == {"asha": (18, 0), "interrupted": (0, 18)}


def test_the_file_is_read_where_it_is_as_new_as_the_events(runs):
    path = runs / "single" / "ledger.parquet"
    changed = pq.read_table(path)
    place = changed.schema.get_field_index("seconds")
    pq.write_table(changed.set_column(place, changed.schema.field(place), [[1.0]]), path)
    assert load_ledger(runs / "single")["seconds"].to_pylist() == [1.0]


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
    os.utime(runs / "single" / "ledger.parquet", (0, 0))
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
    done = rungwise("ledger", "--json", cwd=runs.parent)
    assert answer(done)["runs"] == ["runs/single", "runs/sweep"]
    (tmp_path / "elsewhere").mkdir()
    refused = rungwise("ledger", cwd=tmp_path / "elsewhere")
    assert refused.returncode == 2 and "no run in or below runs" in refused.stderr


def test_a_folder_without_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=f"no run in or below {tmp_path}"):
        find_runs([tmp_path])


def test_the_command_prints_one_object_and_without_json_a_table(runs):
    done = rungwise("ledger", "sweep", "single", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert answer(done)["total"] == pytest.approx(summarise_spending([runs])["total"])
    shown = rungwise("ledger", "sweep", "single", cwd=runs).stdout
    assert "2 runs" in shown and "GPU time" in shown and "health" in shown
