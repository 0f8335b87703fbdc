"""Trackers: send the curves of a run to TensorBoard, W&B and MLflow.

A tracker never ends training. It is checked before Ray starts. A later failure is one warning, and
after a pause the tracker is tried again with newer results.
"""

from __future__ import annotations

import math
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback, TBXLoggerCallback
from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import hparams

from rungwise.formatting import first_sentence
from rungwise.run_log.events import Row
from tune_jobs.trackers.remote_runs import MlflowRuns, RemoteRuns, WandbRuns
from tune_jobs.trackers.tracker_metrics import SCORE, CurvePoints

REMOTE: dict[str, type[RemoteRuns]] = {"W&B": WandbRuns, "MLflow": MlflowRuns}
"""The trackers that an environment variable switches on, by their names in messages."""

EVENTS: Any = event_pb2
"""Messages of TensorBoard, which have no types."""
SUMMARIES: Any = summary_pb2
END = hparams({}, {})[2]
"""The summary that ends the file of a trial."""
PAUSE_S, PAUSE_RATIO = 60.0, 10.0
"""Pause after a failed call, in seconds and as a multiple of the call's duration (the longer one).

Training waits during a call, so a server that does not answer costs at most a tenth of its time."""


class Tracker(TBXLoggerCallback):
    """A Tune callback around a tracker that may fail.

    Tune adds a TensorBoard writer of its own where it sees none, hence the base class.

    Args:
        name: the name in messages.
        callback: the tracker.
        clock: returns a time in seconds.
    """

    def __init__(
        self, name: str, callback: LoggerCallback, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self.name, self.callback, self._clock = name, callback, clock
        self._resumes = clock()
        self._warned = False
        self._ends: list[tuple[Trial, bool]] = []
        """Trials that have ended in a pause: left out, their runs would never end there."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for its own restore, which is not used here."""
        return {}

    def setup(self, *args: object, **kwargs: object) -> None:
        """Start the session."""
        self._try(self.callback.setup, *args, **kwargs)

    def log_trial_start(self, trial: Trial) -> None:
        """Start a trial."""
        self._try(self.callback.log_trial_start, trial)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Report a result."""
        self._try(self.callback.log_trial_result, iteration, trial, result)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End a trial, and those before it whose end fell into a pause."""
        self._ends.append((trial, failed))
        self._end_trials()

    def on_experiment_end(self, trials: list[Trial], **info: object) -> None:
        """End the trials whose end fell into the pause: training waits no more."""
        self._resumes = self._clock()
        self._end_trials()

    def observe_row(self, row: Row) -> None:
        """Take a row of the log: trackers elsewhere learn of the checkpoints from it."""
        if isinstance(self.callback, RemoteRuns):
            self.callback.observe_row(row)

    def _end_trials(self) -> None:
        # After a failure the others wait again: a server that is away must not delay the end.
        while self._ends and self._clock() >= self._resumes:
            self._try(self.callback.log_trial_end, *self._ends.pop(0))

    def _try(self, call: Callable[..., None], *args: object, **kwargs: object) -> None:
        if (begun := self._clock()) < self._resumes:
            return
        try:
            call(*args, **kwargs)
        except Exception as error:  # any error of a library and its network
            # Errors of later calls are silent: one warning for each result would bury the table.
            now = self._clock()
            self._resumes = now + max(PAUSE_S, PAUSE_RATIO * (now - begun))
            if not self._warned:
                self._warned = True
                sys.stderr.write(
                    f"rungwise: {self.name} failed ({first_sentence(error)}): the run continues, "
                    "and some of its curves will be missing there.\n"
                )


class TensorBoardCurves(LoggerCallback):
    """One event file for each trial, with its searched settings and its score for HParams.

    Tune's own writer begins another file whenever a trial continues after a rung, and takes a
    flat result, where ours holds its metrics as JSON (`TrialTrainable.step`).

    Args:
        directory: the run directory; a resumed trial's second file lies next to its first.
        earlier: the event rows of earlier sessions.
    """

    def __init__(self, directory: Path, earlier: Iterable[Row] = ()) -> None:
        self.directory, self.points = directory / "tensorboard", CurvePoints(earlier)
        self._files: dict[str, Path] = {}

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write one point of each curve."""
        number, events = result["trial"], list[Any]()
        if number not in self._files:
            self._begin_file(number)
            summaries = make_summaries(trial.config["plan"]["config"])
            events = [EVENTS.Event(file_version="brain.Event:2")]
            events += [EVENTS.Event(summary=summary) for summary in summaries]
        # One event for all curves: one for each would take several milliseconds.
        values = [
            SUMMARIES.Summary.Value(tag=name, simple_value=value)
            for name, value in self.points(result).items()
            if math.isfinite(value)
        ]
        curves = EVENTS.Event(step=result["iteration"], summary=SUMMARIES.Summary(value=values))
        self._write(number, *events, curves)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End a trial: another file begins where it is continued."""
        if (number := trial.config["plan"]["trial"]) in self._files:
            self._write(number, EVENTS.Event(summary=END))
            del self._files[number]

    def _begin_file(self, number: str) -> None:
        folder = self.directory / number
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self._files[number] = folder / name

    def _write(self, number: str, *events: Any) -> None:
        parts = list[bytes]()
        for event in events:
            event.wall_time = time.time()
            data = event.SerializeToString()
            length = struct.pack("<Q", len(data))
            parts += [length, _checksum(length), data, _checksum(data)]
        # Opened for each result, and not by tensorboardX: that has an open file, a pipe and two
        # threads for each trial, and waits for the disk after each event.
        with self._files[number].open("ab") as file:
            file.write(b"".join(parts))


def make_summaries(settings: Mapping[str, Any]) -> Sequence[Any]:
    """Return what the file of a trial begins with: its settings, and the score to compare."""
    values = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in settings.items()
    }
    return hparams(values, {SCORE: None})[:2]


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(data))


def make_trackers(directory: Path, earlier: Iterable[Row] = ()) -> list[Tracker]:
    """Return the trackers that a run reports to.

    Args:
        directory: the run directory.
        earlier: the event rows of earlier sessions.
    """
    rows = list(earlier)
    remote = [
        Tracker(name, kind(directory, rows)) for name, kind in REMOTE.items() if kind.is_wanted()
    ]
    return [Tracker("TensorBoard", TensorBoardCurves(directory, rows)), *remote]


def check_trackers() -> None:
    """Check that the trackers asked for can be used, before anything starts.

    Raises:
        InputError: one of them cannot; the message names it.
    """
    for kind in REMOTE.values():
        kind.check()
