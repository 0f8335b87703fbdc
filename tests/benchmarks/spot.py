# pyright: basic, reportArgumentType=false
"""What preemptions cost a sweep on spot instances: recorded ones, on a simulated clock.

``PYTHONPATH=.:tests python -m benchmarks.spot`` runs sweeps over published learning curves
(ARLBench, see ``benchmarks.landscapes``) on nodes that come and go as recorded spot instances did
(github.com/skypilot-org/spot-traces). What decides is the scheduler of the product, through the
calls that Tune's controller makes; compared with Tune's own ASHA with the same rungs and trials on
the same nodes, and with nodes on demand, which never go.

A trial has 100 iterations of 20 s; its score is interpolated between the ten points of its curve.
A node runs one trial at a time. It follows one instance of a trace drawn at random, from a random
start, round and round; of a trace that counts several instances, instance k is up where more than k
are. A change has happened at a random time since the tick before. Each start of a trial on a node,
be it new, promoted or preempted, takes 30 s. Nodes leave without notice: a trial loses what lies
after its last checkpoint and starts anew from there on the node that has been free for longest,
after promoted and before new trials, as in Tune. A checkpoint takes no time. Node-hours are paid
for while a node is up and the sweep has not ended.

"lost" is node time in seconds for each interruption: what is repeated, and the start; in theory
half an interval and a start. "share" is its part of the time of busy nodes, "best" the end of the
chosen trial: Rungwise chooses by its finalists, Tune by the last score. Regret is that of
``benchmarks.landscapes``. +- is the standard error over seeds, each of which runs once on each
table. Nothing is repeated on a second seed. The last line is one JSON object.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from benchmarks.landscape_tables import DATA, Table, Trial, load
from benchmarks.landscapes import FACTOR, choose_finalist, choose_last
from benchmarks.spot_sweeps import (
    ITERATION_S,
    ITERATIONS,
    ON_DEMAND,
    START_S,
    Node,
    SpotTrial,
    Sweep,
    Trace,
)
from tune_jobs.jobs.budget import choose_first_rung
from tune_jobs.jobs.job import Job
from tune_jobs.schedulers.asha import RecordedASHA
from tune_jobs.schedulers.replay import ReplayedHalving

SPOT_PRICE, ON_DEMAND_PRICE = 0.92, 3.06
"""Dollars for an hour of a node: an AWS p3.2xlarge, one V100, as most of the traces are."""
INTERVAL = Job.__dataclass_fields__["checkpoint_interval"].default
NEAR = 0.05
"""Regret up to which a choice counts as near the best."""
WAYS = ("Rungwise", "Tune's ASHA")
HEAD = """\
| traces | way | interval | preempted | lost (s), theory | share | hours | $ | best: h, $ | regret |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"""


def make_scheduler(way: str, trials: Sequence[Trial]) -> FIFOScheduler:
    """The product's scheduler, or Tune's with the same rungs."""
    first = choose_first_rung(ITERATIONS)
    if way == "Rungwise":
        return RecordedASHA(ReplayedHalving(trials, "max", ITERATIONS, first, FACTOR).brackets)
    return AsyncHyperBandScheduler("iteration", "score", "max", ITERATIONS, first, FACTOR)


def interpolate(trial: Trial) -> list[float]:
    """The scores of all iterations; those before the first point are taken to be equal to it."""
    points = [row.score for row in trial.results]
    at = (np.arange(len(points)) + 1) * ITERATIONS / len(points)
    return np.interp(np.arange(1, ITERATIONS + 1), at, points).tolist()


@dataclass(frozen=True)
class Case:
    """What a sweep is run with."""

    name: str
    """Of the traces."""
    traces: Sequence[Trace]
    price: float
    way: str
    interval: int


def make_sweep(case: Case, trials: Sequence[Trial], nodes: int, seed: Sequence[int]) -> Sweep:
    """A sweep of these trials; nodes are the same for the same seed and traces."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(case.traces), size=nodes)
    followed = [Node(case.traces[i].follow(rng)) for i in drawn]
    running = [SpotTrial(trial.id, interpolate(trial)) for trial in trials]
    return Sweep(running, make_scheduler(case.way, trials), followed, case.interval)


