"""Translate the numbers of a foreign log to rows of the catalogue.

Traps that it handles: RLlib writes NaN for a missing value (a return while no episode has finished,
a loss without an update) and logs a KL of 0 in every row when it does not compute it. Smoothed
returns hide the number of episodes per row, which is needed to judge the start of a run, so it is
estimated from steps and episode lengths. No tool logs the maximal entropy: it is taken from the
first rows of a policy with few choices. SB3 does not log the discount: a value of 0 follows from an
explained variance of NaN.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.health.improvement import FloatArray, is_constant, keep_finite
from rungwise.health.metric_table import as_number
from rungwise.health.remedy import OtherLibrary
from rungwise.logs.counts import (
    MOST_OFTEN,
    count_within_rows,
    drop_steps_of_a_row,
    scale_success,
)
from rungwise.logs.likely_return import may_be_return, rank_likely_returns
from rungwise.logs.log import Log
from rungwise.logs.log_record import Record
from rungwise.logs.missing_numbers import (
    RECORD,
    SICK,
    count_trained,
    get_column,
    separate_missing,
)
from rungwise.logs.names.catalogue_metric import RETURNS, CatalogueMetric
from rungwise.logs.names.name_matching import (
    chooses_tokens,
    find_setting_names,
    is_bare_kl,
    match_metrics,
    recognise_libraries,
    strip_tune_prefix,
)
from rungwise.logs.stacked_runs import find_env, names_run
from rungwise.metrics import METRICS
from rungwise.validation import InputError

SB3_UNTRAINED = ("time/fps", "rollout/", "eval/", "env_steps")
"""Prefixes of the names in a TensorBoard file of SB3 before the first update."""
HELD_OUT = "held_out_return_mean"
NO_ROW = {
    *("iteration", "iteration_s", "env_steps", "env_steps_per_s", "lr", "gamma", "updates"),
    *(HELD_OUT, RECORD),
}
"""Metrics that alone make no row: an evaluation between two iterations logs them, too."""
MOST_CHOICES = 18
"""The number of choices is known by its logarithm up to here (the buttons of Atari)."""
NEAR = 0.015
"""How far below the maximum the first entropies may be, as a share: ln 17 is 2 % below ln 18."""
GUESSED = "{} is taken for the return, by its name: if another column is, say so with --rename."
_OF_AGENT = re.compile(r"(?:agent|module)_episode_returns_mean/")


def translate_log(
    path: Path,
    name: str,
    form: str,
    records: Sequence[Record],
    rename: Mapping[str, str],
    note: str = "",
    *,
    hindsight: bool = True,
) -> Log:
    """Translate the records of a file to a log.

    Args:
        path: the file, for messages.
        name: the name of the log.
        form: the format of the file.
        records: the records of the file, in their order.
        rename: names of the log, each with the catalogue's.
        note: what the log says of itself.
        hindsight: see :func:`separate_missing`.

    Raises:
        InputError: if a metric has a value that is not a number.
    """
    names = list(dict.fromkeys(key for record in records for key in record.values))
    numbers = {name for name in names if _is_metric(name, records)}
    taken = match_metrics(names, rename, set(names) - numbers)
    # RLlib's counters since the start are compared with those of the record before. A row carries
    # its record (RECORD) until it is finished: later steps look up names that are no metric.
    before = [{}, *(record.values for record in records)]
    rows = [_translate_record(path, r, taken, b) for r, b in zip(records, before, strict=False)]
    # Before rows are merged or left out: a count of a row is its difference to the row before.
    count_within_rows(rows, taken)
    _count_updates_of_sb3(rows, names, taken)
    _turn_entropy(rows, taken)
    _merge_evaluations(rows)
    rows = [row for row in rows if row.keys() - NO_ROW]
    drop_steps_of_a_row(rows)
    _widen_range_by_agents(rows, names)
    rows = _number_iterations(rows)
    # Before the NaN are judged: a NaN return is a symptom only where episodes finished.
    _estimate_episodes(rows)
    empty = _find_empty_return(rows, taken)
    unmapped = [n for n in names if n in numbers and n not in taken and not names_run(n)]
    notes = [note, *(GUESSED.format(name) for name, m in taken.items() if m.is_guessed)]
    losses = [name for name in unmapped if "loss" in name.casefold() or is_bare_kl(name)]
    separate_missing(rows, taken, losses, hindsight=hindsight)
    # RLlib alone calls the KL a loss; in other tools a KL of 0 is a measurement.
    if any(metric.name == "kl" and "kl_loss" in foreign for foreign, metric in taken.items()):
        _drop_kl_not_computed(rows)
    _normalise_entropy(rows, names)
    _infer_discount(rows)
    scale_success(rows, taken)
    position_by_values = {id(record.values): position for position, record in enumerate(records)}
    places = [position_by_values[id(row[RECORD])] for row in rows]
    for row in rows:
        _finish_row(row)
    exact, smooth = (sum(n in row for row in rows) for n in RETURNS)
    has_return = any(metric.name in RETURNS for metric in taken.values())
    # Exact means are better than moving averages, whose rows repeat each other, unless they exist
    # for few rows (sparse evaluations).
    score, likely = RETURNS[0] if exact >= smooth / 2 else RETURNS[1], ""
    if any("success_rate" in row for row in rows) and not has_return:
        score = "success_rate"
    elif not (exact or smooth):
        # The catalogue's reward_mean is that of a step; in other logs it is often a return.
        unclear = [] if recognise_libraries(names) else [n for n in taken if n == "reward_mean"]
        ranked = rank_likely_returns(_get_columns([*unmapped, *unclear], records))
        likely = next(filter(may_be_return, ranked), "")
        unmapped = [name for name in ranked if name not in unclear]
    return Log(
        name,
        form,
        rows,
        unmapped,
        score=score,
        env=find_env(records),
        renamed=frozenset(rename) & set(names),
        note=" ".join(filter(None, notes)),
        places=places,
        likely_return=likely,
        empty_return=empty,
        other=_describe_library(names),
    )


def _describe_library(names: Sequence[str]) -> OtherLibrary | None:
    """Return what is known of the library that wrote a log; None where nothing is."""
    settings, of_tokens = find_setting_names(names) or None, chooses_tokens(names)
    return OtherLibrary(settings, chooses_tokens=of_tokens) if settings or of_tokens else None


def _translate_record(
    path: Path, record: Record, taken: Mapping[str, CatalogueMetric], before: Mapping[str, object]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for foreign, metric in taken.items():
        value = record.values.get(foreign)
        # bool is a subclass of int, so a flag such as Tune's done would pass for a number. Of an
        # episode alone it says whether that was a success.
        if value is None or (isinstance(value, bool) and metric.name != "success_rate"):
            continue
        if isinstance(value, int | float):
            is_nan = math.isnan(value)
            trained = count_trained(foreign, record.values, before) if is_nan else None
            if trained is not None and not trained > 0:  # a learner without an update logs NaN
                continue
            row[metric.name] = float(value) * metric.times + metric.plus
        elif metric.is_guessed:
            continue  # it is no certain return, so that a word in it is no error
        elif metric.name in METRICS and METRICS[metric.name].unit in ("text", "shares"):
            row[metric.name] = value
        else:
            raise InputError(
                f"{path}, {record.location}: {foreign} is {reprlib.repr(value)}, which is not a "
                "number."
            )
    return row | {RECORD: record.values} if row else row


def _finish_row(row: dict[str, Any]) -> None:
    """Take what a row carried while it was translated out of it, and count its sick numbers."""
    row.pop(RECORD, None)
    sick = row.pop(SICK, [])
    if sick and "nonfinite" not in row:  # a log's own count knows more
        row |= {"nonfinite": len(sick), "nonfinite_where": sick[0]}


def _count_updates_of_sb3(
    rows: Iterable[dict[str, Any]], names: Sequence[str], taken: Mapping[str, CatalogueMetric]
) -> None:
    """Count an update in each row that has its metrics: TensorBoard does not have its number.

    Before the first one, SB3's agents with a replay memory log how they explore, the number of
    episodes, or, on TensorBoard, nothing but scores and speed. Others may use its logger, and name
    what they measure of updates differently.
    """
    logs_updates = any(name.startswith("train/") for name in names)
    waits = not {"rollout/exploration_rate", "time/episodes"}.isdisjoint(names)
    waits |= all(name.startswith(SB3_UNTRAINED) for name in names)
    waits &= not any("loss" in name.casefold() for name in names)
    counts = any(metric.name == "updates" for metric in taken.values())
    if "time/fps" in names and (logs_updates or waits) and not counts:
        for row in rows:
            row["updates"] = float(any(name.startswith("train/") for name in row[RECORD]))


def _turn_entropy(rows: Sequence[dict[str, Any]], taken: Mapping[str, CatalogueMetric]) -> None:
    """Take an ``entropy_loss`` that begins above zero as the entropy: scripts log either sign.

    SB3's is always the negative entropy, and a policy begins with a positive one.
    """
    turned = [n for n, metric in taken.items() if metric.name == "entropy" and metric.times < 0]
    first = keep_finite(get_column(rows, "entropy"))[:3]
    if turned and not turned[0].endswith("train/entropy_loss") and np.all(first < 0):
        for row in rows:
            if "entropy" in row:
                row["entropy"] *= -1


def _widen_range_by_agents(rows: Sequence[dict[str, Any]], names: Iterable[str]) -> None:
    """Widen the range of RLlib's returns by those of the agents, of which each is the sum.

    Only by those that vary: in a game of zero sum nothing else shows that returns differ.
    """
    agents = [name for name in names if _OF_AGENT.search(name)]
    columns = [get_column([row[RECORD] for row in rows], name) for name in agents]
    columns = [column for column in columns if not is_constant(keep_finite(column))]
    for row, *returns in zip(rows, *columns, strict=True):
        finite = [value for value in returns if math.isfinite(value)]
        if finite:
            row["return_min"] = min(*finite, row.get("return_min", math.inf))
            row["return_max"] = max(*finite, row.get("return_max", -math.inf))


def _merge_evaluations(rows: Iterable[dict[str, Any]]) -> None:
    """Join an evaluation that is logged by itself with the next iteration.

    With the next, since the one before may have been judged when it comes.
    """
    held_out: float | None = None
    for row in rows:
        if row.keys() - NO_ROW:
            if held_out is not None:
                row.setdefault(HELD_OUT, held_out)
            held_out = None
        else:
            held_out = row.get(HELD_OUT, held_out)


def _number_iterations(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the rows: by the log's own count of iterations if it counts each, else by ours.

    What a resume ran again is taken from the later row. A log that has only every tenth iteration
    is counted by its rows, because the rules' warm-ups are numbers of rows, and so is one with
    several rows for each number, such as that of an epoch.
    """
    repeats = sum(_is_repeated(earlier, later) for earlier, later in pairwise(rows))
    kept: list[dict[str, Any]] = []
    for row in rows:
        while kept and repeats <= MOST_OFTEN * len(rows) and _is_repeated(kept[-1], row):
            kept.pop()
        kept.append(row)
    numbers = [as_number(row.get("iteration")) for row in kept]
    dense = all(later - earlier == 1 for earlier, later in pairwise(numbers))
    start = int(numbers[0]) if numbers and dense and numbers[0] >= 1 else 1
    for number, row in enumerate(kept, start=start):
        row["iteration"] = number
    return kept


