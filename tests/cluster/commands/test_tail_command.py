# pyright: basic, reportArgumentType=false, reportOptionalMemberAccess=false
"""`tail` follows a run by its event log to the end of the job."""

import json
import subprocess
import sys

import pytest
from command_line import command
from synthetic_sweep import end, finding, job_row, result

from cluster import cli
from cluster.commands import tail_command
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import EventLog, encode_row
from rungwise.run_log.events import DecisionRow, FinalRow, JobEndRow, TrialRow

DECISION = {"rung": 2, "score": 0.5, "cut": None, "rank": 1, "of": 1, "keep": True}
BEFORE = [job_row(trials=2), *(TrialRow(trial=trial, config={}) for trial in ("00", "01"))]
MEANWHILE = [
    result("00", 1, 0.4),
    result("00", 2, 0.5),
    DecisionRow(trial="00", iteration=2, sentence="rung 2: 0.5 is among the best", **DECISION),
    finding("01", severity="warn", evidence="KL 14"),
    end("01", 3, "asha", "rung 3: 0.1 is below 0.4"),
    end("00", 4, "budget"),
    FinalRow(
        **{"trial": "00", "checkpoint": "c", "metric": "m", "mode": "min"},
        score=0.7, error=0.1, episodes=20, seed=1,
    ),
    JobEndRow(reason="done", seconds=9.0),
]  # fmt: skip


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "runs" / "sweep-1"
    directory.mkdir(parents=True)
    (directory / "job.yaml").write_text("env: CartPole-v1\n")
    log = EventLog(directory / "events.jsonl")
    for row in BEFORE:
        log.append(row)
    return log


@pytest.fixture
def appended(log, monkeypatch):
    """One row is appended whenever `tail` waits."""
    rows = iter(MEANWHILE)
    monkeypatch.setattr(tail_command.time, "sleep", lambda _: log.append(next(rows)))


def test_a_run_is_summarised_and_then_each_event_is_a_line(appended, capsys):
    assert cli.run(["tail", "sweep-1"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index("0 of 2 ended · compute saved 0 %")
    assert "started: CausalLearning-v0, ppo, 2 trials" in lines[0]
    assert [line.endswith("no result yet") for line in lines[2:at]] == [True, True]
    assert lines[at + 1 : at + 8] == [
        "trial 00  1/27 excess risk 0.400 running",
        "trial 00  2/27 excess risk 0.500 running",
        "trial 00 rung 2: 0.5 is among the best",
        "trial 01 kl runaway: KL 14",
        "trial 01  3/27 excess risk - stopped: rung 3: 0.1 is below 0.4",
        "trial 00  4/27 excess risk 0.500 finished",
        "trial 00 final: m 0.700 ± 0.100 on 20 fresh episodes",
    ]
    assert any(line.startswith("Best: trial 00: m 0.700 ± 0.100") for line in lines[at + 8 :])


def test_with_json_the_rows_are_lines(appended, capsys):
    assert cli.run(["tail", "runs/sweep-1", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [encode_row(row) for row in (*BEFORE, *MEANWHILE)]
    assert all(json.loads(line)["kind"] for line in lines)


def test_a_log_that_another_process_writes_is_followed(log, capsys, monkeypatch):
    code = """
import sys, time
for line in sys.stdin:
    for part in (line[:9], line[9:]):  # a row may be read while it is written
        with open(sys.argv[1], "a") as file:
            file.write(part)
        time.sleep(0.02)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(log.path)], stdin=subprocess.PIPE, text=True
    )
    writer.stdin.write("".join(f"{encode_row(row)}\n" for row in MEANWHILE))
    writer.stdin.close()
    monkeypatch.setattr(tail_command, "INTERVAL_S", 0.01)
    assert cli.run(["tail", str(log.path.parent), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(BEFORE) + len(MEANWHILE)
    assert writer.wait() == 0


def test_a_driver_that_died_ends_it(log, capsys):
    with hold_driver_lock(log.path.parent):
        pass
    assert cli.run(["tail", "sweep-1"]) == 0
    assert "Failed: its driver (process" in capsys.readouterr().out


def test_a_driver_that_died_before_the_first_row_ends_it(log, capsys):
    log.path.unlink()
    with hold_driver_lock(log.path.parent):
        pass
    assert cli.run(["tail", "sweep-1", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["kind"] == "failed" and "failed before it began: its driver" in error["message"]


def test_a_reader_that_ends_early_ends_it_without_a_traceback(log):
    log.append(JobEndRow(reason="done", seconds=9.0))
    words = command("tail", log.path.parent, "--json")
    tail = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    tail.stdout.close()
    assert tail.stderr.read() == "" and tail.wait() == 1


def test_a_finished_run_is_printed_as_tune_prints_it(log, capsys):
    for row in MEANWHILE:
        log.append(row)
    assert cli.run(["tail", "sweep-1"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(" trial") and "Best: trial 00" in printed


def test_results_of_a_trial_are_thinned_to_one_a_second(log, capsys, monkeypatch):
    rows = [result("00", at, 0.1 * at, time=100.0 + 0.3 * at) for at in range(1, 11)]
    rows = iter([*rows, JobEndRow(reason="done", seconds=3.0)])
    monkeypatch.setattr(tail_command.time, "sleep", lambda _: log.append(next(rows)))
    cli.run(["tail", "sweep-1"])
    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("trial 00")]
    assert len(lines) == 3


def test_an_unknown_run_names_the_nearest(log, capsys):
    assert cli.run(["tail", "sweep-2"]) == 2
    assert "did you mean sweep-1?" in capsys.readouterr().err
