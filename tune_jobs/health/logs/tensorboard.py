"""TensorBoard's event files, read without TensorBoard: frames of TFRecord around protobufs.

A frame is the length of its data (8 bytes) and that length's checksum (4), the data, and the
data's checksum (4). The messages are those that tensorboardX brings, which Ray Tune needs anyway.

Tune leaves NaN out of its event files: a run that diverged is better read from its result.json.
"""

from __future__ import annotations

import importlib
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.validation import InputError
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.logs.episodes import group_episodes
from tune_jobs.health.logs.names import match_metrics
from tune_jobs.health.logs.translation import Record

Series = Mapping[str, Mapping[int, list[float]]]
"""Tag to step to what was logged there."""


def read_events(paths: Sequence[Path], rename: Mapping[str, str]) -> list[Record]:
    """The scalars of the event files of one run, one record for each iteration.

    Raises:
        InputError: if a file is damaged other than at its end.
    """
    series: dict[str, dict[int, list[float]]] = {}
    # File names contain the time of their creation, so a resume comes after what it repeats.
    for path in sorted(paths):
        fresh: dict[str, dict[int, list[float]]] = {}
        for event in _messages(path):
            for value in event.summary.value:
                number = _scalar(value)
                if number is not None:
                    fresh.setdefault(value.tag, {}).setdefault(event.step, []).append(number)
        for tag, values in fresh.items():  # a later file may repeat steps after a resume
            series[tag] = series.get(tag, {}) | values
    return iterations(series, rename)


def iterations(series: Series, rename: Mapping[str, str]) -> list[Record]:
    """Tags logged each at its own pace -> one record for each iteration.

    The steps at which most metrics are logged together are the iterations. What is logged more
    often (CleanRL's return of each episode) is averaged over the steps since the iteration before.
    """
    taken = match_metrics(series, rename)
    single = {tag for tag, ours in taken.items() if ours.per_episode}
    together = {tag: values for tag, values in series.items() if tag in taken.keys() - single}
    # No shared step marks an iteration here, so the episodes are grouped by their number.
    if single and not together:
        return _episodes_only(series, {taken[tag].name: tag for tag in single})
    clock = _clock(together or series)  # without a known tag the values are still shown
    records = [Record(f"step {step}", {}) for step in clock]
    columns: list[dict[str, object]] = [dict(record.values) for record in records]
    for tag, values in series.items():
        for at, step_values in _since_last(values, clock).items():
            # An unknown tag may be a counter, whose mean has no meaning: its last value is kept.
            columns[at][tag] = float(np.mean(step_values)) if tag in taken else step_values[-1]
            if tag in single and taken[tag].name == "return_mean":
                columns[at]["episodes"] = float(len(step_values))
    if "env_steps" not in {ours.name for ours in taken.values()}:
        # The step is whatever the tool passed; consecutive numbers from 1 are hardly environment
        # steps.
        name = "iteration" if clock == list(range(1, len(clock) + 1)) else "env_steps"
        for step, column in zip(clock, columns, strict=True):
            column[name] = float(step)
    return [Record(record.location, c) for record, c in zip(records, columns, strict=True)]


def _clock(together: Series) -> list[int]:
    """The steps of the iterations: those that most tags share, and those of tags that keep to them.

    The first row of SB3 has no losses yet; an evaluation now and then is no iteration.
    """
    if not together:
        return []
    counts = Counter(frozenset(values) for values in together.values())
    # Of equally frequent sets the longest, because a metric that lacks rows is the exception.
    beat = max(counts, key=lambda steps: (counts[steps], len(steps)))
    kept = [steps for steps in counts if len(steps & beat) >= len(steps) / 2]
    return sorted(set[int]().union(*kept))


def _since_last(values: Mapping[int, list[float]], clock: Sequence[int]) -> dict[int, list[float]]:
    """Index of an iteration -> what was logged since the one before; the rest goes to the last."""
    steps = sorted(values)
    found: dict[int, list[float]] = {}
    # The left side: what is logged at the step of an iteration belongs to it, not to the next one.
    for step, at in zip(steps, np.searchsorted(clock, steps).tolist(), strict=True):
        found.setdefault(min(at, len(clock) - 1), []).extend(values[step])
    return found


def _episodes_only(series: Series, tags: Mapping[str, str]) -> list[Record]:
    def column(name: str) -> FloatArray:
        values = series.get(tags.get(name, ""), {})
        return np.array([value for step in sorted(values) for value in values[step]])

    returns, lengths = column("return_mean"), column("episode_length")
    # From the first missing length on, each would be paired with another episode's return.
    if lengths.size != returns.size:
        lengths = np.full(returns.size, np.nan)
    return group_episodes(returns, lengths)


def _messages(path: Path) -> Iterator[Any]:
    """The events of a file; one that was cut off at the end is left out."""
    event_pb2: Any = importlib.import_module("tensorboardX.proto.event_pb2")
    message: Any = importlib.import_module("google.protobuf.message")
    record_writer: Any = importlib.import_module("tensorboardX.record_writer")
    data = path.read_bytes()
    at, number = 0, 0
    # The frame alone takes 16 bytes: fewer at the end are an incomplete write.
    while at + 16 <= len(data):
        number += 1
        head = data[at : at + 8]
        length: int = struct.unpack("<Q", head)[0]
        # The length is verified before it is used: a wrong one would lead into the middle of the
        # data.
        if struct.unpack_from("<I", data, at + 8)[0] != record_writer.masked_crc32c(head):
            raise InputError(
                f"{path} is damaged at record {number} (byte {at}), or is no TensorBoard file."
            )
        # A live run may still be writing this record.
        if at + 16 + length > len(data):
            return
        try:
            yield event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
        except message.DecodeError:
            raise InputError(f"{path} is damaged in record {number} (byte {at}).") from None
        at += 16 + length


def _scalar(value: Any) -> float | None:
    """The number of a summary value: plain, or as TensorFlow 2 writes it a tensor of one."""
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
