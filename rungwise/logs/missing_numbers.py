"""Separate the NaN of a foreign log that say that nothing was measured from measured ones.

Own loops and tables write NaN where there was nothing to average: no episode ended, the actor of
TD3 was not updated, a pretraining is over. What has diverged takes all losses with it: so a NaN is
believed at once only in rows in which no metric of an update is finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rungwise.health.improvement import BoolArray, FloatArray
from rungwise.health.metric_table import as_number
from rungwise.health.rules.training_faults import SKIPPED, WATCHED, find_lasting
from rungwise.logs.names.catalogue_metric import RETURNS, CatalogueMetric
from rungwise.logs.names.name_matching import is_bare_kl

UNENDED = 32
"""Rows in a row without a return from which it counts as lost, where no episodes are counted: a
policy that lives longer may end none in a few."""
RECORD = "record"
"""Under this name a row carries the foreign values it was made of while it is worked on."""
SICK = "sick"
"""Under this name a row collects which of its numbers are not finite while it is worked on."""
_TRAINED = re.compile(r"(?:.*/)?(?:(?:total|train|training|q|qf|dqn)_)?loss", re.IGNORECASE)
"""A loss that no rule knows, but that is certain to be one of the training."""
_LEARNER = re.compile(r"((?:ray/tune/)?learners/[^/]+/)")


def separate_missing(
    rows: Sequence[dict[str, Any]],
    taken: Mapping[str, CatalogueMetric],
    losses: Iterable[str],
    *,
    hindsight: bool,
) -> None:
    """Take out the NaN that only say that there was no number; point at the others.

    Args:
        rows: with their records.
        taken: foreign names with the metrics that they are.
        losses: foreign names of losses, and of KLs, that are none of ours. A NaN in a loss soon
            reaches the parameters, and in a KL of any kind it comes from them.
        hindsight: whether later rows may show what a NaN says, as they cannot in a live run.
    """
    watched = {metric.name for metric in taken.values()}.intersection(WATCHED)
    columns = [(rows, name) for name in watched]
    columns += [([row[RECORD] for row in rows], name) for name in losses]
    sound, broken = np.zeros(len(rows), np.bool_), np.zeros(len(rows), np.int64)
    for cells, name in columns:
        finite = np.isfinite(get_column(cells, name))
        sound |= finite
        broken += np.array([name in row for row in cells], np.bool_) & ~finite
    for foreign, metric in taken.items():
        _believe(rows, foreign, metric, sound, hindsight)
    for foreign in losses:
        _watch(rows, foreign, sound, broken > 1, hindsight)


def get_column(rows: Sequence[Mapping[str, Any]], name: str) -> FloatArray:
    """Return the numbers [R] of a metric; NaN where a row has none."""
    return np.array([as_number(row.get(name)) for row in rows])


def count_trained(
    foreign: str, values: Mapping[str, object], before: Mapping[str, object]
) -> float | None:
    """Return how much RLlib's learner was trained with in an iteration; None if it is not known.

    Without an update RLlib says NaN of all that it would have measured. ``before`` is of the
    iteration before.
    """
    learner = _LEARNER.match(foreign)
    counter = f"{learner[1]}num_module_steps_trained" if learner else ""
    if counter in values:
        return as_number(values[counter])
    total = f"{counter}_lifetime"
    if total not in values:
        return None
    return as_number(values[total]) - as_number(before.get(total, 0.0))


def _believe(
    rows: Sequence[dict[str, Any]],
    foreign: str,
    metric: CatalogueMetric,
    sound: BoolArray,
    hindsight: bool,
) -> None:
    name = metric.name
    column = get_column(rows, name)
    skips = name == "grad_norm"  # mixed precision skips an update whose gradients are too large
    lasting = find_lasting(column, SKIPPED if skips else 1)
    turned = _find_turned(column, UNENDED if name in RETURNS else SKIPPED, hindsight)
    begun = np.logical_or.accumulate(np.isfinite(column))
    waits = ~begun & np.isnan(column)
    ended = _find_ended(rows, metric.patchy | waits)
    for at, row in enumerate(rows):
        value = row.get(name)
        if not isinstance(value, float) or math.isfinite(value):
            continue
        if skips:
            believed = lasting[at]
        elif name in RETURNS and not ended[at]:
            # The mean over no episode is NaN by definition, the best of none often infinite.
            after = math.isinf(value) and begun[at] and not sound[at]
            believed = "episodes" not in row and (turned[at] or after)
        elif math.isinf(value) or not metric.patchy:
            believed = True
        else:
            # In tables with one row for each logging call, NaN fills the metrics of other calls.
            believed = turned[at] if sound[at] and name not in RETURNS else lasting[at]
        if not believed:
            del row[name]
        elif name in (*RETURNS, *WATCHED):
            row.setdefault(SICK, []).append(f"{foreign} ({value})")


def _find_ended(rows: Sequence[Mapping[str, Any]], patchy: BoolArray) -> BoolArray:
    """Return which rows [R] say that an episode ended.

    Libraries log no return without one, but for those that may be ``patchy`` [R].
    """
    counts = get_column(rows, "episodes")
    has_count = np.array(["episodes" in row for row in rows], np.bool_)
    # A mean length that is no number is one over no episode.
    has_length = np.array(["episode_length" in row for row in rows], np.bool_) | patchy
    by_length = ~has_length | np.isfinite(get_column(rows, "episode_length"))
    return np.where(has_count, counts > 0, by_length)


def _watch(
    rows: Sequence[dict[str, Any]],
    foreign: str,
    sound: BoolArray,
    confirmed: BoolArray,
    hindsight: bool,
) -> None:
    """Point at a loss that is none of ours and has turned NaN or infinite.

    It may be that of a pretraining, a validation or a policy that is not trained: it is believed
    where its learner was trained, or where no other loss of the row is finite.
    """
    column = get_column([row[RECORD] for row in rows], foreign)
    infinite, turned = np.isinf(column), _find_turned(column, SKIPPED, hindsight)
    begun = np.logical_or.accumulate(np.isfinite(column))
    lasting = find_lasting(column)
    is_main = bool(_TRAINED.fullmatch(foreign)) or is_bare_kl(foreign)
    for at, row in enumerate(rows):
        values = row[RECORD]
        if foreign not in values or math.isfinite(column[at]):
            continue
        trained = count_trained(foreign, values, rows[at - 1][RECORD] if at else {})
        if trained is not None:
            believed = trained > 0 and (lasting[at] or infinite[at])
        elif sound[at]:
            believed = is_main and turned[at]
        elif is_main or confirmed[at]:
            believed = lasting[at] or (infinite[at] and begun[at])
        else:
            believed = turned[at]
        if believed:
            row.setdefault(SICK, []).append(f"{foreign} ({values[foreign]})")


def _find_turned(column: FloatArray, least: int, hindsight: bool) -> BoolArray:
    """Return the rows from which a column [R] that had a number in every row has none any more.

    They must be at least ``least``, after at least ``SKIPPED`` numbers; without hindsight this is
    known from the last of ``least`` rows on. Where a number has followed a NaN, the log writes it
    for what was not measured.
    """
    numbers = int(np.isfinite(column).sum())
    turned = np.zeros(column.size, np.bool_)
    if numbers >= SKIPPED and column.size - numbers >= least:
        first = numbers if hindsight else numbers + least - 1
        turned[first:] = np.isfinite(column[:numbers]).all()
    return turned
