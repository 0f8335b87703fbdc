"""A file that grows is read once: half-written lines wait, a new file is read from its start."""

import codecs

import pytest
from paths import DATA

from rungwise.logs.formats.tail import HALF_LINES, Lines, Tail, find_half_line
from rungwise.logs.read_logs import read_logs


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_each_byte_is_returned_once_and_at_most_a_limit(tmp_path):
    path = tmp_path / "a"
    tail = Tail(path)
    assert tail.read() == b""
    path.write_bytes(bytes(range(100)))
    parts = [tail.read(40), tail.read(40), tail.read(40), tail.read(40)]
    assert [len(part) for part in parts] == [40, 40, 20, 0]
    assert b"".join(parts) == bytes(range(100))
    append(path, "xy")
    assert tail.read(1) == b"x" and tail.behind
    assert tail.read(1) == b"y" and not tail.behind


def test_a_half_written_line_waits_for_its_end(tmp_path):
    path = tmp_path / "a"
    lines = Lines(path)
    path.write_text("one\ntw")
    assert lines.read() == ["one\n"]
    append(path, "o\nthr")
    assert lines.read() == ["two\n"]
    assert lines.read() == []
    assert lines.read(final=True) == ["thr"]


@pytest.mark.parametrize("how", ["truncated", "rotated", "removed for a while"])
def test_another_file_in_its_place_is_read_from_its_start(tmp_path, how):
    path = tmp_path / "a"
    path.write_text("one\ntwo\nthr")
    lines = Lines(path)
    assert lines.read() == ["one\n", "two\n"]
    if how == "truncated":
        path.write_text("new\n")
    else:
        path.rename(tmp_path / "a.1")
        if how == "removed for a while":
            assert lines.read() == []
        path.write_text("new\nand longer than before\n")
    assert lines.read()[0] == "new\n"
    assert lines.number >= 1


def test_letters_that_are_cut_between_two_reads_are_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbf" + "größe\nβ\n".encode())
    lines = Lines(path)
    read = [line for _ in range(30) for line in lines.read(1)]
    assert read == ["größe\n", "β\n"]
    with path.open("ab") as file:
        file.write(b"ab\xff\n")
    assert lines.read() == [] and "byte 16 is not UTF-8" in lines.damage


@pytest.mark.parametrize(
    ("before", "cut", "now", "kept"),
    [
        ("8,1\n9,1\n", "1", "110,1\n11,2\n", "10,1\n11,2\n"),
        ("8,1\n9,1\n", "10,", "10,10,1\n", "10,1\n"),
        ('{"a": 8}\n', '{"a"', '{"a"{"a": 9}\n', '{"a": 9}\n'),
        ("8,1\n9,1\n", "1", "1\n10,1\n", "1\n10,1\n"),
        ("8,1\n9,1\n", "1", "10,1\n11,2\n", "10,1\n11,2\n"),
        ("8,1\n9,1\n", "10,", "10,1\n11,2\n", "10,1\n11,2\n"),
    ],
    ids=["first cell", "next cell", "JSON", "ended first", "written again", "again, next cell"],
)
@pytest.mark.parametrize("limit", [9, 100])
def test_half_a_line_is_taken_off_the_line_that_was_written_behind_it(
    tmp_path, monkeypatch, before, cut, now, kept, limit
):
    path = tmp_path / "a"
    path.write_text(before + cut)
    end, half = find_half_line(path)
    assert (end, half) == (len(before + cut), cut.encode())
    monkeypatch.setitem(HALF_LINES, path, {end: half})
    path.write_text(before + now)
    reader = Lines(path)
    lines = reader.read(max(limit, len(before + cut)))
    lines += [line for _ in range(9) for line in reader.read(limit)]
    assert "".join(lines) == before + kept


def test_half_a_line_with_nothing_behind_it_is_left_out(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("return,steps\n9,9\n10,10\n9,9")
    end, half = find_half_line(path)
    monkeypatch.setitem(HALF_LINES, path, {end: half})
    monkeypatch.setattr("rungwise.logs.formats.tail.WHOLE_LOGS", {path})
    assert Lines(path).read(final=True) == ["return,steps\n", "9,9\n", "10,10\n"]


def test_what_is_no_text_has_no_half_line(tmp_path):
    path = tmp_path / "a"
    for content in (b"", b"one\n", b"one\n\0two"):
        path.write_bytes(content)
        assert find_half_line(path) == (len(content), b"")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_read_as_it_grows(tmp_path, encoding):
    path = tmp_path / "log.csv"
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    data = mark + "step,reward\n1,2\n2,\u20ac\n".encode(encoding)
    lines, read = Lines(path), []
    for end in range(1, len(data) + 1):
        path.write_bytes(data[:end])
        read += lines.read()
    assert read == ["step,reward\n", "1,2\n", "2,\u20ac\n"] and not lines.damage


def test_a_table_in_utf_16_is_a_log():
    (log,) = read_logs(DATA / "strangers" / "d20_utf16.csv")
    assert (log.format, len(log.rows)) == ("CSV", 80)
    assert (log.rows[0]["return_mean"], log.rows[-1]["return_mean"]) == (-80.99, 46.38)
    assert log.rows[-1]["env_steps"] == 80_000
