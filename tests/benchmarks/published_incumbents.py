# pyright: basic
"""What ARLBench's authors reached with as many full trainings, beside what replays reach.

Each of their evaluations is the mean of three training seeds, and the best one seen is reported:
32 settings by random search and by SMAC, SMAC with Hyperband, and PBT, on five seeds each.
"""

import csv
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from scipy.stats import rankdata

SEEDS, COST = 3, 320
"""Training seeds of a trial, and points of the curves for as many full runs as theirs."""


def read_incumbents(file: Path) -> dict[str, dict[str, float]]:
    """By pair of environment and algorithm, and by optimiser, the mean over its seeds."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with file.open() as lines:
        for row in csv.DictReader(lines):
            score = float(row["incumbent_mean_of_3_seeds"])
            found[row["pair"]][f"published {row['optimizer']}"].append(score)
    return {pair: {n: statistics.fmean(s) for n, s in by.items()} for pair, by in found.items()}


def compare_incumbents(
    file: Path, names: list[str], replay: dict[str, Callable[[int], float]]
) -> dict[str, float]:
    """Return the mean rank over the tables, 1 the best.

    Args:
        file: the published incumbents.
        names: of the tables, by place.
        replay: by method, a function of a table's place: the mean of the incumbents' scores.
    """
    published, ranks = read_incumbents(file), defaultdict[str, list[float]](list)
    for place, name in enumerate(names):
        scores = published[name] | {method: run(place) for method, run in replay.items()}
        for method, rank in zip(scores, rankdata([-s for s in scores.values()]), strict=True):
            ranks[method].append(float(rank))
    return {method: statistics.fmean(found) for method, found in ranks.items()}
