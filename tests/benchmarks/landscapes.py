# pyright: basic
"""Does tuning find better settings than random search at equal cost? ``make bench-landscapes``.

ARLBench (github.com/automl/arlbench) has trained 256 settings on ten seeds each for pairs of
environment and algorithm, and recorded ten points of each learning curve. Here a sweep runs over
such a table on a simulated clock of eight workers: each trial is one of the settings with one of
its seeds, and a point of its curve arrives after a tenth of a full run. What stops trials and
chooses the winner is Rungwise's own code; beside it are Ray Tune's ASHA and median stopping rule,
and Optuna's TPE with its pruners, each of which starts trials until the cost is used up.

Regret is (best setting - chosen setting) / (best - median), by the mean of the last point over all
seeds, at most 2; so 1 is a median setting. Cost counts points: a full run is ten.
"""

import argparse
import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.landscape_peers import Hyperband, MedianStopping, OptunaSearch
from benchmarks.landscape_tables import DATA, Table, Trial, load
from benchmarks.published_incumbents import COST, SEEDS, compare_incumbents
from benchmarks.replays import FullRuns, Stock
from rungwise.run_log.rung_agreement import measure_rung_agreement
from rungwise.run_log.score_noise import NoiseSource
from rungwise.run_log.trial_outcome import average_later_half
from tune_jobs.jobs.budget import FIRST_RUNG
from tune_jobs.jobs.job import REPEATS, REPEATS_FROM, Job
from tune_jobs.schedulers.replay import ReplayedHalving, StoppingWay, replay_trials

WORKERS, POINTS = 8, 10
FINALISTS = Job.__dataclass_fields__["finalists"].default
FACTOR = Job.__dataclass_fields__["reduction_factor"].default
COMPARED = ("Rungwise", "random search")
"""Methods with which all others, and published incumbents, are compared."""
PILOTS = 10
"""Replays of each table from which costs are calibrated."""
SLACK = 0.05
"""How much worse than random search a method may be on a table."""


@dataclass
class Search:
    """One sweep: where its trials come from, what stops them, and who wins."""

    trials: list[Trial] | Iterator[Trial]
    way: StoppingWay
    choose: Callable[[list[Trial], dict[str, int]], Trial]
    started: list[Trial]
    rungs: list[int] = field(default_factory=list[int])
    repeats: int = 0
    """Trials that are run once more in the end, which the replay does not see."""


def last_score(trial: Trial, reached: int) -> float:
    return float(np.nan_to_num(trial.results[reached - 1].score, nan=-np.inf))


def settled_score(trial: Trial, reached: int) -> float:
    if not np.isfinite(trial.results[reached - 1].score):
        return -np.inf
    return average_later_half(list_scores(trial, reached), reached)


def list_scores(trial: Trial, reached: int) -> list[tuple[int, float]]:
    """The points with a finite score."""
    rows = trial.results[:reached]
    return [(row.iteration, row.score) for row in rows if np.isfinite(row.score)]


def choose_last(trials: list[Trial], reached: dict[str, int]) -> Trial:
    """The trial with the best last score."""
    return max(trials, key=lambda trial: last_score(trial, reached[trial.id]))


def choose_finalist(trials: list[Trial], reached: dict[str, int]) -> Trial:
    """As `rungwise tune`: the finalists play again, which shows their last point once more."""
    ranked = sorted(trials, key=lambda trial: -settled_score(trial, reached[trial.id]))
    return choose_last(ranked[:FINALISTS], reached)


def choose_repeated(
    trials: list[Trial], reached: dict[str, int], table: Table, repeats: int, seed: int
) -> Trial:
    """As `rungwise tune` with repeats: the best mean of both trainings."""
    rng = np.random.default_rng(seed)
    ranked = sorted(trials, key=lambda trial: -settled_score(trial, reached[trial.id]))

    def average(trial: Trial) -> float:
        again = settled_score(table.run(trial.setting, trial.id, rng), POINTS)
        return settled_score(trial, reached[trial.id]) + again

    return max(ranked[:repeats], key=average)


