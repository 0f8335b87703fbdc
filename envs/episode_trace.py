"""An episode told step by step, so that a person can follow what a policy did and what came of it.

A world makes one in :meth:`envs.batched.World.trace_episode`. What has nodes is drawn, frame by
frame; what has none is described by captions and a table alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Frame:
    """How things stand after a step; the first frame shows them before any."""

    caption: str
    """What was done, in a few words: ``X2 = 1.30``."""
    cells: list[str]
    """Its row of the table, a text for each column."""
    chosen: list[int] = dataclasses.field(default_factory=list[int])
    """The nodes that the step acted on."""
    shades: list[float] = dataclasses.field(default_factory=list[float])
    """How dark each node is drawn, from 0 to 1."""
    labels: list[str] = dataclasses.field(default_factory=list[str])
    """A figure beside each node."""
    cut: list[int] = dataclasses.field(default_factory=list[int])
    """The edges that are out of force, by their places in ``Experiment.edges``."""


@dataclasses.dataclass(frozen=True)
class EpisodeTrace:
    """One episode as frames."""

    about: str
    """What is seen in the picture and in its table, in a sentence or two."""
    columns: list[str]
    """What the cells of the frames are called."""
    frames: list[Frame]
    """At the beginning and after each step."""
    nodes: list[str] = dataclasses.field(default_factory=list[str])
    """What is drawn in each frame, by name; nothing if there is none."""
    edges: list[list[int]] = dataclasses.field(default_factory=list[list[int]])
    """From which node to which."""
    directed: bool = True
    """Whether it matters which end of an edge is which: then it is drawn as an arrow."""
    places: list[list[float]] = dataclasses.field(default_factory=list[list[float]])
    """Where the nodes are, across and down; empty draws them in layers along the edges."""
    target: int | None = None
    """The node that everything is about."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the event log; :meth:`from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> EpisodeTrace | None:
        """Read a trace from an event log; None where the log has none."""
        if not given:
            return None
        frames = [Frame(**_known(Frame, frame)) for frame in given["frames"]]
        return cls(**_known(cls, {**given, "frames": frames}))


def _known(cls: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the fields of this version: a later one may have added more."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in given.items() if name in names}
