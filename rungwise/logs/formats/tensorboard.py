"""TensorBoard's event files, read without TensorBoard: frames of TFRecord around protobufs.

A frame is the length of its data (8 bytes) and that length's checksum (4), the data, and the
data's checksum (4). The messages are those that tensorboardX brings, which Ray Tune needs anyway.

Tune leaves NaN out of its event files: a run that diverged is better read from its result.json.
"""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.logs.formats.event_runs import EventSpan, group_files, measure_span
from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.points import Point, PointsReader
from rungwise.logs.formats.tail import Tail

FRAME = 16
"""Bytes of a frame around its data."""
MEASURED = 50_000_000
"""Bytes of a file that are read to find out what it is to the others in its folder."""


class EventFile:
    """The scalars that are added to one event file."""

    def __init__(self, path: Path) -> None:
        """Start above the first event."""
        self.path = path
        self.damage = ""
        self.behind = False
        self.consumed = 0
        """Bytes of the last read."""
        self.times = (math.inf, -math.inf)
        """When the first and the last scalar were written, in seconds since 1970."""
        self._tail = Tail(path)
        self._number = 0

    def read(self, limit: int) -> list[Point]:
        """Return tag, step and value of each new scalar; one that was cut off waits."""
        self.behind, self.consumed = False, 0
        if self.damage:
            return []
        data = self._tail.read(limit)
        self.consumed = self._tail.consumed
        if self._tail.replaced:
            self._number = 0
        points, used = self._parse(data, self._tail.start)
        self._tail.keep(data[used:])
        self.behind = self._tail.behind and not self.damage
        return points

    def _parse(self, data: bytes, start: int) -> tuple[list[Point], int]:
        """Return the scalars of whole frames, and how many bytes these have."""
        event_pb2: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        message: Any = importlib.import_module("google.protobuf.message")
        record_writer: Any = importlib.import_module("tensorboardX.record_writer")
        points: list[Point] = []
        at = 0
        # The frame alone takes 16 bytes: fewer at the end are an incomplete write.
        while at + FRAME <= len(data):
            head = data[at : at + 8]
            length: int = struct.unpack("<Q", head)[0]
            location = f"record {self._number + 1} (byte {start + at})"
            # The length is verified before it is used: a wrong one would lead into the middle of
            # the data.
            if struct.unpack_from("<I", data, at + 8)[0] != record_writer.masked_crc32c(head):
                self.damage = f"{self.path} is damaged at {location}, or is no TensorBoard file."
                break
            if at + FRAME + length > len(data):
                break
            try:
                event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            except message.DecodeError:
                self.damage = f"{self.path} is damaged in {location}."
                break
            for value in event.summary.value:
                number = _parse_scalar(value)
                if number is not None:
                    first, last = self.times
                    self.times = (min(first, event.wall_time), max(last, event.wall_time))
                    points.append((value.tag, event.step, number))
            at += FRAME + length
            self._number += 1
        return points, at


class TensorBoardReader(PointsReader):
    """The scalars of the event files of one run."""

    name = "TensorBoard"

    def _open(self) -> None:
        super()._open()
        self._events: dict[Path, EventFile] = {}
        self._shifts: dict[Path, int] = {}
        """Number that is added to the steps of each file of the run."""
        self._others: set[Path] = set()
        """Files of other runs in the folder."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the name is that of an event file."""
        return ".tfevents." in path.name

    @classmethod
    def open_all(
        cls, files: Sequence[Path], rename: Mapping[str, str], directory: Path
    ) -> list[LogReader]:
        """Return a reader for each run of files in one directory."""
        spans = _measure_files(_find_files(directory))
        runs = group_files(spans)
        readers: list[LogReader] = []
        for run in runs:
            # A program may just have started: what its new file is to older ones is seen later.
            if run.keys() <= {*files} or any(f in files and spans[f].tags for f in run):
                label = next(iter(run)).name if len(runs) > 1 else ""
                readers.append(cls([*run], rename, directory if run is runs[-1] else None, label))
        return readers

    def _read_points(self, final: bool) -> None:
        files = (self.directory and _find_files(self.directory)) or sorted(self.files)
        if not {*files} <= self._shifts.keys() | self._others:
            self._find_shifts(files)
        remaining, self.behind = self.limit, False
        for file, shift in self._shifts.items():
            events = self._events.setdefault(file, EventFile(file))
            points = events.read(remaining)
            self._points.add(str(file), [(tag, step + shift, v) for tag, step, v in points])
            self.behind |= events.behind
            self.damage = self.damage or events.damage
            remaining -= events.consumed

    def _find_shifts(self, files: Sequence[Path]) -> None:
        """Find out which files are of this run; of one without a return it may be seen later."""
        spans = _measure_files(files)
        runs = group_files(spans)
        mine = next((run for run in runs if self.files[0] in run), runs[-1])
        self._others = {file for file in files if file not in mine and spans[file].returns}
        self._shifts = {**mine, **self._shifts}
        self.files = [*self._shifts]
        several = f"{self.files[0].parent} has event files of several runs: each is read by itself."
        anew = "{} begins its steps anew with the score of the earlier files: read from step {} on."
        pairs = pairwise(self._shifts.items())
        notes = [anew.format(*later) for before, later in pairs if later[1] > before[1]]
        self.note = " ".join([several] * bool(self.label) + notes)


def _find_files(directory: Path) -> list[Path]:
    # Their names have the time of their creation, so a resume comes after what it repeats.
    return sorted(file for file in directory.iterdir() if TensorBoardReader.recognises(file))


def _measure_files(files: Sequence[Path]) -> dict[Path, EventSpan]:
    """Return what the first part of each of several files covers."""
    if len(files) == 1:
        return {files[0]: EventSpan()}
    states = [(file, file.stat()) for file in files]
    return {file: _measure(file, state.st_size, state.st_mtime_ns) for file, state in states}


@lru_cache(maxsize=32)
def _measure(path: Path, size: int, changed: int) -> EventSpan:
    events = EventFile(path)
    return measure_span(events.read(MEASURED), events.times)


def _parse_scalar(value: Any) -> float | None:
    """Return the number of a summary value: plain, or as TensorFlow 2 writes it a tensor of one."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return value.simple_value
    if kind != "tensor":
        return None
    tensor = value.tensor
    numbers = [*tensor.float_val, *tensor.double_val, *tensor.int_val, *tensor.int64_val]
    # TensorFlow stores a number either in a typed field or as raw bytes.
    if not numbers and tensor.dtype in (1, 2):  # DT_FLOAT, DT_DOUBLE
        form = "<f4" if tensor.dtype == 1 else "<f8"
        if len(tensor.tensor_content) == int(form[-1]):
            numbers = np.frombuffer(tensor.tensor_content, form).tolist()
    return float(numbers[0]) if len(numbers) == 1 else None