def draw(
    table: Table, count: int, rng: np.random.Generator, weights: np.ndarray | None = None
) -> list[Trial]:
    count = min(count, len(table.settings))
    settings = rng.choice(len(table.settings), count, replace=False, p=weights)
    return [table.run(setting, f"{i:03d}", rng) for i, setting in enumerate(settings)]


def until(cost: float, trials: Iterator[Trial], way: "Counted") -> Iterator[Trial]:
    """New trials as long as less than the cost is used."""
    while way.used < cost and (trial := next(trials, None)) is not None:
        yield trial


class Counted:
    """Counts the points that a way of stopping uses."""

    def __init__(self, way: StoppingWay) -> None:
        self.way, self.used = way, 0

    def goes_on(self, trial, index: int) -> bool:
        self.used += 1
        return self.way.goes_on(trial, index)

    def called(self) -> str | None:
        return self.way.called()


class RankAlone(ReplayedHalving):
    """The same halving, which ends trials for a tie and within the noise of their scores."""

    def __init__(self, *words, **more) -> None:
        super().__init__(*words, **more)
        for bracket in self.brackets:
            for rung in bracket.rungs:
                rung.is_explained = lambda trial, allowed: False


class LastScore(ReplayedHalving):
    """The same halving, which ranks by the last score: it sees no scores between rungs."""

    def goes_on(self, trial, index: int) -> bool:
        if (
            index + 1 < len(trial.results)
            and index + 1 not in self.brackets.by_trial[trial.id].levels
        ):
            return True
        return super().goes_on(trial, index)


def full_runs(table: Table, cost: float, rng: np.random.Generator, choose=choose_last) -> Search:
    """Random search."""
    trials = draw(table, round(cost / POINTS), rng)
    return Search(trials, FullRuns(), choose, trials)


def halving(
    table: Table,
    cost: float,
    rng: np.random.Generator,
    grace=0,
    factor=FACTOR,
    kind=ReplayedHalving,
    choose=choose_finalist,
    most_repeats=REPEATS,
    weighted=True,
) -> Search:
    """Rungwise's successive halving with as many trials as the cost pays for."""
    grace = grace or round(FIRST_RUNG * POINTS)
    levels = [grace * factor**k for k in range(POINTS) if grace * factor**k < POINTS]
    steps = np.diff([0, *levels, POINTS])
    points = sum(step / factor**k for k, step in enumerate(steps))
    repeats, count = 0, round(cost / points)
    if (fewer := round((cost - most_repeats * POINTS) / points)) + most_repeats >= REPEATS_FROM:
        repeats, count = most_repeats, fewer
    trials = draw(table, count, rng, table.weights if weighted else None)
    way = kind(trials, "max", POINTS, grace, factor, noise=NoiseSource("return_mean"))  # type: ignore[arg-type]
    if repeats:
        seed = int(rng.integers(2**31))
        choose = functools.partial(choose_repeated, table=table, repeats=repeats, seed=seed)
    return Search(trials, way, choose, trials, levels, repeats)


def stopped(
    make: Callable[[], StoppingWay], table: Table, cost: float, rng: np.random.Generator
) -> Search:
    """Random settings under a stopping rule that never continues what it has stopped."""
    way, started = Counted(make()), list[Trial]()

    def trials() -> Iterator[Trial]:
        for trial in draw(table, len(table.settings), rng):
            started.append(trial)
            yield trial

    return Search(until(cost, trials(), way), way, choose_last, started)


def optuna_search(pruner: str, table: Table, cost: float, rng: np.random.Generator) -> Search:
    search = OptunaSearch(table, pruner, rng)
    way = Counted(search)
    return Search(until(cost, search.trials(), way), way, choose_last, search.started)


