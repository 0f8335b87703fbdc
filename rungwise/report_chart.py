"""Charts of a world's metrics, which the report of a run draws in sections of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self


@dataclasses.dataclass(frozen=True)
class ReportChart:
    """Metrics of the best trial by iteration."""

    title: str
    """Heading of the section."""
    about: str
    """A sentence or two below the heading."""
    curves: dict[str, str]
    """Training metric -> its label; a metric that is a list has a curve for each choice."""
    layout: Literal["overlaid", "common scale", "own scales"]
    """All curves in one figure, or each in a small one."""
    axis: str = ""
    """Title of the axis of an overlaid chart."""
    table: str = ""
    """File of the run directory, without its ending, for the values as Parquet; empty for none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the event log; :meth:`from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Read a chart from an event log."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in names})
