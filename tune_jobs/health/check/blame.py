"""Whose fault an exception is: the environment's, the settings', or the probe's own."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from algos.runner import EnvironmentFault
from envs.validation import InputError
from tune_jobs.health.check.subject import Subject
from tune_jobs.health.finding import Finding

LIBRARIES = ("site-packages", "dist-packages")


def blamed(subject: Subject, error: Exception) -> list[Finding]:
    """The finding that an exception amounts to; none if it is the probe's own."""
    if isinstance(error, InputError):
        remedy = "Training would be refused for the same reason: do what the sentence says."
        return [Finding("cannot_start", "stop", 0, str(error), remedy)]
    place = next(_own_frames(subject, error), None)
    if not place and not isinstance(error, EnvironmentFault):
        return []
    said = f"{type(error).__name__}: {error} ({place})" if place else str(error)
    remedy = "Mend that line; a legal action must never raise."
    return [Finding("raises", "stop", 0, f"the environment raised after a while: {said}", remedy)]


def _own_frames(subject: Subject, error: Exception) -> Iterator[str]:
    """Frames of neither a library nor this product, the innermost first."""
    if subject.world is not None:
        return
    ours = Path(__file__).resolve().parents[3]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        packaged = any(name in path.parts for name in LIBRARIES)
        inside = any(path.is_relative_to(ours / name) for name in ("algos", "envs", "tune_jobs"))
        if path.is_file() and not packaged and not inside and "lib" not in path.parts:
            yield f"{frame.filename}:{frame.lineno}"