METHODS: dict[str, Callable[[Table, float, np.random.Generator], Search]] = {
    "random search": full_runs,
    "random search, later half": functools.partial(full_runs, choose=choose_finalist),
    "Rungwise": halving,
    "Rungwise, rates not weighted": functools.partial(halving, weighted=False),
    "Rungwise, nothing repeated": functools.partial(halving, most_repeats=0),
    "Rungwise, neither": functools.partial(halving, most_repeats=0, weighted=False),
    "neither, ranked by the last score": functools.partial(
        halving, kind=LastScore, choose=choose_last, most_repeats=0, weighted=False
    ),
    "Rungwise, first rung 10 %": functools.partial(halving, grace=1),
    "Rungwise, first rung 30 %": functools.partial(halving, grace=3),
    "Rungwise, ranks alone end trials": functools.partial(halving, kind=RankAlone),
    "Rungwise, factor 3": functools.partial(halving, factor=3),
    "Tune's ASHA, factor 3": functools.partial(stopped, lambda: Stock("max", POINTS, 1, 3)),
    "Tune's ASHA, factor 4": functools.partial(stopped, lambda: Stock("max", POINTS, 1, 4)),
    "Tune's Hyperband": functools.partial(stopped, Hyperband),
    "Tune's median stopping": functools.partial(stopped, MedianStopping),
    "Optuna's TPE": functools.partial(optuna_search, "none"),
    "Optuna's TPE, halving": functools.partial(optuna_search, "halving"),
    "Optuna's TPE, Hyperband": functools.partial(optuna_search, "hyperband"),
    "Optuna's TPE, Wilcoxon": functools.partial(optuna_search, "wilcoxon"),
}


def run_once(
    table: Table, place: int, method: str, cost: float, number: int
) -> tuple[float, float, float, float]:
    """Regret and cost of one replay, what it lost by stopping, and whether its rungs are flagged.

    Each table and replay has a random stream of its own.
    """
    rng = np.random.default_rng([place, number])
    search = METHODS[method](table, cost, rng)
    replayed = replay_trials(search.trials, search.way, WORKERS)  # type: ignore[arg-type]
    started, reached = search.started, replayed.reached
    regret = table.regret(search.choose(started, reached).setting)
    in_full = search.choose(started, dict.fromkeys(reached, POINTS))
    seen: list[Any] = [
        SimpleNamespace(scores=list_scores(t, reached[t.id]), iterations=reached[t.id], repeats="")
        for t in started
    ]
    agreement = measure_rung_agreement(seen, search.rungs)
    flagged = np.nan if agreement is None else agreement.is_low
    used = replayed.iterations + POINTS * search.repeats
    return regret, used, regret - table.regret(in_full.setting), flagged


def divide_for_optuna(cost: float) -> int:
    """Return the part of all replays that Optuna, which is a hundred times as slow, gets."""
    return 10 if cost < 200 else 50


