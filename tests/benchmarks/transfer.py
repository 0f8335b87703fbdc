# pyright: basic
"""Do the settings that were best on one environment help on another?

``PYTHONPATH=.:tests python -m benchmarks.transfer`` tunes on a published table (landscapes.py) of
the same algorithm by random search, as many trials as the new search has, and gives its best
settings to the new one as its first trials; the others are drawn. Random search from scratch stands
beside it. Trials run in full on one random seed each, and the mean of the later half of the scores
chooses. Each replay takes the next of the other environments. Settings have the same number in all
tables of an algorithm: the same point of the search space.
"""

import argparse
import json
import statistics
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from benchmarks.landscape_tables import DATA, Table, load
from benchmarks.landscapes import POINTS, settled_score


def find_algorithm(table: Table) -> str:
    return table.name.rpartition("_")[2]


def rank_settings(table: Table, settings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Train each of these settings once; return them with the best first."""
    trials = [table.run(setting, str(setting), rng) for setting in settings]
    return settings[np.argsort([-settled_score(trial, POINTS) for trial in trials])]


def search(table: Table, first: np.ndarray, trials: int, rng: np.random.Generator) -> float:
    """Return the regret of a random search that begins with some settings."""
    drawn = rng.permutation(len(table.settings))
    settings = np.concatenate([first, drawn[~np.isin(drawn, first)]])[:trials]
    return table.regret(int(rank_settings(table, settings, rng)[0]))


def replay(tables: list[Table], place: int, points: int, trials: int, replays: int) -> np.ndarray:
    """Return the regrets [replays] on a table where the best ``points`` of another one come first.

    Each replay has a random stream of its own, the same for any number of points.
    """
    table, found = tables[place], []
    others = [t for t in tables if t is not table and find_algorithm(t) == find_algorithm(table)]
    for number, other in enumerate(islice(cycle(others), replays)):
        rng = np.random.default_rng([place, number])
        before = rng.choice(len(other.settings), trials, replace=False)
        first = rank_settings(other, before, rng)[:points]
        found.append(search(table, first, trials, rng))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the tables (*.npz)")
    parser.add_argument("--replays", type=int, default=300, help="on each table")
    asked = parser.parse_args()
    tables = load(asked.data)
    if not tables:
        parser.error(f"{asked.data} has no tables (*.npz): name their folder with --data.")
    answer = {}
    for trials in (8, 32):
        for points in (0, 1, 4, 8):
            regrets = [replay(tables, i, points, trials, asked.replays) for i in range(len(tables))]
            mean = statistics.fmean(r.mean() for r in regrets)
            error = float(np.sqrt(sum(r.var(ddof=1) / len(r) for r in regrets)) / len(regrets))
            print(
                f"{trials:2} trials, {points} from elsewhere: {mean:.3f} +- {error:.3f}", flush=True
            )
            answer[f"{trials}/{points}"] = {"regret": mean, "error": error}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
