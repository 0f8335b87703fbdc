"""Keep the checkpoint that is a trial's result, where Ray Tune would delete it.

Tune keeps the newest checkpoints of a trial, because it continues from them. The one that is the
result may be older: it is copied into a folder ``best_ITERATION`` next to them before a row of the
log names it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tune_jobs.evaluation.checkpoint_choice import CheckpointChoice, Rating
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.best_checkpoint import COPY
from tune_jobs.run_log.events import CheckpointRow, ExploitRow, ResultRow, Row


class CheckpointKeeper:
    """Chooses the result of a trial at each of its checkpoints, and keeps a copy of an older one.

    Args:
        job: the job, with its metric and mode filled in.
        directory: the run directory.
        earlier: the event rows of earlier sessions.
    """

    def __init__(self, job: Job, directory: Path, earlier: Iterable[Row] = ()) -> None:
        self.job, self.directory = job, directory
        self._choices: dict[str, CheckpointChoice] = {}
        self._kept: dict[str, tuple[int, Path, Rating]] = {}
        """By trial: iteration, path and rating of the copy."""
        self._sources: dict[Path, str] = {}
        """By copy: the checkpoint that it is of."""
        for row in earlier:
            if isinstance(row, CheckpointRow):
                self._advance(row.trial, row.iteration, row.path)
            else:
                self.observe(row)

    def observe(self, row: Row) -> None:
        """Take a result of a trial, or its change of policy."""
        if isinstance(row, ResultRow):
            self._get_choice(row.trial).add_result(row.iteration, row.metrics)
        elif isinstance(row, ExploitRow):
            # Its own best policy stays a candidate: the population may become worse than that.
            self._get_choice(row.trial).begin_anew(row.iteration, row.checkpoint)

    def make_row(self, trial: str, iteration: int, path: str) -> CheckpointRow:
        """Return the row of a new checkpoint, which names the trial's result by now.

        Args:
            trial: the trial.
            iteration: that of the checkpoint.
            path: of the checkpoint, relative to the run directory.
        """
        self._advance(trial, iteration, path)
        choice, kept = self._get_choice(trial), self._kept.get(trial)
        rating, at, best = choice.rate_newest(iteration), iteration, Path(path)
        if kept and not choice.is_good_enough(rating):
            at, best, rating = kept
        return CheckpointRow(
            trial=trial,
            iteration=iteration,
            path=path,
            best=best.as_posix(),
            best_iteration=at,
            best_score=rating and choice.sign * rating.mean,
        )

    def delete_old_copies(self, row: CheckpointRow) -> None:
        """Delete the copies that a row of the log has replaced."""
        kept = self._kept.get(row.trial)
        for copy in (self.directory / row.path).parent.glob(f"{COPY}*"):
            if kept is None or copy.name != kept[1].name:
                shutil.rmtree(copy, ignore_errors=True)

    def _advance(self, trial: str, iteration: int, path: str) -> None:
        """Rate the checkpoint before this one, and copy it if it may become the result."""
        choice = self._get_choice(trial)
        rating = choice.rate_previous(iteration)
        if choice.newest and rating and choice.is_good_enough(rating):
            at, previous = choice.newest
            copy = Path(path).parent / f"{COPY}{at:06d}"
            # After damage an iteration is repeated, and has a checkpoint of another policy.
            while self._sources.setdefault(copy, previous) != previous:
                copy = copy.with_name(f"{copy.name}-1")
            if _copy_checkpoint(self.directory / previous, self.directory / copy):
                self._kept[trial] = at, copy, rating
        choice.set_newest(iteration, path)

    def _get_choice(self, trial: str) -> CheckpointChoice:
        if trial not in self._choices:
            job = self.job
            self._choices[trial] = CheckpointChoice(job.metric, job.mode, job.min_delta)
        return self._choices[trial]


def _copy_checkpoint(source: Path, target: Path) -> bool:
    """Copy a checkpoint, unless it has been copied; return whether the copy is there."""
    if target.is_dir():
        return True
    unfinished = target.with_name(f".{target.name}")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(source, unfinished, copy_function=_link_or_copy)
        unfinished.rename(target)
    except OSError:
        # Deleted meanwhile, or the disk is full: training is worth more than this copy, and the
        # one before it stays.
        shutil.rmtree(unfinished, ignore_errors=True)
    return target.is_dir()


def _link_or_copy(source: str, target: str) -> None:
    """Give a file a second name, which takes no space until Tune deletes the first one."""
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copy2(source, target)
