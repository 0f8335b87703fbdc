"""Find the catalogue's metrics among the names of a log.

A name is looked up exactly as a library writes it, then in any spelling, then by its words.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

from rungwise.logs.likely_return import AVERAGE, is_evaluation, list_words, parse_return
from rungwise.logs.names.catalogue_metric import RETURNS, CatalogueMetric, Library
from rungwise.logs.names.common_names import COMMON
from rungwise.logs.names.libraries import LIBRARIES
from rungwise.metrics import METRICS
from rungwise.validation import unknown_name_error

KNOWN = {name: m for lib in LIBRARIES if not lib.signs for name, m in lib.metrics.items()}
"""Names that mean the same in every log."""
OF_PPO = {"kl", "clip_fraction", "entropy"}
"""Metrics of algorithms whose epsilon is the clip range."""
GROUPS = {
    *("train", "training", "trainer", "loss", "losses", "learner", "update", "agent", "algo"),
    *("info", "stats", "charts", "metrics", "rollout", "env", "optim", "global", "policy"),
    *("environment", "exploration", "diagnostics"),
}
"""Prefixes of names in trackers that say nothing of what was measured."""
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
FEWEST_NAMES = 2
"""Names of a library by which its log is known, where none of them is used by it alone."""
OF_BONUS = {"entropy", "entropy_coef"}
"""Metrics and settings of an entropy bonus."""
Rank = tuple[int, int]
"""Which of several names for one metric is used: the smallest. It begins with 0 for a name that the
caller gives, 1 for one of a recognised library, 2 for the catalogue's own and 3 for one of any log;
the second number is the position in that table."""
OF_ANY_LOG: Rank = (3, 0)
"""The lowest rank of a name that means the same in every log."""

_RANK = {name: rank for rank, name in enumerate(KNOWN)}
_POLICY = re.compile(r"^(learners|info/learner)/([^/]+)/")
_OF_POLICY = re.compile(r"^\w*policy\d*/", re.IGNORECASE)
_OF_TOKENS = re.compile(
    r"(?:^|[/_])(?:tokens?(?:$|[/_])|(?:response|completion)s?[/_](?:\w+_)?len)"
)
"""Names by which a log of an unknown library is that of a language model."""
_OF_UPDATES = ("clip_fraction", "explained_variance")
"""Metrics of logs in which it is that of an update."""
_OF_AN_UPDATE_BY = {"return_mean", "deltalosspi", "backtrackiters"}
"""Names of logs in which it is: by our catalogue's names, and Spinning Up's."""
_OF_WORLD_MODEL = {"dyn_loss", "rep_loss", "prior_ent", "post_ent"}
_DATA_SET = re.compile(r"^(val-core/).+(/(?:reward|acc)/mean)@\d+$|^(val/test_score/).+$")
"""Names of verl's validation: a data set's, which may have slashes, and its number of samples."""


@lru_cache(maxsize=1 << 14)
def fold(name: str) -> str:
    """Return a name without what does not distinguish it: case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())


FOLDED: dict[str, tuple[int, CatalogueMetric | None]] = {}
"""The metric of each folded name with its rank, the smallest of which is used; None is for names
that are known to be no metric, so that none is guessed from their words."""
for _rank, (_foreign, _metric) in enumerate([*COMMON.metrics.items(), *KNOWN.items()]):
    if fold(_foreign) not in BARE_KL:
        _loose = _metric and dataclasses.replace(_metric, patchy=True)
        FOLDED.setdefault(fold(_foreign), (_rank, _loose))


def match_metrics(
    names: Iterable[str],
    rename: Mapping[str, str],
    texts: Container[str] = (),
    *,
    strict: bool = False,
) -> dict[str, CatalogueMetric]:
    """Return the foreign name of each metric in a log, at most one per metric.

    Args:
        names: all names of the log.
        rename: some of them, each with the catalogue's.
        texts: names without any number, which only a library that writes them exactly so gives a
            meaning.
        strict: whether a return is guessed only in a table with other metrics or a clock: any
            table may have a column for a score.
    """
    names = list(dict.fromkeys(names))
    signed = _merge_signed(names)
    matches = {name: match for name in names if (match := _look_up_name(name, rename, signed))}
    exact = _choose_names(names, matches)
    # Where the library is known, so are all of its names; a single name is asked about by itself.
    if signed or len(names) < 2:
        return exact
    others = [name for name in names if name not in matches and name not in texts]
    taken = _match_loosely(others, exact)
    by_metric = {metric.name: name for name, metric in taken.items()}
    is_table = by_metric or not strict or any(CLOCKS.fullmatch(fold(name)) for name in others)
    if is_table and by_metric.keys().isdisjoint(RETURNS):
        guess = _guess_return([*others, by_metric.get("reward_mean", "")])
        taken |= {guess: CatalogueMetric(RETURNS[0], patchy=True, is_guessed=True)} if guess else {}
    return taken | _match_spreads(others, taken)