def _is_repeated(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Return whether an iteration was run again: its number is no higher, nor are its steps."""
    # NaN and a number that is missing fail the comparisons.
    again = as_number(later.get("iteration")) <= as_number(earlier.get("iteration"))
    return again and not as_number(later.get("env_steps")) > as_number(earlier.get("env_steps"))


def _estimate_episodes(rows: Iterable[dict[str, Any]]) -> None:
    """Add the number of episodes of each row: its steps divided by their mean length."""
    before = 0.0
    for row in rows:
        steps, length = as_number(row.get("env_steps")), as_number(row.get("episode_length"))
        # NaN fails both comparisons: a row without steps or length gets no estimate.
        if "episodes" not in row and steps > before and length >= 1:
            row["episodes"] = (steps - before) / length
        before = steps if math.isfinite(steps) else before


def _find_empty_return(rows: Sequence[dict[str, Any]], taken: Mapping[str, CatalogueMetric]) -> str:
    """Return the name of a return that is never a number.

    It is empty where the log says that no episode ended: a mean over none is NaN by definition.
    """
    counted = [row[name] for row in rows for name in ("episodes", "episode_length") if name in row]
    if counted and not any(as_number(value) > 0 for value in counted):
        return ""
    names = [foreign for foreign, metric in taken.items() if metric.name in RETURNS]
    values = [row[name] for row in rows for name in RETURNS if name in row]
    return names[0] if values and all(math.isnan(value) for value in values) else ""


def _drop_kl_not_computed(rows: Sequence[dict[str, Any]]) -> None:
    column = get_column(rows, "kl")
    # A column of zeros would make every run that does not compute the KL look frozen.
    if not np.any(column[~np.isnan(column)] != 0):
        for row in rows:
            row.pop("kl", None)


def _normalise_entropy(rows: Sequence[dict[str, Any]], names: Iterable[str]) -> None:
    """Add the entropy as a share of its maximum, where the start shows what that is.

    A policy of k choices begins near ln k, and never has more. A normal distribution begins at
    1.419 for each value, which for one value and for two is not just below any ln k.
    """
    # A language model is trained before: its first entropy lies near that of k words by chance.
    if chooses_tokens(names):
        return
    entropy = keep_finite(get_column(rows, "entropy"))
    # The differential entropy of a continuous policy may be negative and has no maximum.
    if entropy.size == 0 or entropy.min() < 0 or any("entropy_normalised" in row for row in rows):
        return
    # Only the start is near the maximum: later the entropy has fallen with learning. The margin
    # of 1e-3 allows for rounded numbers.
    most = float(entropy[:3].max())
    highest = next(
        (math.log(k) for k in range(2, MOST_CHOICES + 1) if math.log(k) > most - 1e-3), 0
    )
    if most > (1 - NEAR) * highest > 0 and entropy.max() <= highest + 1e-3:
        for row in rows:
            if "entropy" in row:
                row["entropy_normalised"] = row["entropy"] / highest


def _infer_discount(rows: Sequence[dict[str, Any]]) -> None:
    """Infer a discount of 0 where no row's explained variance is a number: no target differs.

    With any other, steps before the end of an episode and at its end have targets that differ,
    unless nothing is paid; and then the returns do not differ either. (Returns that have become
    all the same also leave no variance, but not from the first row on.)
    """
    explained = [row["explained_variance"] for row in rows if "explained_variance" in row]
    returns = keep_finite(np.concatenate([get_column(rows, name) for name in RETURNS]))
    if any("gamma" in row for row in rows) or len(explained) < len(rows) / 2 or not returns.size:
        return
    if np.isnan(explained).all() and np.ptp(returns) > 0:
        for row in rows:
            row["gamma"] = 0.0


def _is_metric(name: str, records: Sequence[Record]) -> bool:
    # Tune repeats the whole configuration in every row; it would swamp the unknown columns.
    if strip_tune_prefix(name).startswith("config/"):
        return False
    values = (record.values.get(name) for record in records)
    return any(isinstance(value, int | float) and value is not True for value in values)


def _get_columns(names: Sequence[str], records: Sequence[Record]) -> dict[str, FloatArray]:
    return {n: np.array([as_number(record.values.get(n)) for record in records]) for n in names}
