"""Finding the checkpoint that is the result of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envs.validation import InputError
from tune_jobs.events import Row, read
from tune_jobs.outcome import Outcome
from tune_jobs.remainder import checkpoints_of, newest_sound
from tune_jobs.trial_outcome import TrialOutcome


def checkpoint_at(path: Path) -> Path:
    """The checkpoint that a path names: itself, or the best one of a run directory.

    Raises:
        InputError: a run that has none.
    """
    if not (path / "job.yaml").is_file():
        return path
    rows = read(path / "events.jsonl")
    best = Outcome.of(rows).best
    found = best and kept_by(path, best, rows)
    if not found:
        raise InputError(
            f"The run {path} has no checkpoint of a trial with a score: let it train further "
            f"(`rungwise resume {path}`), or name a checkpoint in {path / 'trials'}."
        )
    return found


def kept_by(directory: Path, trial: TrialOutcome, rows: Sequence[Row]) -> Path | None:
    """The checkpoint that a trial keeps, or the newest sound one where that is damaged."""
    if not trial.checkpoint:
        return None
    paths = [path for _, path in checkpoints_of(rows)[trial.id]]
    return newest_sound(directory / path for path in (*paths, trial.checkpoint))[0]