def measure(case: Case, table: Table, size: tuple[int, int], seed: tuple[int, int]) -> dict:
    """The figures of one sweep.

    Args:
        case: how it runs.
        table: of learning curves.
        size: trials and nodes.
        seed: of the table and of the sweep.
    """
    rng = np.random.default_rng(seed)
    settings = rng.choice(len(table.settings), size[0], replace=size[0] > len(table.settings))
    trials = [table.run(setting, f"{i:05d}", rng) for i, setting in enumerate(settings)]
    sweep = make_sweep(case, trials, size[1], (*seed, 1))
    sweep.run()
    points = len(trials[0].results)
    reached = {t.trial_id: t.reached * points // ITERATIONS for t in sweep.trials}
    choices = [choose(trials, reached) for choose in (choose_finalist, choose_last)]
    best = choices[WAYS.index(case.way)]
    best_s, best_paid_s = sweep.trials[trials.index(best)].ended
    regret, alike = table.regret(best.setting), table.regret(choices[0].setting)
    return {
        "interruptions": len(sweep.losses),
        "lost_s": sum(sweep.losses),
        "most_lost_s": max(sweep.losses, default=0.0),
        "lost_share": sum(sweep.losses) / sweep.busy_s,
        "hours": sweep.now / 3600,
        "dollars": sweep.paid_s / 3600 * case.price,
        "best_hours": best_s / 3600,
        "best_dollars": best_paid_s / 3600 * case.price,
        "regret": regret,
        "regret_by_finalists": alike,
        "near": float(regret <= NEAR),
        "iterations": sum(t.reached for t in sweep.trials),
        "full": sum(t.reached == ITERATIONS for t in sweep.trials),
    }


def measure_table(cases: Sequence[Case], place: int, table: Table, size, seeds: int) -> list[list]:
    """``[cases][seeds]``: the figures of one table."""
    return [[measure(case, table, size, (place, s)) for s in range(seeds)] for case in cases]


def summarise(found: list[list[dict[str, float]]]) -> dict[str, tuple[float, float]]:
    """Mean of each figure and its standard error over seeds, from ``[tables][seeds]``."""
    by_seed = [dict.fromkeys(found[0][0], 0.0) for _ in found[0]]
    for seed, row in enumerate(by_seed):
        for name in row:
            row[name] = statistics.fmean(rows[seed][name] for rows in found)
        row["lost_each_s"] = row["lost_s"] / row["interruptions"] if row["interruptions"] else 0.0
        row["most_lost_s"] = max(rows[seed]["most_lost_s"] for rows in found)
    summary = {}
    for name in by_seed[0]:
        values = [row[name] for row in by_seed]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else math.nan
        summary[name] = (statistics.fmean(values), error)
    return summary


def read_traces(file: Path) -> list[Trace]:
    """The traces of the archive in which an instance is ever up."""
    with np.load(file) as data:
        names = [name for name in data.files if not name.endswith("|gap_seconds")]
        traces = [Trace(data[n].astype(int), float(data[f"{n}|gap_seconds"])) for n in names]
    return [trace for trace in traces if trace.counts.any()]


def list_cases(traces: Sequence[Trace], intervals: Sequence[int]) -> list[Case]:
    """Each way on demand and under all traces, with the default also under halves of them."""
    ranked = sorted(traces, key=lambda trace: trace.hazard)
    half = (len(ranked) + 1) // 2
    runs = [("all", ranked, interval) for interval in intervals]
    runs += [("calm half", ranked[:half], INTERVAL), ("rough half", ranked[-half:], INTERVAL)]
    cases = [Case("on demand", [ON_DEMAND], ON_DEMAND_PRICE, way, ITERATIONS) for way in WAYS]
    return cases + [
        Case(name, part, SPOT_PRICE, way, interval) for name, part, interval in runs for way in WAYS
    ]


def show(case: Case, figures: dict[str, tuple[float, float]]) -> str:
    """Return the line of a case."""
    spot = case.name != "on demand"
    half = case.interval * ITERATION_S / 2 + START_S
    lost = f"{case.interval} | {figures['interruptions'][0]:.0f} | {{}}, {half:.0f}"
    lost = lost.format("{:.0f} +- {:.0f}".format(*figures["lost_each_s"])) if spot else "- | 0 | -"
    return (
        f"| {case.name} | {case.way} | {lost} | {figures['lost_share'][0]:.1%} | "
        "{:.2f} +- {:.2f} | ".format(*figures["hours"])
        + "{:.1f} +- {:.1f} | ".format(*figures["dollars"])
        + f"{figures['best_hours'][0]:.2f}, {figures['best_dollars'][0]:.1f} | "
        + "{:.3f} +- {:.3f} |".format(*figures["regret"])
    )


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of learning curves (*.npz)")
    parser.add_argument("--traces", type=Path, default=DATA.parent / "spot_traces.npz")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=16)
    parser.add_argument("--intervals", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", help="names of tables; all by default")
    asked = parser.parse_args()
    tables = [t for t in load(asked.data) if t.name in (asked.only or [t.name])]
    if not tables:
        parser.error(f"{asked.data} has no such tables (*.npz): name their folder with --data.")
    if not asked.traces.exists():
        parser.error(f"{asked.traces} does not exist: name the archive of traces with --traces.")
    cases = list_cases(read_traces(asked.traces), asked.intervals)
    size = asked.trials, asked.nodes
    with ProcessPoolExecutor(2) as pool:
        tasks = [
            pool.submit(measure_table, cases, place, table, size, asked.seeds)
            for place, table in enumerate(tables)
        ]
        found = [task.result() for task in tasks]
    print(f"{size[0]} trials on {size[1]} nodes, {len(tables)} tables, {asked.seeds} seeds each")
    print(HEAD)
    answer = []
    for i, case in enumerate(cases):
        figures = summarise([rows[i] for rows in found])
        print(show(case, figures), flush=True)
        known = {"traces": case.name, "way": case.way, "interval": case.interval}
        answer.append(known | {name: list(value) for name, value in figures.items()})
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
