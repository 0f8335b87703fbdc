"""Turn counts and percentages of foreign logs into the catalogue's units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rungwise.health.improvement import FloatArray, keep_finite
from rungwise.health.metric_table import as_number
from rungwise.logs.missing_numbers import get_column
from rungwise.logs.names.catalogue_metric import CatalogueMetric

MOST_OFTEN = 0.25
"""Share of the rows up to which a count that does not rise is one of a resume."""
FEWEST_COUNTED = 10
"""Rows from which a number of episodes that never falls is taken to count from the start."""


def count_within_rows(rows: Sequence[dict[str, Any]], taken: Mapping[str, CatalogueMetric]) -> None:
    """Turn counts since the start of the run into those of each row."""
    for metric in taken.values():
        name, before = metric.name, math.nan
        if not _counts_from_start(metric, keep_finite(get_column(rows, name))):
            continue
        for row in (row for row in rows if name in row):
            count = row[name]
            # Episodes that a resumed log has counted in its first row ended before it.
            resumed = name == "episodes" and as_number(row.get("iteration")) > 1
            earlier = (count if resumed else 0.0) if math.isnan(before) else before
            # A count that is missing adds nothing, nor does one that restarts after a resume.
            row[name] = max(0.0, count - earlier) if not math.isnan(count) else 0.0
            before = before if math.isnan(count) else count


def _counts_from_start(metric: CatalogueMetric, column: FloatArray) -> bool:
    """Return whether a column [R] counts since the start: own loops call both counts "episodes"."""
    falls = int((np.diff(column) < 0).sum())
    if metric.since_start:
        return not metric.patchy or falls < MOST_OFTEN * column.size
    is_vague = metric.name == "episodes" and metric.patchy and column.size >= FEWEST_COUNTED
    # Those of a row fall now and then.
    return is_vague and falls == 0 and bool(column[-1] > FEWEST_COUNTED / 2 * column[0])


def drop_steps_of_a_row(rows: Sequence[dict[str, Any]]) -> None:
    """Take steps out that do not count from the start, but those of a row or of an episode."""
    changes = np.diff(keep_finite(get_column(rows, "env_steps")))
    falls, rises = int((changes < 0).sum()), int((changes > 0).sum())
    if changes.size > 1 and falls >= MOST_OFTEN * (falls + rises):
        for row in rows:
            row.pop("env_steps", None)


def scale_success(rows: Sequence[dict[str, Any]], taken: Mapping[str, CatalogueMetric]) -> None:
    """Turn percentages of success into fractions; take numbers of successes out."""
    most = max(keep_finite(get_column(rows, "success_rate")), default=0.0)
    names = "".join(n.casefold() for n, metric in taken.items() if metric.name == "success_rate")
    is_percentage = most <= 100 and re.search(r"rate|ratio|percent|%", names)
    for row in (row for row in rows if most > 1 and "success_rate" in row):
        rate = row.pop("success_rate")
        row |= {"success_rate": rate / 100} if is_percentage else {}
