# pyright: basic
"""How many good runs do stop rules end that see nothing but the return?

``PYTHONPATH=.:tests python -m benchmarks.false_alarms`` reads the learning curves of ARLBench
(automl/arlbench: ``performance`` [256 settings, 10 seeds, 10 points] for each pair of environment
and algorithm) from a folder of ``.npz`` files and judges each run after each point, as a live run
is judged (stop_judges.py), in sweeps of 32 settings on one seed. A stop is false if the run ends in
the top third of its table. A stop at the last point saves nothing and does not count. Prints a
Markdown table; the last line is one JSON object.

Intervals are 95 %: a bootstrap over tables, because runs of one table resemble each other. It is
degenerate where nothing was stopped: there Wilson's, which takes runs to be independent.
"""

import argparse
import json
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna

from benchmarks.landscape_tables import DATA
from benchmarks.stop_judges import METHODS, POINTS, Judge, Verdict
from rungwise.health import RULES

SWEEP = 32
"""Settings of a sweep."""
RESAMPLES = 2000
THIRDS = ("bottom", "middle", "top")
BOTTOM, MIDDLE, TOP = range(3)


@dataclass(frozen=True)
class Table:
    """The runs of one pair of environment and algorithm."""

    name: str
    curves: np.ndarray
    """[S, 10]: the returns of the runs; those of a sweep are neighbours."""
    thirds: np.ndarray
    """[S]: the third of the table that each run ends in."""


def read_tables(folder: Path, seeds: int) -> list[Table]:
    """Return the tables, each shuffled into sweeps of settings on one seed."""
    tables = []
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        curves = np.load(path)["performance"].astype(np.float64)
        thirds = split_into_thirds(curves[..., -1])
        # One random stream per table: a shared one would shuffle all tables alike.
        rng = np.random.default_rng(number)
        picks = [(rng.permutation(len(curves)), seed) for seed in range(seeds)]
        tables.append(
            Table(
                path.stem,
                np.concatenate([curves[order, seed] for order, seed in picks]),
                np.concatenate([thirds[order, seed] for order, seed in picks]),
            )
        )
    return tables


def split_into_thirds(ends: np.ndarray) -> np.ndarray:
    """Return the third that each run ends in; a diverged run (NaN) is as bad as the worst.

    Runs that end as badly as the worst are in no top third: where most runs never find a reward it
    is smaller than a third, and so is the middle one.
    """
    worst = np.nanmin(ends)
    ends = np.where(np.isnan(ends), worst, ends)
    ranked, third = np.sort(ends, axis=None), ends.size // 3
    lower, upper = ranked[third - 1], ranked[-third]
    thirds = np.where(ends > lower, MIDDLE, BOTTOM)
    return np.where((ends >= upper) & (ends > worst), TOP, thirds)


@dataclass(frozen=True)
class Outcome:
    """What a method said of all runs of all tables."""

    method: str
    tables: np.ndarray
    """[R]: the number of each run's table."""
    thirds: np.ndarray
    """[R]: the third of its table that each run ends in."""
    points: np.ndarray
    """[R]: the point after which it was stopped, 0 where it was not."""
    rules: np.ndarray
    """[R]: the rule that stopped it; empty where none did."""
    warned: np.ndarray
    """[R]: whether anything was warned of; nothing is by methods that only stop."""

    def summarise(self, rule: str = "") -> dict:
        """Return the figures of all stops, or of those by one rule."""
        stopped = self.rules == rule if rule else self.rules != ""
        groups = {name: self.thirds == number for number, name in enumerate(THIRDS)}
        return {
            "method": self.method,
            "rule": rule or "all",
            **{f"{name}_stopped": float(stopped[group].mean()) for name, group in groups.items()},
            "top_interval": self._estimate_interval(stopped),
            "saved": float((POINTS - self.points)[stopped].sum() / (POINTS * stopped.size)),
            "top_warned": float(self.warned[groups["top"]].mean()) if self.warned.any() else None,
        }

    def _estimate_interval(self, stopped: np.ndarray) -> tuple[float, float]:
        """Return the interval of the share of top runs that are stopped."""
        top = self.thirds == TOP
        tables = self.tables.max() + 1
        hits = np.bincount(self.tables[top & stopped], minlength=tables)
        runs = np.bincount(self.tables[top], minlength=tables)
        if not hits.any():
            square = 1.96**2
            return 0.0, square / (runs.sum() + square)
        picks = np.random.default_rng(0).integers(runs.size, size=(RESAMPLES, runs.size))
        low, high = np.quantile(hits[picks].sum(1) / runs[picks].sum(1), [0.025, 0.975])
        return float(low), float(high)


def judge_all(method: str, judge: Judge, tables: list[Table]) -> Outcome:
    """Ask a method about all runs."""
    verdicts: list[Verdict] = []
    for table in tables:
        for start in range(0, len(table.curves), SWEEP):
            verdicts += judge(list(table.curves[start : start + SWEEP]))
    return Outcome(
        method,
        np.repeat(np.arange(len(tables)), [len(table.curves) for table in tables]),
        np.concatenate([table.thirds for table in tables]),
        np.array([verdict.point for verdict in verdicts]),
        np.array([verdict.rule for verdict in verdicts]),
        np.array([verdict.warned > 0 for verdict in verdicts]),
    )


def format_rows(outcome: Outcome) -> str:
    """Return the Markdown row of a method, and one for each of our rules that stopped a run."""
    rules = sorted({*RULES, "plateau"} & set(outcome.rules.tolist()))
    rows = [outcome.summarise(), *map(outcome.summarise, rules)]
    lines = []
    for row in rows:
        low, high = row["top_interval"]
        name = row["method"] if row["rule"] == "all" else f"... by `{row['rule']}`"
        shares = " | ".join(f"{row[f'{third}_stopped']:.1%}" for third in ("middle", "bottom"))
        warned = "" if row["rule"] != "all" or row["top_warned"] is None else row["top_warned"]
        lines.append(
            f"| {name} | {row['top_stopped']:.2%} | {low:.2%} to {high:.2%} | {shares} | "
            f"{row['saved']:.1%} | {warned and format(warned, '.0%')} |".replace("%", " %")
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the tables (.npz)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each setting, 1 to 10")
    args = parser.parse_args()
    tables = read_tables(args.data, args.seeds)
    if not tables:
        sys.exit(f"{args.data} has no table (.npz): name the folder of ARLBench's with --data.")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")  # of experimental pruners, and of means of nothing but NaN
    columns = "judged by | top third stopped | 95 % | middle | bottom | saved | top third warned"
    print(f"| {columns} |\n| --- |{' ---: |' * columns.count('|')}")
    summaries = []
    for method, judge in METHODS.items():
        started = time.perf_counter()
        outcome = judge_all(method, judge, tables)
        print(format_rows(outcome), flush=True)
        print(f"{method}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        summaries.append(outcome.summarise())
    thirds = np.concatenate([table.thirds for table in tables])
    counts = {"tables": len(tables), "runs": thirds.size, "top": int((thirds == TOP).sum())}
    print(json.dumps(counts | {"methods": summaries}))


if __name__ == "__main__":
    main()
