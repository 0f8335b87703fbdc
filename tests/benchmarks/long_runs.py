# pyright: basic
"""How often do stop rules that see nothing but the return end a long run that rises afterwards?

``PYTHONPATH=.:tests python -m benchmarks.long_runs FOLDER`` reads published learning curves and
judges each run by itself as a live run is judged (stop_judges.py), its length as its budget, from
the 20th point at every fifth, and from 78 % of its length on, where a stop may come, at each; a
second row has the same runs as if their budget were not known, or twice as long, at every 20th. The
methods of Optuna and Tune compare trials, so they get the runs of one task in sweeps of 32, one
after another; Optuna is asked at the same points, Tune's decide by themselves. A stop is wrong if
the run rises afterwards (rungwise.run_log.hindsight.py); all others are right. Prints a Markdown
table for each set of runs; the last line is one JSON object.

``--write`` writes the records of the rules that read nothing but the score, and of the others on
our own healthy runs (own_runs.py), beside the rules. ``--leave-one-out`` chooses the limits of both
rules on all libraries but one, and counts what they end wrongly on that one.

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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna

from benchmarks.own_runs import count_own_runs
from benchmarks.stop_judges import Judge, Verdict, judge_by_returns, make_peers
from rungwise.health.record import DATA
from rungwise.health.rule import Rule
from rungwise.health.rules import RULES
from rungwise.health.rules.no_improvement import NoImprovement
from rungwise.health.rules.rewards import ConstantReward
from rungwise.run_log.hindsight import rises_after

FIRST, EVERY, EACH_FROM = 20, 5, 0.78
"""The first point that is judged, the points from one judgement to the next, and the share of a run
from which on each is."""
LONGEST = 500
"""Points of a run: those of longer ones are averaged, as those of a live run of known budget."""
SWEEP = 32
"""Runs of a sweep."""
OURS, UNKNOWN = "Rungwise", "Rungwise, budget not known"
METHODS = (OURS, UNKNOWN, *make_peers(1))
BY_RETURNS = (
    "not_finite",
    "constant_reward",
    "performance_collapse",
    "fell_from_best",
    "no_improvement",
)
"""Rules that can judge a run by its returns alone: the others find no metric of theirs."""
MEASURED = ("constant_reward", "no_improvement")
"""Those of them that read nothing else, and may end a run."""
LIMITS: dict[str, list[Rule]] = {
    "no_improvement": [NoImprovement(margin=margin) for margin in (0.0, 0.5, 1.0, 1.5)],
    "constant_reward": [ConstantReward(stop_from=share) for share in (0.8, 0.85, 0.9, 0.95)],
}
"""What is chosen from, the most careful last."""
MOST_WRONG = 0.0002
"""Share of wrongly ended runs up to which limits are chosen."""
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
    wrong_by_rule: Counter[str] = field(default_factory=Counter)
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
            self.wrong_by_rule[verdict.rule] += 1

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
    return [
        Run(str(label), shorten(part)) for label, part in zip(data["labels"], parts, strict=True)
    ]


def shorten(returns: np.ndarray) -> np.ndarray:
    """Return the means of equal parts of a run that has more than ``LONGEST`` points."""
    if len(returns) <= LONGEST:
        return returns
    bounds = np.linspace(0, len(returns), LONGEST + 1).round().astype(int)
    return np.array([returns[a:b].mean() for a, b in pairwise(bounds)])


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
    budgets = 2.0 if method == UNKNOWN else 1.0
    judge: Judge = partial(
        judge_by_returns,
        first=FIRST,
        every=EVERY if method == OURS else 4 * EVERY,
        each_from=EACH_FROM if method == OURS else 1.0,
        budgets=budgets,
        rules={symptom: RULES[symptom] for symptom in BY_RETURNS},
    )
    if method not in (OURS, UNKNOWN):
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
        share(figures.warned) if method in (OURS, UNKNOWN) else "",
        share(figures.rose) if method in (OURS, UNKNOWN) else "",
        end,
        f"{row['saved']:.1%}",
    )
    return f"| {' | '.join(cells)} |".replace("%", " %")


def format_share(count: int, runs: int) -> str:
    """Return a count of runs with its share: two significant digits below one percent."""
    share = count / max(1, runs)
    return f"{count:,} ({share:.2%})" if 0 < share < 0.01 else f"{count:,} ({share:.1%})"


def find_library(name: str, label: str) -> str:
    """Return the library of a run: the first folder of its label, else its set."""
    return label.split("/")[0] if "/" in label else name


def find_stop(rule: Rule, run: Run) -> int:
    """Return the point after which a rule ends a run; 0 if it does not."""
    first, rules = max(FIRST, int(EACH_FROM * len(run.returns))), {rule.symptom: rule}
    (verdict,) = judge_by_returns([run.returns], first=first, rules=rules)
    return verdict.point


def find_wrong(rules: list[Rule], runs: list[Run], mapped: Callable) -> np.ndarray:
    """Return which limits, the loosest first, end which runs wrongly: [rules, runs]."""
    ended = np.array(list(mapped(partial(find_stop, rules[0]), runs)))
    wrong = np.zeros((len(rules), len(runs)), bool)
    # A tighter limit ends no run that the loosest one leaves alone.
    for place in np.flatnonzero(ended):
        points = [ended[place], *(find_stop(rule, runs[place]) for rule in rules[1:])]
        wrong[:, place] = [p > 0 and rises_after(runs[place].returns, p) for p in points]
    return wrong


def leave_one_out(sets: dict[str, list[Run]], mapped: Callable) -> list[str]:
    """Return the Markdown rows of each library: the limits chosen on the others, and its wrong."""
    runs = [(find_library(name, run.label), run) for name, of_set in sets.items() for run in of_set]
    libraries, curves = np.array([library for library, _ in runs]), [run for _, run in runs]
    wrong = {symptom: find_wrong(rules, curves, mapped) for symptom, rules in LIMITS.items()}
    rows = []
    for library in dict.fromkeys(libraries.tolist()):
        own, cells = libraries == library, [library, f"{(libraries == library).sum():,}"]
        for symptom, field_name in (("no_improvement", "margin"), ("constant_reward", "stop_from")):
            shares = wrong[symptom][:, ~own].mean(axis=1)
            chosen = int(np.argmax(np.append(shares <= MOST_WRONG, True)[: len(shares)]))
            limit = getattr(LIMITS[symptom][chosen], field_name)
            cells += [f"{limit:g}", str(int(wrong[symptom][chosen, own].sum()))]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def write_records(figures: list[Figures]) -> None:
    """Write what the rules did to all runs, and to our own healthy ones, beside the rules."""
    records = count_own_runs()
    for symptom in MEASURED:
        records[symptom] |= {
            "runs": sum(one.runs for one in figures),
            "stops": sum(one.stops[symptom] for one in figures),
            "wrong": sum(one.wrong_by_rule[symptom] for one in figures),
        }
    lines = (f"  {json.dumps(symptom)}: {json.dumps(row)}" for symptom, row in records.items())
    DATA.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the curves are (.npz or .csv)")
    parser.add_argument("--only", choices=METHODS, action="append", help="methods (default: all)")
    parser.add_argument("--write", action="store_true", help="write the records of the rules")
    parser.add_argument("--leave-one-out", action="store_true", help="confirm the limits")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    sets = read_sets(args.folder)
    if not sets:
        sys.exit(f"{args.folder} has no curves (.npz or .csv).")
    with ProcessPoolExecutor(args.workers) as pool:
        if args.leave_one_out:
            print("| left out | runs | margin | wrong | stop_from | wrong |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |")
            print(*leave_one_out(sets, partial(pool.map, chunksize=16)), sep="\n")
            return
        summaries, ours = print_tables(sets, args.only or METHODS, pool.map)
    if args.write:
        write_records(ours)
    print(json.dumps(summaries))


def print_tables(
    sets: dict[str, list[Run]], methods: Sequence[str], mapped: Callable
) -> tuple[dict, list[Figures]]:
    """Print the table of each set; return all figures, and ours."""
    columns = "judged by | stopped | wrong | right | warned | of these rose | stopped at | saved"
    summaries, ours = {}, []
    for name, runs in sets.items():
        print(f"\n{name}, {len(runs):,} runs:\n\n| {columns} |")
        print(f"| --- |{' ---: |' * columns.count('|')}", flush=True)
        sweeps, summaries[name] = split_into_sweeps(runs), {}
        for method in methods:
            figures = judge_all(method, sweeps, mapped)
            print(format_row(method, figures), flush=True)
            summaries[name][method] = figures.summarise()
            if method == OURS:
                ours.append(figures)
                print(*figures.wrong, sep="\n", file=sys.stderr)
    return summaries, ours


if __name__ == "__main__":
    main()
