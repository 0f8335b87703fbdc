# pyright: basic
"""How often do stop rules that see nothing but the return end a long run that rises afterwards?

``PYTHONPATH=.:tests python -m benchmarks.long_runs FOLDER`` reads published learning curves and
judges each run by itself as a live run is judged (stop_judges.py), its length as its budget, from
the 20th point at every fifth. The methods of Optuna and Tune compare trials, so they get the runs
of one task in sweeps of 32, one after another; Optuna is asked at the same points, Tune's decide
by themselves. A stop is wrong if the run rises afterwards (tune_jobs.run_log.hindsight.py); all
others are right. Prints a Markdown table for each set of runs; the last line is one JSON object.

A file ``.npz`` is a set: ``labels`` and ``lengths`` [runs], ``values`` (the returns of all runs,
concatenated). All files ``.csv`` of a folder are one: each has the returns of a run in its only
column, with or without a heading. Higher returns are better.
"""

import argparse
import json
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import optuna

from benchmarks.stop_judges import Judge, Verdict, judge_by_returns, make_peers
from tune_jobs.run_log.hindsight import rises_after

FIRST, EVERY = 20, 5
"""The first point that is judged, and the points from one judgement to the next."""
SWEEP = 32
"""Runs of a sweep."""
OURS = "Rungwise"
METHODS = (OURS, *make_peers(1))
ENVIRONMENT = re.compile(r"[A-Za-z]\w*?-v\d+")
"""The id of a Gymnasium environment within a label."""


@dataclass(frozen=True)
class Run:
    """A learning curve."""

    label: str
    returns: np.ndarray


@dataclass
class Figures:
    """What a method did to runs."""

    runs: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    """By rule."""
    wrong: list[str] = field(default_factory=list)
    """Label, rule and point of each wrong stop."""
    warned: int = 0
    rose: int = 0
    """Those that were warned of and rose afterwards."""
    ends: list[float] = field(default_factory=list)
    """The share of its length after which each stopped run was stopped."""

    def add(self, run: Run, verdict: Verdict) -> None:
        self.runs += 1
        self.warned += verdict.warned > 0
        self.rose += verdict.warned > 0 and rises_after(run.returns, verdict.warned)
        if not verdict.rule:
            return
        self.stops[verdict.rule] += 1
        self.ends.append(verdict.point / len(run.returns))
        if rises_after(run.returns, verdict.point):
            self.wrong.append(f"{run.label}: {verdict.rule} at {verdict.point}")

    def summarise(self) -> dict:
        stopped = len(self.ends)
        return {
            "runs": self.runs,
            "stopped": dict(self.stops),
            "wrong": self.wrong,
            "right": stopped - len(self.wrong),
            "warned": self.warned,
            "warned_and_rose": self.rose,
            "median_end": float(np.median(self.ends)) if stopped else None,
            "saved": sum(1 - end for end in self.ends) / max(1, self.runs),
        }


def read_sets(folder: Path) -> dict[str, list[Run]]:
    """Return the runs of each set by its name."""
    sets = {path.stem: read_npz(path) for path in sorted(folder.rglob("*.npz"))}
    for path in sorted(folder.rglob("*.csv")):
        label = path.relative_to(folder).with_suffix("").as_posix()
        sets.setdefault(path.parent.name, []).append(Run(label, read_csv(path)))
    return sets


def read_npz(path: Path) -> list[Run]:
    data = np.load(path)
    parts = np.split(data["values"].astype(np.float64), np.cumsum(data["lengths"])[:-1])
    return [Run(str(label), part) for label, part in zip(data["labels"], parts, strict=True)]


def read_csv(path: Path) -> np.ndarray:
    """Return the only column of a file; an empty cell is a NaN."""
    first, *others = path.read_text().splitlines() or [""]
    try:
        float(first)
    except ValueError:  # a heading
        return np.array([float(cell or "nan") for cell in others])
    return np.array([float(cell or "nan") for cell in (first, *others)])


def find_task(label: str) -> str:
    """Return what runs of one task have in common: the environment's id, else the first folders."""
    found = ENVIRONMENT.search(label)
    return found[0] if found else "/".join(label.split("/")[:2])


def split_into_sweeps(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs of each task, shuffled into sweeps."""
    tasks: dict[str, list[Run]] = {}
    for run in runs:
        tasks.setdefault(find_task(run.label), []).append(run)
    sweeps = []
    for number, task in enumerate(tasks.values()):
        order = np.random.default_rng(number).permutation(len(task))
        shuffled = [task[index] for index in order]
        sweeps += [shuffled[start : start + SWEEP] for start in range(0, len(task), SWEEP)]
    return sweeps


def judge_sweep(method: str, sweep: list[Run]) -> list[Verdict]:
    """Ask a method about a sweep."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of experimental pruners
    curves = [run.returns for run in sweep]
    judge: Judge = partial(judge_by_returns, first=FIRST, every=EVERY)
    if method != OURS:
        judge = make_peers(max(map(len, curves)), FIRST, EVERY)[method]
    return list(judge(curves))


def judge_all(method: str, sweeps: list[list[Run]], mapped: Callable = map) -> Figures:
    """Ask a method about all sweeps, several at a time with the ``map`` of a pool."""
    figures = Figures()
    for sweep, verdicts in zip(sweeps, mapped(partial(judge_sweep, method), sweeps), strict=True):
        for run, verdict in zip(sweep, verdicts, strict=True):
            figures.add(run, verdict)
    return figures


def format_row(method: str, figures: Figures) -> str:
    """Return the Markdown row of a method."""
    row, stopped = figures.summarise(), len(figures.ends)
    by_rule = ", ".join(f"`{rule}` {count}" for rule, count in figures.stops.most_common())
    share = partial(format_share, runs=figures.runs)
    end = f"{row['median_end']:.0%}" if stopped else ""
    cells = (
        method,
        share(stopped) + (f": {by_rule}" if method == OURS and stopped else ""),
        share(len(figures.wrong)),
        f"{row['right']:,}",
        share(figures.warned) if method == OURS else "",
        share(figures.rose) if method == OURS else "",
        end,
        f"{row['saved']:.1%}",
    )
    return f"| {' | '.join(cells)} |".replace("%", " %")


def format_share(count: int, runs: int) -> str:
    """Return a count of runs with its share: two significant digits below one percent."""
    share = count / max(1, runs)
    return f"{count:,} ({share:.2%})" if 0 < share < 0.01 else f"{count:,} ({share:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the curves are (.npz or .csv)")
    parser.add_argument("--only", choices=METHODS, action="append", help="methods (default: all)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    sets = read_sets(args.folder)
    if not sets:
        sys.exit(f"{args.folder} has no curves (.npz or .csv).")
    columns = "judged by | stopped | wrong | right | warned | of these rose | stopped at | saved"
    summaries = {}
    with ProcessPoolExecutor(args.workers) as pool:
        for name, runs in sets.items():
            print(f"\n{name}, {len(runs):,} runs:\n\n| {columns} |")
            print(f"| --- |{' ---: |' * columns.count('|')}", flush=True)
            sweeps, summaries[name] = split_into_sweeps(runs), {}
            for method in args.only or METHODS:
                figures = judge_all(method, sweeps, pool.map)
                print(format_row(method, figures), flush=True)
                summaries[name][method] = figures.summarise()
            ours = summaries[name].get(OURS, {}).get("wrong", [])
            print(*ours, sep="\n", file=sys.stderr)
    print(json.dumps(summaries))


if __name__ == "__main__":
    main()
