"""Match the names of a log that no library writes exactly so: by other spellings, or by words."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

from tune_jobs.foreign_logs.likely_return import is_evaluation, parse_return, parse_spread
from tune_jobs.foreign_logs.names.catalogue_metric import RETURNS, CatalogueMetric
from tune_jobs.foreign_logs.names.common_names import COMMON
from tune_jobs.foreign_logs.names.libraries import LIBRARIES

OF_PPO = {"kl", "clip_fraction", "entropy"}
"""Metrics of algorithms whose epsilon is the clip range."""
GROUPS = {
    *("train", "training", "trainer", "loss", "losses", "learner", "update", "agent", "algo"),
    *("info", "stats", "charts", "metrics", "rollout", "env", "optim", "global", "policy"),
    *("environment", "exploration", "diagnostics"),
}
"""What names of trackers begin with that says nothing of what was measured."""
IN_GROUPS = {
    *("env_steps", "iteration", "policy_loss", "value_loss", "explained_variance", "lr"),
    *("clip_fraction", "grad_norm", "exploration_rate", "success_rate", "episode_length"),
}
"""Metrics that are known in any group: a KL or an entropy among losses may have a weight."""
OF_EVALUATION = {"return_mean", "success_rate", "episode_length"}
"""Metrics that are known of an evaluation, too."""
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
    known: dict[str, tuple[int, CatalogueMetric | None]] = {}
    for library in (COMMON, *(library for library in LIBRARIES if not library.signs)):
        for theirs, ours in library.metrics.items():
            loose = ours and dataclasses.replace(ours, patchy=True)
            if fold(theirs) not in BARE_KL:
                known.setdefault(fold(theirs), (len(known), loose))
    return known


FOLDED = _fold_tables()
"""The metric of each folded name with its rank, the smallest of which is used."""


@lru_cache(maxsize=1 << 14)
def look_up_loosely(name: str) -> tuple[int, CatalogueMetric] | None:
    """Return the metric of a name in any spelling, with its rank."""
    found = FOLDED.get(fold(name)) or FOLDED.get(fold(_OF_POLICY.sub("policy/", name)))
    words = parse_return(name)
    if words and not words.is_unclear and (not found or (found[1] and found[1].name in RETURNS)):
        ours = CatalogueMetric(RETURNS[words.is_smoothed], patchy=True)
        return 2 * words.kind + words.is_average, ours
    if not found:
        group, _, rest = name.partition("/")
        rank, ours = FOLDED.get(fold(rest), (0, None))
        known = (fold(group) in GROUPS and IN_GROUPS) or (is_evaluation(group) and OF_EVALUATION)
        return (rank, ours) if ours and known and ours.name in known else None
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
    alike = Counter(map(_spell, names))
    candidates = sorted(
        (is_evaluation(name), match[0], place, name, match[1])
        for place, name in enumerate(names)
        if alike[_spell(name)] == 1 and (match := look_up_loosely(name))
    )
    known = {ours.name: theirs for theirs, ours in found.items()}
    has_exact = not known.keys().isdisjoint(RETURNS)
    is_of_ppo = not OF_PPO.isdisjoint({*known, *(ours.name for *_, ours in candidates)})
    matched: dict[str, CatalogueMetric] = {}
    for is_held_out, _, _, name, ours in candidates:
        if ours.name in RETURNS:
            is_other = has_exact or (is_held_out and not known.keys().isdisjoint(RETURNS))
        else:
            is_other = ours.name == "exploration_rate" and is_of_ppo
        if not is_other and known.setdefault(ours.name, name) == name:
            matched[name] = ours
    if known.keys().isdisjoint(RETURNS):
        is_table = known or not strict or any(CLOCKS.fullmatch(fold(name)) for name in names)
        guess = _guess_return([*names, known.get("reward_mean", "")]) if is_table else ""
        if guess:
            known[RETURNS[0]] = guess
            matched[guess] = CatalogueMetric(RETURNS[0], patchy=True, is_guessed=True)
    return matched | _match_spreads(names, {**found, **matched})


def _match_spreads(
    names: Sequence[str], taken: Mapping[str, CatalogueMetric]
) -> dict[str, CatalogueMetric]:
    """Return the spreads of the return, which have its words: those of another one are left out."""
    matched: dict[str, CatalogueMetric] = {}
    for theirs in (
        theirs for theirs, ours in taken.items() if ours.name in RETURNS and ours.patchy
    ):
        for name in names:
            spread, words = parse_spread(name)
            if spread and words == parse_spread(theirs)[1]:
                matched.setdefault(name, CatalogueMetric(f"return_{spread}", patchy=True))
    return matched


def _guess_return(names: Iterable[str]) -> str:
    """Return the only name that is most like that of a return; empty where several are."""
    words = {name: parse_return(name) for name in names if FOLDED.get(fold(name), (0, "?"))[1]}
    ranked = sorted((rank[:3], name) for name, rank in words.items() if rank)
    alone = len(ranked) == 1 or (len(ranked) > 1 and ranked[0][0] < ranked[1][0])
    return ranked[0][1] if alone else ""


def _spell(name: str) -> Hashable:
    """Return what names have in common that are taken for the same."""
    words = parse_return(name)
    return words.words if words and not words.is_unclear else fold(name)
