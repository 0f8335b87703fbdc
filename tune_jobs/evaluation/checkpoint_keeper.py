"""The checkpoint that is a trial's result: chosen by what its iterations measured, and kept.

A checkpoint is rated by the iterations after it, up to the next checkpoint: its policy, and those
that followed from it, played their episodes. The scores up to it say nothing about its last update,
so that the last checkpoint before a fall would look like the best of all.

The result is the newest checkpoint whose rating is not below the best one by more than noise and
the job's ``min_delta``. The best of many ratings is partly luck, so without that allowance a result
would be older than it need be.

Tune keeps the newest checkpoints of a trial, because it continues from them. An older result is
copied into a folder ``best_ITERATION`` next to them before a row of the log names it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.health.improvement import average_errors, estimate_score_sd
from rungwise.health.metric_table import as_number
from rungwise.metrics import HELD_OUT
from rungwise.run_directory import COPY
from rungwise.run_log.events import CheckpointRow, ExploitRow, ResultRow, Row
from rungwise.run_log.score_noise import NoiseSource
from rungwise.run_log.trial_outcome import read_stage
from tune_jobs.evaluation.scoring import FEWEST, is_episode_mean
from tune_jobs.jobs.job import Job

NOISE = 2.0
"""Standard errors by which a rating may be below the best one."""
REMEMBERED = 50
"""Measurements before the newest checkpoint that are remembered, to estimate noise."""
FEWEST_MEASUREMENTS = 8
"""Measurements from which their noise is estimated by their jumps, as in ``patience``."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one iteration measured of the job's metric."""

    iteration: int
    value: float
    """With the sign that makes high good; NaN where training has diverged."""
    episodes: float = 1.0
    """Episodes that it is the mean of."""
    error: float = 0.0
    """Its standard error by the scatter of these episodes; 0 where that is not known."""


@dataclasses.dataclass(frozen=True)
class Rating:
    """The mean of some measurements, and its standard error."""

    mean: float
    error: float

    def is_below(self, best: Rating, min_delta: float) -> bool:
        """Return whether it is below the best one by more than noise and a share of its size."""
        noise = NOISE * math.hypot(self.error, best.error)
        return self.mean < best.mean - max(noise, min_delta * abs(best.mean))


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


class CheckpointChoice:
    """What rates the checkpoints of one trial.

    Args:
        metric: the metric of the job.
        mode: ``min`` or ``max``: which values are better.
        min_delta: the smallest difference that counts, as a fraction of the best rating.
    """

    def __init__(self, metric: str, mode: str, min_delta: float) -> None:
        self.metric, self.sign, self.min_delta = metric, -1 if mode == "min" else 1, min_delta
        self._measured: list[Measurement] = []
        """Those since the newest checkpoint and some before it, in order."""
        self.best: Rating | None = None
        """The best rating of any checkpoint that another one has followed, at the same stage."""
        self._stage = 0.0
        self.newest: tuple[int, str] | None = None
        """Iteration and path of the newest checkpoint."""

    def add_result(self, iteration: int, metrics: Mapping[str, Any]) -> None:
        """Add an iteration; one that a restart repeats replaces the earlier ones from there on."""
        while self._measured and self._measured[-1].iteration >= iteration:
            self._measured.pop()
        stage = read_stage(self.metric, metrics)
        if stage is not None and stage != self._stage:
            # The best scores of an easier stage would hide every policy that has learnt more.
            self._measured.clear()
            self._stage, self.best = stage, None
        measurement = _measure(self.metric, self.sign, iteration, metrics)
        if measurement is not None:
            self._measured.append(measurement)

    def begin_anew(self, iteration: int, path: str) -> None:
        """Continue from another trial's checkpoint: what was measured is of another policy."""
        # The first result of the new policy stays: the exploit is only written after it.
        self._measured = [m for m in self._measured if m.iteration > iteration]
        self.newest = (iteration, path)

    def rate_previous(self, next_iteration: int) -> Rating | None:
        """Rate the newest checkpoint by what has followed it, once the next one is there."""
        if self.newest is None or next_iteration <= self.newest[0]:
            return None
        rating = self._average(self._list_between(self.newest[0], next_iteration))
        if rating is not None and (self.best is None or rating.mean > self.best.mean):
            self.best = rating
        return rating

    def set_newest(self, iteration: int, path: str) -> None:
        """Make a checkpoint the newest."""
        self.newest = (iteration, path)
        older = sum(m.iteration <= iteration for m in self._measured)
        del self._measured[: max(0, older - REMEMBERED)]

    def rate_newest(self, iteration: int) -> Rating | None:
        """Rate a checkpoint that nothing has followed yet, by the newest measurements.

        None where nothing of its policy was measured, or training has diverged.
        """
        if not self._measured or math.isnan((last := self._measured[-1]).value):
            return None
        if not is_episode_mean(self.metric) and last.iteration != iteration:
            return None
        return self._average(self._extend([last]))

    def is_good_enough(self, rating: Rating | None) -> bool:
        """Return whether a checkpoint of this rating may be the result."""
        if rating is None or self.best is None:
            return rating is not None
        return not rating.is_below(self.best, self.min_delta)

    def _list_between(self, iteration: int, next_iteration: int) -> list[Measurement]:
        """List what was measured of the policy of a checkpoint and of those that followed it."""
        if self.metric.startswith(HELD_OUT):
            # A held-out evaluation is played by the policy that its iteration ends with, episodes
            # of training by the one that it begins with.
            return [m for m in self._measured if iteration <= m.iteration < next_iteration]
        return self._extend(
            [m for m in self._measured if iteration < m.iteration <= next_iteration]
        )

    def _extend(self, measured: Sequence[Measurement]) -> list[Measurement]:
        """Add what was measured before, until there are as many episodes as a score needs."""
        found = list(measured)
        if not found or not is_episode_mean(self.metric):
            return found
        before = [m for m in self._measured if m.iteration < found[0].iteration]
        while before and sum(m.episodes for m in found) < FEWEST:
            found.insert(0, before.pop())
        return found

    def _average(self, measured: Sequence[Measurement]) -> Rating | None:
        # A NaN says that the update of its iteration diverged, not the policy that played before.
        known = [m for m in measured if math.isfinite(m.value)]
        if not known:
            return None
        weights = np.array([m.episodes for m in known])
        weights = weights / weights.sum()
        # Policies differ from update to update by more than the scatter of their episodes.
        errors = np.maximum([m.error for m in known], self._estimate_noise())
        mean = float(weights @ np.array([m.value for m in known]))
        return Rating(mean, average_errors(errors, weights))

    def _estimate_noise(self) -> float:
        """Return the standard deviation of one measurement, by the jumps between neighbours."""
        values = np.array([m.value for m in self._measured if math.isfinite(m.value)])
        return estimate_score_sd(values) if values.size >= FEWEST_MEASUREMENTS else 0.0


def _measure(
    metric: str, sign: int, iteration: int, metrics: Mapping[str, Any]
) -> Measurement | None:
    """Return what an iteration measured of a metric; None if it measured nothing."""
    if as_number(metrics.get("nonfinite")) > 0:
        return Measurement(iteration, math.nan)
    value = sign * as_number(metrics.get(metric))
    if not math.isfinite(value):
        return None
    if not is_episode_mean(metric):
        return Measurement(iteration, value)
    episodes = max(1.0, np.nan_to_num(as_number(metrics.get("episodes"))))
    sample = NoiseSource(metric).read(metrics)
    return Measurement(iteration, value, float(episodes), sample.error if sample else 0.0)


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
