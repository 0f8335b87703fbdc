"""A metric of the catalogue under the name that another tool gives it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property

RETURNS = ("return_mean", "return_mean_100")
"""Scores of a log, in the order of preference: the latter is a mean of the last episodes."""


@dataclasses.dataclass(frozen=True)
class CatalogueMetric:
    """A metric of the catalogue and its conversion from a foreign one."""

    name: str
    times: float = 1.0
    """Factor of the foreign number: -1 where the sign differs."""
    plus: float = 0.0
    """Added to the product: 1 where the foreign fraction counts the others."""
    since_start: bool = False
    """The foreign number counts since the start of the run, the catalogue's within an iteration."""
    per_episode: bool = False
    """Logged once per episode; the catalogue's metric is the mean of an iteration."""
    hides: str = ""
    """Another foreign name for the same number that would be taken for something else."""
    patchy: bool = False
    """NaN may stand for an empty cell: only one that stays until the end is believed."""
    is_guessed: bool = False
    """Known by the words of its name alone."""


@dataclasses.dataclass(frozen=True)
class Library:
    """The names of one library."""

    table: Mapping[str | CatalogueMetric | None, str | tuple[str, ...]]
    """Metric to its foreign names in lower case, that which is preferred first; None for names that
    are none of the catalogue's in this library, although they are in others."""
    title: str = ""
    """Its name in messages, where ``signs`` show that it wrote a log."""
    signs: tuple[str, ...] = ()
    """Names that only this library logs. Where a log has one of them, the library's names go before
    those of the catalogue, which it uses for something else; without, they are known anywhere."""
    step: str = "env_steps"
    """The metric that the step of a point is; empty where it is none, such as the steps of each of
    an unknown number of environments."""
    by_update: str = ""
    """Prefix of tags whose step is a number of updates: they belong to the iteration that is
    logged after them, with one of ``signs``."""
    chooses_tokens: bool = False
    """Whether actions are tokens: their first entropy says nothing about its maximum."""
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Its name of each setting that a remedy may change, by ours; those of the same purpose and
    another scale are left out."""

    @cached_property
    def metrics(self) -> Mapping[str, CatalogueMetric | None]:
        """The metric of each foreign name."""
        metrics: dict[str, CatalogueMetric | None] = {}
        for key, foreign in self.table.items():
            metric = CatalogueMetric(key) if isinstance(key, str) else key
            metrics |= dict.fromkeys((foreign,) if isinstance(foreign, str) else foreign, metric)
        return metrics
