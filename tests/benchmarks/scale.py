# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
"""What a driver has to do at 100, 1,000 and 5,000 trials at once: ``-m benchmarks.scale``.

Nothing trains. The results of a recorded sweep are reported again by as many trials as asked for,
all of them running at once under ASHA, to the very scheduler, recorder, health rules, live table,
event log and TensorBoard files that a driver has. What Ray itself costs (its processes, its
messages and Tune's loop) is not in it, but for Tune's snapshot of its trials. Each size runs in a
process of its own; the last line is one JSON object.
"""

import argparse
import heapq
import io
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from benchmarks.sweep import JOBS, QUICK, record
from cluster.pages.curves import CurveChoice, plot_curves
from cluster.pages.trials_tab import list_trial_rows
from cluster.terminal.progress import ProgressDisplay
from cluster.web.run_view import RunView
from rungwise.run_log.event_log import EventLog, read_event_log
from rungwise.run_log.events import ResultRow, TrialRow
from rungwise.run_log.ledger import write_ledger
from rungwise.run_log.log_file import get_log_size
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import dump_job
from tune_jobs.session.prepare import make_job_row, open_run
from tune_jobs.session.remaining_work import find_remaining_work
from tune_jobs.session.tune_session import TuneSession

SIZES = (100, 1_000, 5_000)
EVERY_S = 10.0
"""How often a trial is taken to report when the driver's share of a core is told."""
UPDATES = 7
"""News that the page is timed on."""


@dataclass
class Stand:
    """What the scheduler asks of Tune: here a trial is only its place in a record."""

    trials: dict[str, SimpleNamespace] = field(default_factory=dict)

    def stop_trial(self, trial):
        trial.status = TuneTrial.TERMINATED


def trial_of(name, config):
    trial = SimpleNamespace(
        config={"plan": {"trial": name, "config": config}},
        status=TuneTrial.RUNNING,
        last_result={},
        at=0,
    )
    trial.is_finished = lambda: trial.status == TuneTrial.TERMINATED
    return trial


def said(name: str, row: ResultRow, metrics: str = "") -> dict[str, Any]:
    """A result as a trial reports it."""
    return {
        "trial": name,
        "took": "{}",
        "iteration": row.iteration,
        "score": row.score or 0.0,
        "trained_s": row.seconds,
        "fault": "",
        "metrics": metrics or json.dumps(row.metrics),
    }


def play(job: Job, recorded: list[list[ResultRow]], directory: Path) -> dict[str, float]:
    """Report everything once; seconds of CPU, results and bytes."""
    first = make_job_row(job, directory, [])
    configs = dict(zip(job.name_trials(), job.sample_configs(), strict=True))
    earlier = [first, *(TrialRow(trial=n, config=c) for n, c in configs.items())]
    for row in earlier:
        EventLog(directory / "events.jsonl").append(row)
    live = ProgressDisplay(first, console=Console(file=io.StringIO(), width=100))
    for row in earlier[1:]:
        live.update(row)
    session = TuneSession(job, directory, earlier, live.update)
    scheduler, stopper, recorder = session.scheduler, session.stopper, session.recorder
    (board,), stand, chance = session.trackers, Stand(), random.Random(0)
    texts = [[json.dumps(row.metrics) for row in rows] for rows in recorded]
    running, order = [], itertools.count()
    for name, config in configs.items():
        stand.trials[name] = trial_of(name, config)
        scheduler.on_trial_add(stand, stand.trials[name])
        heapq.heappush(running, (chance.random(), next(order), name))
    shifts = {name: chance.gauss(0, 0.02) for name in configs}
    memory = psutil.Process().memory_info().rss
    results, begun, wall = 0, time.process_time(), time.perf_counter()
    while running:
        at, _, name = heapq.heappop(running)
        trial, source = stand.trials[name], int(name) % len(recorded)
        row = recorded[source][trial.at]
        trial.at += 1
        results += 1
        result = said(name, row, texts[source][trial.at - 1])
        result["score"] *= 1 + shifts[name]
        decision = TrialScheduler.STOP
        if not stopper(name, result):
            decision = scheduler.on_trial_result(stand, trial, result)
        recorder.on_trial_result(0, [], trial, result)
        board.log_trial_result(0, trial, result)
        trial.last_result = result
        if decision != TrialScheduler.CONTINUE or row.iteration % job.checkpoint_interval == 0:
            path = directory.absolute() / "trials" / name / f"checkpoint_{row.iteration:06d}"
            recorder.on_checkpoint(0, [], trial, SimpleNamespace(path=str(path)))
        if decision == TrialScheduler.STOP:
            scheduler.on_trial_complete(stand, trial, result)
            board.log_trial_end(trial)
            trial.status = TuneTrial.TERMINATED
        elif decision == TrialScheduler.PAUSE:
            trial.status = TuneTrial.PAUSED
        else:
            heapq.heappush(running, (at + 1 + 0.1 * chance.random(), next(order), name))
        # Every paused trial that may go on finds room: all run at once.
        while (chosen := scheduler.choose_trial_to_run(stand)) is not None:
            chosen.status = TuneTrial.RUNNING
            again = chosen.config["plan"]["trial"]
            heapq.heappush(running, (at + 1 + 0.1 * chance.random(), next(order), again))
        recorder.on_step_end(0, [])
    spent = time.process_time() - begun
    return {
        "results": results,
        "cpu_s": spent,
        "results_per_s": results / spent,
        "core_share": job.trials / EVERY_S * spent / results,
        "wall_s": time.perf_counter() - wall,
        "memory_mib": (psutil.Process().memory_info().rss - memory) / 2**20,
        "log_mib": get_log_size(directory / "events.jsonl") / 2**20,
    }