def run_table(
    place: int, table: Table, costs: dict[str, float], replays: int, part: int
) -> dict[str, np.ndarray]:
    """By method ``[replays, 4]``: the figures of :func:`run_once`."""
    found: dict[str, np.ndarray] = {}
    for method, cost in costs.items():
        count = max(1, replays // part) if "Optuna" in method else replays
        found[method] = np.array([run_once(table, place, method, cost, i) for i in range(count)])
    return found


def run_all(
    tables: list[Table], costs: dict[str, float], replays: int, part: int
) -> list[dict[str, np.ndarray]]:
    """The replays of each table, on two processes."""
    with ProcessPoolExecutor(2) as pool:
        tasks = [
            pool.submit(run_table, i, table, costs, replays, part) for i, table in enumerate(tables)
        ]
        return [task.result() for task in tasks]


def calibrate(tables: list[Table], cost: int) -> dict[str, float]:
    """What to ask of each method so that it costs as much as asked.

    The workers that are busy when the cost is used up go on: a method then costs more.
    """
    pilots = run_all(tables, dict.fromkeys(METHODS, float(cost)), PILOTS, divide_for_optuna(cost))
    means = {m: statistics.fmean(rows[m][:, 1].mean() for rows in pilots) for m in METHODS}
    return {method: cost * cost / mean for method, mean in means.items()}


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the tables (*.npz)")
    parser.add_argument("--replays", type=int, default=100, help="of each method on each table")
    parser.add_argument("--costs", type=int, nargs="+", default=[80, 320], help="in points")
    parser.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="standard error of each point, in standard deviations over its seeds",
    )
    parser.add_argument("--only", nargs="+", choices=METHODS, help="methods; all by default")
    asked = parser.parse_args()
    for method in METHODS.keys() - {*COMPARED, *(asked.only or METHODS)}:
        del METHODS[method]
    tables = load(asked.data, asked.noise)
    if not tables:
        parser.error(f"{asked.data} has no tables (*.npz): name their folder with --data.")
    answer = {}
    for cost in asked.costs:
        found = run_all(tables, calibrate(tables, cost), asked.replays, divide_for_optuna(cost))
        answer[cost] = show(cost, tables, found)
    if (incumbents := asked.data / "published_incumbents.csv").exists():
        ranks = compare_incumbents(
            incumbents,
            [table.name for table in tables],
            {m: functools.partial(replay_incumbent, tables, m, asked.replays) for m in COMPARED},
        )
        print("\nmean rank of the best mean of three training seeds, beside published ones")
        for method, rank in sorted(ranks.items(), key=lambda pair: pair[1]):
            print(f"{method:38}{rank:7.2f}")
        answer["ranks"] = ranks
    print(json.dumps(answer))


def replay_incumbent(tables: list[Table], method: str, replays: int, place: int) -> float:
    """The mean of the best last score that a method sees, each trial trained on three seeds."""
    table, scores = dataclasses.replace(tables[place], seeds=SEEDS), list[float]()
    for number in range(replays):
        search = METHODS[method](table, COST, np.random.default_rng([place, number]))
        reached = replay_trials(search.trials, search.way, WORKERS).reached  # type: ignore[arg-type]
        scores.append(max(last_score(t, POINTS) for t in search.started if reached[t.id] == POINTS))
    return statistics.fmean(scores)


def show(
    cost: int, tables: list[Table], found: list[dict[str, np.ndarray]]
) -> dict[str, dict[str, float]]:
    """Print a line for each method; return its figures."""
    print(f"\ncost {cost}, {len(tables)} tables, {len(found[0]['Rungwise'])} replays each")
    print(f"{'':38}{'cost':>7}{'regret':>8}{'+-':>7}{'of random':>11}  worse than random on")
    figures = {}
    of_random = [rows["random search"][:, 0] for rows in found]
    random = statistics.fmean(regrets.mean() for regrets in of_random)
    for method in METHODS:
        regrets = [rows[method][:, 0] for rows in found]
        mean = statistics.fmean(r.mean() for r in regrets)
        # Of the replays alone: the tables are those that are asked about.
        error = np.sqrt(sum(r.var(ddof=1) / len(r) for r in regrets)) / len(regrets)
        used = statistics.fmean(rows[method][:, 1].mean() for rows in found)
        worse = [
            table.name
            for table, r, other in zip(tables, regrets, of_random, strict=True)
            if r.mean() - other.mean()
            > SLACK + 2 * np.sqrt(r.var(ddof=1) / len(r) + other.var(ddof=1) / len(other))
        ]
        print(
            f"{method:38}{used:7.0f}{mean:8.3f}{error:7.3f}{mean / random - 1:11.0%}  "
            f"{', '.join(worse) or '-'}",
            flush=True,
        )
        figures[method] = {"cost": used, "regret": mean, "error": float(error), "worse": len(worse)}
    lost, flagged = np.concatenate([rows["Rungwise"][:, 2:] for rows in found]).T
    for word, those in (("flagged", flagged == 1), ("not flagged", flagged == 0)):
        print(
            f"rungs {word}: {those.mean():.0%} of the sweeps, which lost {lost[those].mean():.3f}"
        )
    return figures


if __name__ == "__main__":
    main()
