"""Offline folders of W&B: ``run-ID.wandb``, the log format of LevelDB around protobufs.

The file is made of blocks of 32 KiB. A piece of a record has a checksum (4 bytes), the length of
its data (2), a kind (1: whole, 2: first, 3: middle, 4: last) and the data; less than such a head at
the end of a block is padding. The first block begins with 7 bytes that name the format. The
messages are those of the wandb package.
"""

from __future__ import annotations

import importlib
import math
import struct
from typing import Any

from rungwise.logs.formats.points import PointsReader
from rungwise.logs.formats.tail import Tail
from rungwise.logs.log_record import parse_json

BLOCK, HEAD = 32 * 1024, 7
IDENT = b":W&B"
_WHOLE, _FIRST, _LAST = 1, 2, 4


class WandbReader(PointsReader):
    """The history of one run."""

    name = "W&B offline run"
    endings = (".wandb",)

    def _open(self) -> None:
        super()._open()
        self._tail = Tail(self.files[0])
        self._record = b""
        self._rows = 0

    def _read_points(self, final: bool) -> None:
        self.behind = False
        if self.damage:
            return
        try:
            messages: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
        except ImportError:
            self.damage = f"{self.files[0]} needs the package wandb: `pip install wandb`."
            return
        data = self._tail.read(self.limit)
        if self._tail.replaced:
            self._record = b""
        used, whole = self._split(data, self._tail.start)
        self._tail.keep(data[used:])
        broken: Any = importlib.import_module("google.protobuf.message").DecodeError
        try:
            for record in whole:
                self._add(messages.Record.FromString(record))
        except broken:
            self.damage = self.damage or f"{self.files[0]} is damaged: a record cannot be decoded."
        self.behind = self._tail.behind and not self.damage

    def _split(self, data: bytes, start: int) -> tuple[int, list[bytes]]:
        """Return how many bytes were used, and the records that are complete with them.

        Args:
            data: bytes that were not used so far.
            start: where they begin in the file.
        """
        at, whole = 0, list[bytes]()
        if start == 0:
            if len(data) < HEAD:
                return 0, whole
            if not data.startswith(IDENT):
                self.damage = (
                    f"{self.files[0]} is no file of W&B: it does not begin with {IDENT!r}."
                )
                return 0, whole
            at = HEAD
        while at < len(data):
            remaining = BLOCK - (start + at) % BLOCK
            if remaining < HEAD:
                at += remaining
                continue
            if at + HEAD > len(data):
                break
            _, length, kind = struct.unpack_from("<IHB", data, at)
            if kind not in range(_WHOLE, _LAST + 1) or length > remaining - HEAD:
                self.damage = f"{self.files[0]} is damaged at byte {start + at}."
                break
            end = at + HEAD + length
            if end > len(data):
                break
            piece = data[at + HEAD : end]
            self._record = piece if kind in (_WHOLE, _FIRST) else self._record + piece
            if kind in (_WHOLE, _LAST):
                whole.append(self._record)
            at = end
        return min(at, len(data)), whole

    def _add(self, message: Any) -> None:
        if message.WhichOneof("record_type") != "history":
            return
        values = {
            "/".join(item.nested_key) or item.key: _parse_number(item.value_json)
            for item in message.history.item
        }
        step = values.get("_step")
        has_step = False
        if step is not None and math.isfinite(step):
            has_step, self._rows = True, int(step)
        self._points.add(
            "",
            [
                (name, self._rows, value)
                for name, value in values.items()
                if value is not None and not name.startswith("_")
            ],
        )
        self._rows += not has_step


def _parse_number(text: str) -> float | None:
    """Return a number, also NaN and infinity, which are written as words; None for the rest."""
    try:
        value: Any = parse_json(text)
        return None if isinstance(value, bool | list | dict | None) else float(value)
    except ValueError:
        return None