def _choose_names(
    names: Sequence[str], matches: Mapping[str, tuple[Rank, CatalogueMetric]]
) -> dict[str, CatalogueMetric]:
    """Return the name of each metric of those that are written as a library writes them."""
    alike = Counter(name.casefold() for name in matches)
    candidates = [
        (rank, position, name, metric)
        for position, (name, (rank, metric)) in enumerate(matches.items())
        # Where names differ in their case alone only the one in small letters is certain.
        if rank < OF_ANY_LOG or alike[name.casefold()] == 1 or name == name.casefold()
    ]
    metric_names = {metric.name for *_, metric in candidates}
    # Bare names of a KL are left out, unless the caller gives them: their rank begins with 0.
    full = [c for c in candidates if c[3].name != "kl" or not is_bare_kl(c[2]) or not c[0][0]]
    # Where another name says more, such as approx_kl, a bare one is another KL.
    if any(m.name == "kl" for *_, m in full) or not _has_kl_of_updates(names, metric_names):
        candidates = full
    candidates.sort(key=lambda candidate: candidate[:2])
    hidden = {metric.hides for *_, metric in candidates}
    taken: dict[str, tuple[str, CatalogueMetric]] = {}
    for _, _, name, metric in candidates:
        if strip_tune_prefix(name) not in hidden:
            taken.setdefault(metric.name, (name, metric))
    return dict(taken.values())


@lru_cache(maxsize=1 << 14)
def _look_up_loosely(name: str) -> tuple[int, CatalogueMetric] | None:
    """Return the metric of a name in any spelling, with its rank."""
    entry = FOLDED.get(fold(name)) or FOLDED.get(fold(_OF_POLICY.sub("policy/", name)))
    words = parse_return(name)
    if words and not words.is_unclear and (not entry or (entry[1] and entry[1].name in RETURNS)):
        metric = CatalogueMetric(RETURNS[words.is_smoothed], patchy=True, is_guessed=not entry)
        return 2 * words.kind + words.is_average, metric
    if not entry:
        group, _, rest = name.partition("/")
        rank, metric = FOLDED.get(fold(rest), (0, None))
        allowed = (fold(group) in GROUPS and IN_GROUPS) or (is_evaluation(group) and OF_EVALUATION)
        return (rank, metric) if metric and allowed and metric.name in allowed else None
    rank, metric = entry
    return metric and (rank, metric)


def _match_loosely(
    names: Sequence[str], exact: Mapping[str, CatalogueMetric]
) -> dict[str, CatalogueMetric]:
    """Return the exact names and those in other spellings, at most one per metric.

    Two names of the same spelling are ambiguous: neither is used. A return of the training goes
    before one of an evaluation, and nothing is added to a return that has its exact name.
    """
    alike = Counter(map(_spell, names))
    candidates = sorted(
        (is_evaluation(name), match[0], position, name, match[1])
        for position, name in enumerate(names)
        if alike[_spell(name)] == 1 and (match := _look_up_loosely(name))
    )
    metric_names = {metric.name for metric in exact.values()}
    # Metrics that no other spelling is taken for: with PPO, say, an epsilon is the clip range.
    closed = set[str]() if metric_names.isdisjoint(RETURNS) else {*RETURNS}
    if not OF_PPO.isdisjoint({*metric_names, *(metric.name for *_, metric in candidates)}):
        closed.add("exploration_rate")
    taken = dict(exact)
    for is_held_out, _, _, name, metric in candidates:
        if is_held_out and not metric_names.isdisjoint(RETURNS):
            closed |= {*RETURNS, "episode_length"}
        if metric.name not in metric_names | closed:
            metric_names.add(metric.name)
            taken[name] = metric
    return taken


def _match_spreads(
    names: Sequence[str], taken: Mapping[str, CatalogueMetric]
) -> dict[str, CatalogueMetric]:
    """Return the spreads of the return, which have its words: those of another one are left out."""
    free = {"std", "min", "max"} - {m.name.removeprefix("return_") for m in taken.values()}
    words = {name: {*list_words(name)} - AVERAGE for name in (*taken, *names)}
    returns = [words[n] for n, m in taken.items() if m.name in RETURNS and m.patchy]
    # Reversed: of two names with the same words the first one is kept.
    matched = {s: n for n in reversed(names) for s in free & words[n] if words[n] - {s} in returns}
    return {n: CatalogueMetric(f"return_{s}", patchy=True) for s, n in matched.items()}


def _guess_return(names: Iterable[str]) -> str:
    """Return the only name that is most like that of a return; empty where several are."""
    words = {name: parse_return(name) for name in names if FOLDED.get(fold(name), (0, "?"))[1]}
    ranks = {name: rank[:3] for name, rank in words.items() if rank}
    best = [name for name, rank in ranks.items() if rank == min(ranks.values())]
    return best[0] if len(best) == 1 else ""


def _spell(name: str) -> Hashable:
    """Return what names have in common that are taken for the same."""
    words = parse_return(name)
    return words.words if words and not words.is_unclear else fold(name)


