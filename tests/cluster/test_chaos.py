# pyright: basic, reportOptionalMemberAccess=false, reportCallIssue=false, reportArgumentType=false
"""A sweep that is killed again and again comes to what an undisturbed one comes to."""

import contextlib
import os
import random
import re
import signal
import time

import psutil
import pytest
from command_line import rungwise
from live_runs import read_rows, start

from rungwise.run_log.events import CheckpointRow, EndRow, ResultRow
from rungwise.run_log.outcome import Outcome

KILLS, TRIALS, ITERATIONS, EVERY = 20, 12, 24, 4
SWEEP = ["tune", "causal-quick", "--scheduler", "none", "--trials", TRIALS, "--out", "run"]
SWEEP += ["--iterations", ITERATIONS, "--checkpoint-interval", EVERY, "--max-failures", KILLS]
SWEEP += ["--settings.num-env-runners", 1, "--cpus", 4, "--evaluation-episodes", 0]
PROCESSES = {"trial": r"ray::(Trial|ResourceTrainable)", "runner": r"ray::\w*Runner"}
PATIENCE_S = 400
"""A busy machine may need minutes until Ray runs again."""


class Sweep:
    """The sweep's driver, started again by ``resume`` whenever it is gone."""

    def __init__(self, directory):
        self.directory = directory
        self.begin(*SWEEP)

    def begin(self, *words):
        self.process = start(*words, cwd=self.directory)

    def rows(self):
        return read_rows(self.directory / "run")

    def steps(self):
        return len(read_rows(self.directory / "run", ResultRow))

    def goes_on(self):
        """Wait until something new is reported; False once the sweep is over."""
        before, late = self.steps(), time.monotonic() + PATIENCE_S
        while time.monotonic() < late:
            if self.process.poll() is not None:
                if self.process.returncode == 0:
                    return False
                self.begin(*(("resume", "run", "--cpus", 4) if self.rows() else SWEEP))
            if self.steps() > before:
                return True
            time.sleep(0.2)
        raise AssertionError(f"nothing happened for {PATIENCE_S} s")

    def kill(self, whom, chance):
        """Kill a process of this kind without warning; False if there is none just now."""
        if whom == "driver":
            self.process.kill()
            return True
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if re.match(PROCESSES[whom], " ".join(process.cmdline())):
                        found.append(process.pid)
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(found), signal.SIGKILL)
        return True


@pytest.mark.slow
@pytest.mark.timeout(6000)
def test_twenty_kills_cost_one_checkpoint_interval_each_at_most(tmp_path):
    chance = random.Random(0)
    order = ["driver"] * 6 + ["trial"] * 7 + ["runner"] * 7
    chance.shuffle(order)
    sweep = Sweep(tmp_path)
    for number, whom in enumerate(order):
        struck = False
        while not struck:
            assert sweep.goes_on(), f"only {number} kills fitted into the sweep"
            time.sleep(chance.uniform(0, 1))
            struck = sweep.kill(whom, chance)
        print(f"kill {number + 1}: {whom}, after {sweep.steps()} results", flush=True)
    while sweep.goes_on():
        pass
    rows = sweep.rows()
    table = {t.id: (t.iterations, t.budget, t.end_reason) for t in Outcome.from_rows(rows).trials}
    # The undisturbed one: every trial of the job runs all its iterations.
    undisturbed = {f"{i:02d}": (ITERATIONS, ITERATIONS, "budget") for i in range(TRIALS)}
    assert table == undisturbed
    for trial in table:
        own = [row for row in rows if getattr(row, "trial", None) == trial]
        ends = [row for row in own if isinstance(row, EndRow) and row.reason == "budget"]
        assert len(ends) == 1 and ends[0].sentence, "finished twice"
        reached = saved = 0
        for row in own:
            if isinstance(row, CheckpointRow):
                saved = row.iteration
            elif isinstance(row, ResultRow):
                assert row.iteration in (reached + 1, saved + 1)
                assert reached + 1 - row.iteration <= EVERY, "more than an interval was run again"
                reached = row.iteration
    again = sum(isinstance(row, ResultRow) for row in rows) - TRIALS * ITERATIONS
    print(f"{again} iterations run again in {KILLS} kills, {TRIALS * ITERATIONS} in all")
    done = rungwise("resume", "run", "--json", cwd=tmp_path, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert sweep.steps() == again + TRIALS * ITERATIONS, "nothing was left to run"
