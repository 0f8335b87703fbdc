"""Episode traces: an episode step by step, for the picture and the table of a report.

Worlds that support it make one (:meth:`envs.contract.world.World.trace_episode`). A trace with
nodes is drawn frame by frame; one without is shown as captions and a table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Frame:
    """The situation after a step; the first frame shows it before any step."""

    caption: str
    """The action in a few words: ``X2 = 1.30``."""
    cells: list[str]
    """The row of the table, one text per column."""
    chosen: list[int] = dataclasses.field(default_factory=list[int])
    """The nodes that the step acted on."""
    shades: list[float] = dataclasses.field(default_factory=list[float])
    """The shade of each node, from 0 to 1."""
    labels: list[str] = dataclasses.field(default_factory=list[str])
    """A label next to each node."""
    cut: list[int] = dataclasses.field(default_factory=list[int])
    """The edges that are not in force, as indices of ``EpisodeTrace.edges``."""


@dataclasses.dataclass(frozen=True)
class EpisodeTrace:
    """One episode as frames."""

    about: str
    """A sentence or two about the picture and its table."""
    columns: list[str]
    """The headings of the frames' cells."""
    frames: list[Frame]
    """One at the start and one after each step."""
    nodes: list[str] = dataclasses.field(default_factory=list[str])
    """The names of the nodes in each frame; empty for no picture."""
    edges: list[list[int]] = dataclasses.field(default_factory=list[list[int]])
    """Pairs of node indices: from, to."""
    directed: bool = True
    """Whether edges have a direction and are drawn as arrows."""
    places: list[list[float]] = dataclasses.field(default_factory=list[list[float]])
    """Coordinates of the nodes, across and down; empty for layers along the edges."""
    target: int | None = None
    """The index of the target node."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the event log; :meth:`from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> EpisodeTrace | None:
        """Read a trace from an event log; None where the log has none."""
        if not given:
            return None
        frames = [Frame(**_select_known_fields(Frame, frame)) for frame in given["frames"]]
        return cls(**_select_known_fields(cls, {**given, "frames": frames}))


def _select_known_fields(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the fields of this version: a later one may have added more."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in given.items() if name in names}
