# pyright: basic, reportOptionalMemberAccess=false
"""A sweep whose trials are programs: rungs, failures, and a driver that is killed."""

import os
import signal

import psutil
import pytest
from command_line import answer, rungwise
from live_runs import read_rows, start
from programs import RARE_JOB
from waiting import wait_until

from rungwise.run_log.events import DecisionRow, EndRow, FindingRow, ResultRow

pytestmark = pytest.mark.system
PROGRAM = """
import argparse, csv, os, sys, time
parser = argparse.ArgumentParser()
for name in ("lr", "pause"):
    parser.add_argument("--" + name, type=float)
parser.add_argument("--out")
given = parser.parse_args()
if given.lr > 5:
    sys.exit("the learning rate is beyond all bounds")
with open(os.path.join(given.out, "log.csv"), "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["return", "step", "seed"])
    for i in range(1, 28):
        table.writerow([i - 10 * abs(given.lr - 1), 100 * i, os.environ["SEED"]])
        file.flush()
        time.sleep(given.pause)
"""
JOB = """
command: python train.py --lr {{lr}} --out {{out}} --pause {pause}
search:
  lr: {{choice: [1.0, 0.1, 2.0, 9.0, 0.5, 1.5]}}
searcher: grid
trials: 6
metric: return
progress: step
budget: 2700
iterations: 27
grace: 3
mode: max
max_failures: 1
environment: {{SEED: "{{seed}}"}}
"""
WAITING = """
import os, sys, time
lr, out = sys.argv[1:]
with open(os.path.join(out, "log.csv"), "w") as file:
    print("return,step", file=file, flush=True)
    for i in range(1, 10**6):
        print(f"{float(lr) + i / 1000},{i}", file=file, flush=True)
        time.sleep(0.1)
        if lr == "9":
            open("pid", "w").write(str(os.getpid()))
        elif os.path.exists("pid") and not os.path.exists("/proc/" + open("pid").read()):
            break
"""
"""With 9 it reaches a target and never ends; otherwise it ends once that one is gone."""
WAITING_JOB = """
command: python wait.py {lr} {out}
search: {lr: {choice: [9, 1]}}
searcher: grid
scheduler: none
trials: 2
metric: return
target: 8
progress: step
budget: 5000
mode: max
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "train.py").write_text(PROGRAM)

    def write(pause):
        (tmp_path / "sweep.yaml").write_text(JOB.format(pause=pause))
        return tmp_path

    return write


def ends_of(rows):
    return {row.trial: row for row in rows if isinstance(row, EndRow)}


def test_a_sweep_of_programs_saves_compute_and_says_why_each_ended(project):
    folder = project(0.2)
    done = rungwise("tune", "sweep.yaml", "--out", "run", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = answer(done)
    # How much is saved depends on how soon a busy machine reads the rows.
    assert said["best"]["config"]["lr"] == 1.0 and said["compute_saved"] > 0
    rows = read_rows(folder / "run")
    ends = ends_of(rows)
    assert len(ends) == 6 and {e.reason for e in ends.values()} == {"budget", "asha", "error"}
    (failed,) = (end for end in ends.values() if end.reason == "error")
    assert "status 1: the learning rate is beyond all bounds" in failed.sentence
    assert any(isinstance(row, FindingRow) and row.symptom == "crashed" for row in rows)
    decisions = [row for row in rows if isinstance(row, DecisionRow)]
    assert decisions and not any(row.waits for row in decisions)
    seeds = {(folder / f"run/programs/{t}/out/log.csv").read_text()[-3:] for t in ("00", "01")}
    assert len(seeds) == 2, "each trial has a seed of its own"


def test_the_program_of_a_trial_ends_while_others_still_run(tmp_path):
    (tmp_path / "wait.py").write_text(WAITING)
    (tmp_path / "sweep.yaml").write_text(WAITING_JOB)
    done = rungwise("tune", "sweep.yaml", "--out", "run", "--cpus", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ends = [(row.reason, row.sentence) for row in read_rows(tmp_path / "run", EndRow)]
    assert ends[0][0] == "target"
    assert ends[1] == ("budget", "the program ended by itself")


def test_after_a_kill_a_resumed_sweep_ends_all_trials_and_leaves_no_program(project):
    folder = project(0.5)
    driver = start("tune", "sweep.yaml", "--out", "run", "--cpus", 2, cwd=folder)
    wait_until(lambda: len(read_rows(folder / "run", ResultRow)) >= 4)
    assert driver.poll() is None
    driver.kill()
    driver.wait()
    done = rungwise("resume", "run", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    ends = ends_of(read_rows(folder / "run"))
    assert len(ends) == 6 and answer(done)["best"]["config"]["lr"] == 1.0
    left = [p.pid for p in psutil.process_iter(["cmdline"]) if is_of(p, folder)]
    assert not left


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_ends_programs_that_log_nothing(tmp_path, number, status):
    (tmp_path / "sweep.yaml").write_text(RARE_JOB)
    words = ("tune", "sweep.yaml", "--out", "run", "--cpus", 2)
    driver = start(*words, cwd=tmp_path, start_new_session=True)
    wait_until(lambda: len(read_rows(tmp_path / "run", ResultRow)) == 2, process=driver)
    assert len(list_programs(tmp_path)) == 4  # of each trial a shell within another
    os.killpg(driver.pid, number)
    assert driver.wait() == status
    assert not list_programs(tmp_path)
    assert {row.reason for row in read_rows(tmp_path / "run", EndRow)} == {"interrupted"}


def list_programs(folder):
    return [p.pid for p in psutil.process_iter(["cmdline"]) if is_of(p, folder / "run/programs")]


def is_of(process, folder):
    return any(str(folder) in word for word in process.info["cmdline"] or [])
