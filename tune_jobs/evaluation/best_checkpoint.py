"""Finding the checkpoint that is the result of a run or of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from algos.checkpoint import find_newest_intact
from rungwise.formatting import format_command
from rungwise.run_directory import JOB, LOG
from rungwise.run_log.event_log import read_event_log
from rungwise.run_log.events import CheckpointRow, Row
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import TrialOutcome
from rungwise.validation import InputError


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint that a path names.

    Args:
        path: a checkpoint, which is returned as it is; a run directory, for the best checkpoint of
            the run; or the directory of a trial, for the best checkpoint of that trial.

    Raises:
        InputError: a run or a trial that has none.
    """
    if (path / JOB).is_file():
        rows = read_event_log(path / LOG) if (path / LOG).is_file() else []
        best = Outcome.from_rows(rows).best if rows else None
        found, damage = _find_intact(path, best) if best else (None, [])
        what, run = f"The run {path} has no checkpoint of a trial with a score", path
    elif run := _find_run(path):
        rows = read_event_log(run / LOG)
        trial = _find_trial(rows, path.resolve().relative_to(run.resolve()))
        if trial is None:
            return path
        found, damage = _find_intact(run, trial)
        what = f"Trial {trial.id} of the run {run} has no checkpoint"
    else:
        return path
    if found:
        return found
    if damage:
        raise InputError(
            f"{damage[0].rstrip('.')}, and there is no intact checkpoint before it: restore its "
            f"files from a copy, or name another checkpoint in {run / 'trials'}."
        )
    raise InputError(
        f"{what}: let it train further (`{format_command('rungwise', 'resume', run)}`), or name a "
        f"checkpoint in {run / 'trials'}."
    )


def find_run_and_trial(checkpoint: Path) -> tuple[Path, str] | None:
    """Return the directory of a checkpoint's run, and its trial; None if it belongs to no run."""
    run = _find_run(checkpoint)
    if run is None:
        return None
    path = checkpoint.resolve().relative_to(run.resolve()).as_posix()
    rows = read_event_log(run / LOG)
    checkpoints = (row for row in rows if isinstance(row, CheckpointRow))
    trials = (row.trial for row in checkpoints if path in (row.path, row.best))
    trial = next(trials, None)
    return None if trial is None else (run, trial)


def _find_run(path: Path) -> Path | None:
    """Return the directory of the run that a path lies in; None if it lies in none."""
    # The parents of the path as it was typed come first: paths derived from them are printed. A
    # path may also be relative to a directory inside the run.
    above = (*path.parents, *path.absolute().parents)
    return next((p for p in above if (p / JOB).is_file() and (p / LOG).is_file()), None)


def _find_trial(rows: Sequence[Row], directory: Path) -> TrialOutcome | None:
    """Return the trial that has written checkpoints into a directory of its run."""
    # Each session of a trial that was resumed has written into a directory of its own.
    trial = next(
        (
            row.trial
            for row in rows
            if isinstance(row, CheckpointRow) and Path(row.path).parent == directory
        ),
        None,
    )
    return next((t for t in Outcome.from_rows(rows).trials if t.id == trial), None)


def find_best_checkpoint(directory: Path, trial: TrialOutcome) -> Path | None:
    """Return the checkpoint that a trial keeps, or the newest intact one if that is damaged."""
    return _find_intact(directory, trial)[0]


def _find_intact(directory: Path, trial: TrialOutcome) -> tuple[Path | None, list[str]]:
    """Return the checkpoint of :func:`find_best_checkpoint`, and the damage of the others."""
    if not trial.checkpoint:
        return None, []
    paths = [row.path for row in trial.checkpoints]
    return find_newest_intact(directory / path for path in (*paths, trial.checkpoint))
