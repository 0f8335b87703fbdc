# pyright: basic
"""Runs whose files are damaged, moved, or find no room any more."""

import os
import shutil
import signal
import subprocess

import pytest
from command_line import answer, command, rungwise
from live_runs import read_rows, start
from waiting import wait_until

from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, EndRow, FindingRow, ResultRow
from rungwise.run_log.outcome import Outcome

SWEEP = ["tune", "causal-quick", "--trials", 4, "--iterations", 30, "--grace", 10]
SWEEP += ["--checkpoint-interval", 2, "--evaluation-episodes", 0, "--out", "run"]


def is_saved_twice(run):
    """Whether a trial has two checkpoints and has not ended."""
    ended = {row.trial for row in read_rows(run, EndRow)}
    saved = [row.trial for row in read_rows(run, CheckpointRow)]
    return any(saved.count(trial) > 1 for trial in set(saved) - ended)


@pytest.mark.system
def test_a_copied_run_resumes_before_its_damaged_checkpoint(tmp_path):
    (tmp_path / "here").mkdir()
    process = start(*SWEEP, cwd=tmp_path / "here", start_new_session=True)
    wait_until(lambda: is_saved_twice(tmp_path / "here" / "run"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = tmp_path / "there" / "moved"
    shutil.copytree(tmp_path / "here" / "run", there)
    shutil.rmtree(tmp_path / "here")

    rows = read_event_log(there / "events.jsonl")
    ended = {row.trial for row in rows if isinstance(row, EndRow)}
    saved = {}
    for row in rows:
        if isinstance(row, CheckpointRow) and row.trial not in ended:
            saved.setdefault(row.trial, []).append(row)
    trial, (*_, before, newest) = next((t, s) for t, s in saved.items() if len(s) > 1)
    weights = there / newest.path / "policy" / "weights.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-5] ^= 4
    weights.write_bytes(raw)

    done = rungwise("resume", "moved", "--json", cwd=there.parent)
    assert done.returncode == 0, done.stderr
    new = read_event_log(there / "events.jsonl")[len(rows) :]
    (said,) = [r for r in new if isinstance(r, FindingRow) and r.symptom == "damaged_checkpoint"]
    assert said.trial == trial and f"{newest.path}/policy/weights.safetensors" in said.evidence
    assert before.path in said.remedy
    again = [row.iteration for row in new if isinstance(row, ResultRow) and row.trial == trial]
    assert again[0] == before.iteration + 1
    assert {t["end_reason"] for t in answer(done)["trials"]} <= {"budget", "asha", "health"}


FULL = """
mount -t tmpfs -o size=230m tmpfs disk || exit 77
cd disk
( until grep -q '"kind": "checkpoint"' run/events.jsonl; do sleep 0.1; done
  cat /dev/zero > ballast ) &
{tune} --json > ../full.json 2> ../full.err; echo $? > ../full.status
cp run/events.jsonl ../full.jsonl
rm -f ballast
{resume} --json > ../after.json 2> ../after.err; echo $? > ../after.status
cp run/events.jsonl ../after.jsonl
"""


@pytest.mark.system
def test_a_full_disk_is_reported_and_costs_no_finished_work(tmp_path):
    (tmp_path / "disk").mkdir()
    words = {"tune": command(*SWEEP), "resume": command("resume", "run")}
    script = FULL.format(**{name: " ".join(call) for name, call in words.items()})
    alone = ["unshare", *([] if os.geteuid() == 0 else ["-r"]), "-m", "sh", "-c", script]
    done = subprocess.run(alone, cwd=tmp_path)
    if done.returncode == 77 or not (tmp_path / "full.status").exists():
        pytest.skip("this machine lets nobody mount a small disk")
    assert (tmp_path / "full.status").read_text() == "1\n", (tmp_path / "full.err").read_text()
    said = (tmp_path / "full.err").read_text()
    assert "disk" in said and "full" in said and "rungwise resume run" in said, said
    assert "Traceback" not in said and "Trial task failed" not in said, said
    assert (tmp_path / "after.status").read_text() == "0\n", (tmp_path / "after.err").read_text()
    rows, before = read_event_log(tmp_path / "after.jsonl"), read_event_log(tmp_path / "full.jsonl")
    for trial in Outcome.from_rows(rows).trials:
        assert trial.end_reason in {"budget", "asha", "health"}
    saved = {row.trial: row.iteration for row in before if isinstance(row, CheckpointRow)}
    first = {}
    for row in rows[len(before) :]:
        if isinstance(row, ResultRow):
            first.setdefault(row.trial, row.iteration)
    assert all(first[trial] == saved.get(trial, 0) + 1 for trial in first)
