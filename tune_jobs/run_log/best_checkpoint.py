"""Finding the checkpoint that is the result of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from envs.validation import InputError
from tune_jobs.run_log.event_log import read_event_log
from tune_jobs.run_log.events import Row
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.resume import find_newest_intact, list_checkpoints
from tune_jobs.run_log.trial_outcome import TrialOutcome


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that a path names: itself, or the best one of a run directory.

    Raises:
        InputError: a run that has none.
    """
    if not (path / "job.yaml").is_file():
        return path
    rows = read_event_log(path / "events.jsonl")
    best = Outcome.from_rows(rows).best
    found = best and find_best_checkpoint(path, best, rows)
    if not found:
        raise InputError(
            f"The run {path} has no checkpoint of a trial with a score: let it train further "
            f"(`rungwise resume {path}`), or name a checkpoint in {path / 'trials'}."
        )
    return found


def find_best_checkpoint(directory: Path, trial: TrialOutcome, rows: Sequence[Row]) -> Path | None:
    """The checkpoint that a trial keeps, or the newest sound one where that is damaged."""
    if not trial.checkpoint:
        return None
    paths = [path for _, path in list_checkpoints(rows)[trial.id]]
    return find_newest_intact(directory / path for path in (*paths, trial.checkpoint))[0]
