"""Match the names of a log that no library writes exactly so: by other spellings, or by words."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from tune_jobs.foreign_logs.likely_return import is_evaluation, rank_return_name
from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric
from tune_jobs.foreign_logs.names.common_names import COMMON
from tune_jobs.foreign_logs.names.libraries import LIBRARIES

RETURNS = ("return_mean", "return_mean_100")
OF_RETURN = ("return_std", "return_min", "return_max", "episode_length")
"""Metrics of the same episodes as the return: of an evaluation only where the return is."""
OF_PPO = ("kl", "clip_fraction", "entropy")
"""Metrics of algorithms whose epsilon is the clip range."""
GROUPS = {
    *("train", "training", "trainer", "loss", "losses", "learner", "update", "agent", "algo"),
    *("info", "stats", "charts", "metrics", "rollout", "env", "optim", "global"),
}
"""What names of trackers begin with that says nothing of what was measured."""
IN_GROUPS = {
    *("env_steps", "iteration", "policy_loss", "value_loss", "explained_variance", "lr"),
    *("clip_fraction", "grad_norm", "exploration_rate", "success_rate", "episode_length"),
}
"""Metrics that are known in any group: a KL or an entropy among losses may have a weight."""
BARE_KL = ("kl", "kldivergence")
"""Names, folded, of the KL of an update, to a reference, or of a world model's states."""
CLOCKS = re.compile(r"(?:episodes?|epochs?|iter\w*|time\w*|index|\w*steps?|t|)(?:num|idx)?")
"""Names of what counts in tables of a training."""
_OF_POLICY = re.compile(r"^\w*policy\d*/", re.IGNORECASE)


@lru_cache(maxsize=1 << 14)
def fold(name: str) -> str:
    """Return a name without what does not distinguish it: case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _fold_tables() -> dict[str, tuple[int, CatalogueMetric | None]]:
    known: dict[str, CatalogueMetric | None] = {}
    for library in (*COMMON, *(library for library in LIBRARIES if not library.signs)):
        for theirs, ours in library.metrics.items():
            known.setdefault(fold(theirs), ours and dataclasses.replace(ours, patchy=True))
    return {
        theirs: (rank, ours)
        for rank, (theirs, ours) in enumerate(known.items())
        if theirs not in BARE_KL
    }


FOLDED = _fold_tables()


@lru_cache(maxsize=1 << 14)
def look_up_folded(name: str) -> tuple[int, CatalogueMetric] | None:
    """Return the metric of a name in any spelling, with its rank; the smallest is used."""
    found = FOLDED.get(fold(name)) or FOLDED.get(fold(_OF_POLICY.sub("policy/", name)))
    if found is None:
        group, _, rest = name.partition("/")
        rank, ours = FOLDED.get(fold(rest), (0, None)) if fold(group) in GROUPS else (0, None)
        return (len(FOLDED) + rank, ours) if ours and ours.name in IN_GROUPS else None
    rank, ours = found
    return ours and (rank, ours)


def match_loosely(
    names: Sequence[str], found: Mapping[str, CatalogueMetric], *, strict: bool
) -> dict[str, CatalogueMetric]:
    """Return the metrics that have no exact name in a log, by other spellings or by words.

    Two names of the same spelling are ambiguous: neither is used. A return of the training goes
    before one of an evaluation, and nothing is added to a return that has its exact name.

    Args:
        names: those without a metric.
        found: the exact names with their metrics.
        strict: whether a return is known by its words only in a table with other metrics or a
            clock: any table may have a column for a score.
    """
    alike = Counter(map(fold, names))
    candidates = sorted(
        (is_evaluation(name), match[0], place, name, match[1])
        for place, name in enumerate(names)
        if alike[fold(name)] == 1 and (match := look_up_folded(name))
    )
    known = {ours.name: theirs for theirs, ours in found.items()}
    has_exact = not known.keys().isdisjoint(RETURNS)
    matched: dict[str, CatalogueMetric] = {}
    for is_held_out, _, _, name, ours in candidates:
        has_return = has_exact or (is_held_out and not known.keys().isdisjoint(RETURNS))
        is_clip = ours.name == "exploration_rate" and not known.keys().isdisjoint(OF_PPO)
        if is_clip or (ours.name in RETURNS and has_return):
            continue
        if known.setdefault(ours.name, name) == name:
            matched[name] = ours
    if known.keys().isdisjoint(RETURNS):
        guess = ""
        if known or not strict or any(CLOCKS.fullmatch(fold(name)) for name in names):
            unclear = [name for name in names if FOLDED.get(fold(name), (0, "unknown"))[1]]
            guess = guess_return([*unclear, known.get("reward_mean", "")])
        if guess:
            known[RETURNS[0]] = guess
            matched[guess] = CatalogueMetric(RETURNS[0], patchy=True, is_guessed=True)
    of_return = {is_evaluation(known[name]) for name in RETURNS if name in known}
    return {
        name: ours
        for name, ours in matched.items()
        if ours.name not in OF_RETURN or not of_return or is_evaluation(name) in of_return
    }


def guess_return(names: Iterable[str]) -> str:
    """Return the only name that is most like that of a return; empty where several are."""
    ranked = sorted((rank, name) for name in names if (rank := rank_return_name(name)))
    alone = len(ranked) == 1 or (len(ranked) > 1 and ranked[0][0] < ranked[1][0])
    return ranked[0][1] if alone else ""
