# pyright: basic
"""Training programs of somebody else, as small as they can be."""

import shlex
import sys

from rungwise.run_log.event_log import read_event_log
from tune_jobs.jobs.job_yaml import make_job
from tune_jobs.jobs.program_settings import protect_braces
from tune_jobs.programs import log_follower
from tune_jobs.session import program_session, program_trial
from tune_jobs.session.prepare import prepare_job
from tune_jobs.session.run_lifecycle import drive

RARE_JOB = """
command: sh -c 'printf "return,step\\n{x},1\\n{x},2\\n" > $0/log.csv; sleep 1000' {out}
search: {x: {uniform: [0, 1]}}
scheduler: none
trials: 2
metric: return
progress: step
budget: 100
mode: max
"""
"""Its programs log twice and then nothing more."""
LOGGER = """
import csv, os, sys, time
path, rows, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
value = lambda i: eval(sys.argv[4]) if len(sys.argv) > 4 else i
def held(i, row, file):
    while i > row and not os.path.exists(file):
        time.sleep(0.01)
    return i
with open(path, "w", newline="") as file:
    table = csv.writer(file)
    names = "rollout/ep_rew_mean rollout/ep_len_mean time/iterations time/total_timesteps"
    table.writerow(names.split())
    for i in range(1, rows + 1):
        table.writerow([value(i), 20, i, 1000 * i])
        file.flush()
        time.sleep(pause)
"""
"""Logs a return to a table: path, rows, seconds between them, and the return of row i.

``held(i, 5, 'go')`` is i, and after five rows only once the file go exists.
"""
RESUMABLE = """
import sys, time, pathlib
out = pathlib.Path(sys.argv[1])
saved = out / "step"
start = int(saved.read_text()) if "--load" in sys.argv else 0
log = (out / "progress.csv").open("a")
start or print("return_mean,env_steps", file=log, flush=True)
for i in range(start + 1, 11):
    print(f"{i},{i}", file=log, flush=True)
    (out / "new").write_text(str(i))
    (out / "new").rename(saved)
    time.sleep(0.1)
"""
"""Saves its step after each of ten rows and, asked to, continues behind it."""
ENDLESS = 10**6
"""Rows of a program that a test ends."""


def write_logger(folder):
    """Write the program to a folder and return the command that starts it, as words."""
    script = folder / "train.py"
    script.write_text(LOGGER)
    return [sys.executable, str(script)]


def describe_resumable(folder):
    """Write a program that can continue, and return the fields of its job."""
    script = folder / "train.py"
    script.write_text(RESUMABLE)
    return {
        "command": f"{sys.executable} {script} {{out}}",
        "resume": "--load {checkpoint}",
        **{"metric": "return_mean", "mode": "max"},
        **{"progress": "env_steps", "budget": 10, "iterations": 10},
    }


def make_program_job(*words, **fields):
    """Return a job whose only trial is the command of these words."""
    settings = {
        name: fields.pop(name)
        for name in ("log", "progress", "budget", "patience_s")
        if name in fields
    }
    command = protect_braces(shlex.join(map(str, words)))
    return make_job({"command": command, **settings, **fields})


def look_often(monkeypatch):
    """Have logs searched and read at once, not after seconds."""
    monkeypatch.setattr(program_session, "POLL_S", 0.02)
    monkeypatch.setattr(program_session, "SHARE", 1.0)
    monkeypatch.setattr(program_trial, "POLL_S", 0.02)
    monkeypatch.setattr(log_follower, "SEARCH_S", 0.02)
    monkeypatch.setattr(log_follower, "SEARCH_SHARE", 1e9)


def run_program(directory, job, listener=lambda row: None):
    """Run a job and return the rows of its event log."""
    prepare_job(job, directory)
    drive(directory, listener)
    return read_event_log(directory / "events.jsonl")
