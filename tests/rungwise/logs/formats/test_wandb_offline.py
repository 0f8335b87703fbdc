"""Offline runs of W&B: blocks of the log format around the package's messages."""

import json
import struct

import pytest

from rungwise.logs.discovery import find_readers
from rungwise.logs.formats.wandb_offline import BLOCK, HEAD
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError

messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")


def encode(rows, padding=0):
    """The bytes of a file with a history, in pieces where a block ends."""
    data = b":W&B" + bytes(3)
    for row in rows:
        record = messages.Record()
        for name, value in (*row.items(), ("text", "x" * padding)):
            item = record.history.item.add()
            item.nested_key.extend([name]) if name == "_step" else setattr(item, "key", name)
            item.value_json = json.dumps(value)
        body, first = record.SerializeToString(), True
        while True:
            left = BLOCK - len(data) % BLOCK
            if left < HEAD:
                data += bytes(left)
                continue
            piece, body = body[: left - HEAD], body[left - HEAD :]
            kind = (1 if first else 4) if not body else (2 if first else 3)
            data += struct.pack("<IHB", 0, len(piece), kind) + piece
            first = False
            if not body:
                break
    return data


ROWS = [
    {
        "_step": i,
        "reward": 2.0 * i,
        "entropy": float("nan") if i == 7 else 0.5,
        "global_step": 50 * i,
    }
    for i in range(1, 20)
]


@pytest.mark.parametrize("padding", [0, 5000, 70_000])
def test_the_history_is_read_across_the_ends_of_blocks(tmp_path, padding):
    path = tmp_path / "offline-run-1" / "run-1.wandb"
    path.parent.mkdir()
    path.write_bytes(encode(ROWS, padding))
    (log,) = read_logs(tmp_path)
    assert (log.name, log.format) == ("offline-run-1", "W&B offline run")
    assert [row["return_mean"] for row in log.rows] == [2.0 * i for i in range(1, 20)]
    assert [row["env_steps"] for row in log.rows] == [50.0 * i for i in range(1, 20)]


def test_a_growing_run_is_read_piece_by_piece(tmp_path):
    path = tmp_path / "run-1.wandb"
    data = encode(ROWS, 3000)
    path.write_bytes(b"")
    (reader,) = find_readers(path)
    records = []
    for at in range(0, len(data), 1000):
        with path.open("ab") as file:
            file.write(data[at : at + 1000])
        records += reader.read()
    records += reader.read(final=True)
    assert [r.values["reward"] for r in records] == [2.0 * i for i in range(1, 20)]


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.wandb"
    path.write_bytes(b"something else altogether")
    (reader,) = find_readers(path)
    assert reader.read() == [] and "no file of W&B" in reader.damage


def test_a_record_that_cannot_be_decoded_is_damage(tmp_path):
    path, data = tmp_path / "run-1.wandb", encode(ROWS)
    path.write_bytes(data[:-10] + b"\xff" * 10)
    with pytest.raises(InputError, match="is damaged: a record cannot be decoded"):
        read_logs(path)
