"""TensorBoard files are read without TensorFlow."""

import struct

import pytest
from foreign_logs import find_events_file, write_events

from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError


def test_a_cut_event_file_is_read_and_a_damaged_one_refused(tmp_path):
    write_events(tmp_path, [("return", float(i), i) for i in range(1, 20)])
    path = find_events_file(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    assert len(read_logs(path)[0].rows) == 18
    path.write_bytes(data[:40] + struct.pack("<Q", 7) + data[48:])
    with pytest.raises(InputError, match="is damaged at record"):
        read_logs(path)