def timed(work) -> float:
    """Seconds of CPU that a piece of work takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def snapshot(job: Job, result: ResultRow, directory: Path) -> float:
    """Seconds of CPU of Tune's own snapshot when every trial has something new to say."""
    trials = [
        TuneTrial("rungwise", stub=True, config={"plan": {"trial": name}}, trial_id=name)
        for name in job.name_trials()
    ]
    for trial in trials:
        trial.update_last_result(said(trial.trial_id, result))

    def save() -> None:
        with (directory / "snapshot.json").open("w") as file:
            json.dump([trial.get_json_state() for trial in trials], file)

    return timed(save)


def measure(run: Path, trials: int) -> dict[str, float]:
    """Everything about one size."""
    job, rows = open_run(run)
    recorded = [list(t.results) for t in Outcome.from_rows(rows).trials if len(t.results) > 1]
    job = replace(job, trials=trials, scheduler="asha", grace=1, searcher="random", repeats=0)
    job = replace(job, iterations=min(len(rows) for rows in recorded), health={})
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "job.yaml").write_text(dump_job(job))
        found = {"trials": trials, **play(job, recorded, directory)}
        log = directory / "events.jsonl"
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join(lines[: len(lines) // 2]))  # as a kill in the middle leaves it

        def resume() -> None:
            _, known = open_run(directory)
            find_remaining_work(directory, known)
            TuneSession(job, directory, known, print)

        found["resume_s"] = timed(resume)
        found["snapshot_s"] = snapshot(job, recorded[0][-1], directory)
        log.write_bytes(b"".join(lines))
        ledger, log_bytes = directory / "ledger.parquet", get_log_size(log)
        found["ledger_s"] = timed(lambda: write_ledger(read_event_log(log), ledger, log_bytes))
        board = RunView(directory)

        def page() -> None:
            while board.refresh():
                pass
            outcome = board.outcome
            assert outcome is not None
            list_trial_rows(board)
            plot_curves(board, outcome, CurveChoice())

        found["page_first_s"] = timed(page)
        news = next(line for line in reversed(lines) if b'"result"' in line)
        updates = list[float]()  # now and then Python clears its memory up in one of them
        for _ in range(UPDATES):
            with log.open("ab") as file:
                file.write(news)
            updates.append(timed(page))
        found["page_update_s"] = statistics.median(updates)
    return found


def main() -> None:
    """Each size in its own process, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help="a run whose results are reported again")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.record, asked.one)))
        return
    with tempfile.TemporaryDirectory() as place:
        run = asked.record or Path(place) / "run"
        if not asked.record:
            record(run, QUICK, JOBS["cartpole"])
        command = [sys.executable, "-m", "benchmarks.scale", "--record", str(run), "--one"]
        found = [
            json.loads(subprocess.check_output([*command, str(size)]).splitlines()[-1])
            for size in asked.sizes
        ]
    lines = {
        "trials": ("trials at once", ",.0f"),
        "results": ("results in all", ",.0f"),
        "results_per_s": ("results a second of CPU", ",.0f"),
        "core_share": (f"cores, one result of each trial every {EVERY_S:.0f} s", ".2f"),
        "memory_mib": ("memory (MiB)", ",.0f"),
        "log_mib": ("event log (MiB)", ",.0f"),
        "snapshot_s": ("Tune's snapshot (s)", ".2f"),
        "resume_s": ("reading a killed run (s)", ".2f"),
        "ledger_s": ("ledger (s)", ".2f"),
        "page_first_s": ("page, first look (s)", ".2f"),
        "page_update_s": ("page, one more result (s)", ".2f"),
    }
    for name, (title, form) in lines.items():
        print(f"| {title} | {' | '.join(format(row[name], form) for row in found)} |")
        if name == "trials":
            print("|---" * (1 + len(found)) + "|")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