def _has_kl_of_updates(names: Iterable[str], metric_names: Container[str]) -> bool:
    """Return whether a bare ``kl`` is that of an update: the log is of PPO or the like."""
    short = {strip_tune_prefix(name).casefold() for name in names}
    # Language models name so the KL to their reference, some summed over a completion.
    if short & _OF_WORLD_MODEL or chooses_tokens(short):
        return False
    return bool(short & _OF_AN_UPDATE_BY) or any(name in metric_names for name in _OF_UPDATES)


def is_bare_kl(name: str) -> bool:
    """Return whether a name is that of some KL, of which only the other names say which one."""
    return fold(strip_tune_prefix(name)) in BARE_KL


def recognise_libraries(names: Iterable[str]) -> list[Library]:
    """Return the libraries of which a log has a name that no other one uses."""
    short = {strip_tune_prefix(name).casefold() for name in names}
    return [library for library in LIBRARIES if not short.isdisjoint(library.signs)]


def chooses_tokens(names: Iterable[str]) -> bool:
    """Return whether the actions of a log's policy are tokens."""
    names = [strip_tune_prefix(name).casefold() for name in names]
    by_library = any(library.chooses_tokens for library in recognise_libraries(names))
    return by_library or any(_OF_TOKENS.search(name) for name in names)


def find_setting_names(names: Iterable[str]) -> Mapping[str, str]:
    """Return the setting names of the library that wrote a log; empty where it is not known.

    Without those of an entropy bonus where the algorithm learns the values of actions (DQN, TD3).
    """
    names = [strip_tune_prefix(name).casefold() for name in names]
    if signed := recognise_libraries(names):
        library, matched = signed[0], _list_metrics(signed[0], names)
    else:
        unsigned = [lib for lib in LIBRARIES if lib.settings and not lib.signs]
        matches = [(lib, _list_metrics(lib, names)) for lib in unsigned]
        library, matched = max(matches, key=lambda pair: len(pair[1]))
        if len(matched) < FEWEST_NAMES:
            return {}
    metrics = {metric.name for metric in matched if metric}
    # A library that logs the entropy of a policy does so wherever it has a loss of a value.
    all_names = {metric.name for metric in library.metrics.values() if metric}
    lacks = "value_loss" in metrics and "entropy" in all_names and not metrics & OF_BONUS
    if lacks or "exploration_rate" in metrics:
        return {name: foreign for name, foreign in library.settings.items() if name not in OF_BONUS}
    return library.settings


def _list_metrics(library: Library, names: Iterable[str]) -> list[CatalogueMetric | None]:
    """Return the metric of each name that a library logs."""
    general = [_POLICY.sub(r"\1/*/", name) for name in names]
    return [library.metrics[name] for name in general if name in library.metrics]


def _merge_signed(names: Iterable[str]) -> dict[str, tuple[int, CatalogueMetric | None]]:
    """Return the names of the recognised libraries with their position in the table."""
    merged: dict[str, CatalogueMetric | None] = {}
    for library in recognise_libraries(names):
        merged = {**library.metrics, **merged}
    return {name: (position, m) for position, (name, m) in enumerate(merged.items())}


def check_rename(rename: Mapping[str, str]) -> None:
    """Check that a renaming names only metrics of the catalogue.

    Raises:
        InputError: naming the metric with the nearest known ones.
    """
    for name in rename.values():
        if name not in METRICS and name != "iteration":
            raise unknown_name_error("metric", name, METRICS, "in our catalogue")


def strip_tune_prefix(name: str) -> str:
    """Return the name without the prefix of Tune's TensorBoard files."""
    return name.removeprefix("ray/tune/")


def _look_up_name(
    name: str, rename: Mapping[str, str], signed: Mapping[str, tuple[int, CatalogueMetric | None]]
) -> tuple[Rank, CatalogueMetric] | None:
    """Return the metric of a foreign name with its rank."""
    short = strip_tune_prefix(name)
    for given in (name, short):
        if given in rename:
            return (0, 0), CatalogueMetric(rename[given], patchy=True)
    of_library = _DATA_SET.sub(r"\1\3*\2", short.casefold())
    for given in (of_library, of_library.removeprefix("train/")):  # of Hugging Face's trackers
        if given in signed:
            position, metric = signed[given]
            # None: the library means something else by a name that is known in any log.
            return metric and ((1, position), metric)
    catalogue_name = short.removeprefix("metrics/")
    if catalogue_name in METRICS:
        return (2, 0), CatalogueMetric(catalogue_name, patchy=catalogue_name == short)
    policy = _POLICY.match(short)
    general = _POLICY.sub(r"\1/*/", short).casefold()
    metric = KNOWN.get(general)
    if metric is None:
        return None
    # RLlib's other policies come last: their metrics are used where the default one has none.
    offset = 0 if policy is None or policy[2] == "default_policy" else len(KNOWN)
    return (OF_ANY_LOG[0], _RANK[general] + offset), metric
