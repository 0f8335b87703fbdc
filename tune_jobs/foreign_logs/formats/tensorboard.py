"""TensorBoard's event files, read without TensorBoard: frames of TFRecord around protobufs.

A frame is the length of its data (8 bytes) and that length's checksum (4), the data, and the
data's checksum (4). The messages are those that tensorboardX brings, which Ray Tune needs anyway.

Tune leaves NaN out of its event files: a run that diverged is better read from its result.json.
"""

from __future__ import annotations

import importlib
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tune_jobs.foreign_logs.formats.points import PointsReader
from tune_jobs.foreign_logs.formats.tail import Tail

FRAME = 16
"""Bytes of a frame around its data."""


class EventFile:
    """The scalars that are added to one event file."""

    def __init__(self, path: Path) -> None:
        """Start above the first event."""
        self.path = path
        self.damage = ""
        self.behind = False
        self.consumed = 0
        """Bytes of the last read."""
        self._tail = Tail(path)
        self._number = 0

    def read(self, limit: int) -> list[tuple[str, int, float]]:
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

    def _parse(self, data: bytes, start: int) -> tuple[list[tuple[str, int, float]], int]:
        """Return the scalars of whole frames, and how many bytes these have."""
        event_pb2: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        message: Any = importlib.import_module("google.protobuf.message")
        record_writer: Any = importlib.import_module("tensorboardX.record_writer")
        points: list[tuple[str, int, float]] = []
        at = 0
        # The frame alone takes 16 bytes: fewer at the end are an incomplete write.
        while at + FRAME <= len(data):
            head = data[at : at + 8]
            length: int = struct.unpack("<Q", head)[0]
            place = f"record {self._number + 1} (byte {start + at})"
            # The length is verified before it is used: a wrong one would lead into the middle of
            # the data.
            if struct.unpack_from("<I", data, at + 8)[0] != record_writer.masked_crc32c(head):
                self.damage = f"{self.path} is damaged at {place}, or is no TensorBoard file."
                break
            if at + FRAME + length > len(data):
                break
            try:
                event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            except message.DecodeError:
                self.damage = f"{self.path} is damaged in {place}."
                break
            for value in event.summary.value:
                number = _parse_scalar(value)
                if number is not None:
                    points.append((value.tag, event.step, number))
            at += FRAME + length
            self._number += 1
        return points, at


class TensorBoardReader(PointsReader):
    """The scalars of the event files of one run."""

    name = "TensorBoard"
    joins_directory = True

    def _open(self) -> None:
        super()._open()
        self._events: dict[Path, EventFile] = {}

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the name is that of an event file."""
        return ".tfevents." in path.name

    def _read_points(self, final: bool) -> None:
        if self.directory is not None:
            self.files = [f for f in self.directory.iterdir() if self.recognises(f)] or self.files
        # File names contain the time of their creation, so a resume comes after what it repeats.
        self.files.sort()
        left, self.behind = self.limit, False
        for file in self.files:
            events = self._events.setdefault(file, EventFile(file))
            self._points.add(str(file), events.read(left))
            self.behind |= events.behind
            self.damage = self.damage or events.damage
            left -= events.consumed


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
