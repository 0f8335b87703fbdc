# pyright: basic, reportOptionalMemberAccess=false
"""A large log is two files, which readers and writers use as one."""

import gzip
import os
import random
import subprocess
import sys

import pytest
from dashboard_app import read_whole
from synthetic_sweep import end, job_row, result

from rungwise.validation import InputError
from tune_jobs.foreign_logs.formats.tail import Tail
from tune_jobs.foreign_logs.read_logs import read_logs
from tune_jobs.run_log import log_file
from tune_jobs.run_log.event_log import (
    EventLog,
    encode_row,
    read_event_log,
    read_job_end,
    read_log_ends,
)
from tune_jobs.run_log.events import JobEndRow, TrialRow
from tune_jobs.run_log.log_file import get_log_size, get_older, open_log, open_log_and_state
from tune_jobs.run_log.object_storage import Mirror, fetch_run

ROWS = [
    job_row(trials=1),
    TrialRow(trial="00", config={}),
    *(result("00", i, i / 7, metrics={"kl": 1 / i, "word": "\u2028"}) for i in range(1, 61)),
    end("00", 60, "budget"),
    JobEndRow(reason="done", seconds=1.0),
]


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(log_file, "MOVED_BYTES", 3000)
    monkeypatch.setattr(log_file, "MEMBER_BYTES", 700)


@pytest.fixture
def log(tmp_path, _small):
    """A log of which most rows have been moved, in several goes."""
    (tmp_path / "run").mkdir()
    log = EventLog(tmp_path / "run" / "events.jsonl")
    for row in ROWS:
        log.append(row)
    return log.path


PLAIN = "".join(f"{encode_row(row)}\n" for row in ROWS).encode()


def test_all_rows_are_read_in_order(log):
    assert log.stat().st_size < 3500 < get_older(log).stat().st_size < len(PLAIN) / 2
    assert read_event_log(log) == ROWS
    assert read_log_ends(log) == (ROWS[0], ROWS[-1])
    assert read_job_end(log, get_log_size(log) - 5) is None
    with open_log(log) as file:
        assert file.read() == PLAIN
    assert get_log_size(log) == len(PLAIN)


def test_other_tools_read_the_older_rows(log):
    packed = subprocess.run(["zcat", get_older(log)], capture_output=True, check=True).stdout
    assert packed == gzip.decompress(get_older(log).read_bytes())
    head, _, rest = log.read_bytes().partition(b"\n")
    assert packed + rest == PLAIN
    assert head.startswith(b'{"kind": "older", "bytes": %d' % len(packed))


def test_any_place_is_read_alone(log):
    draw = random.Random(0)
    with open_log(log) as file:
        for _ in range(300):
            place, size = draw.randrange(len(PLAIN)), draw.randrange(900)
            file.seek(place)
            assert file.read(size) == PLAIN[place : place + size]
        assert file.seek(-4, os.SEEK_END) == len(PLAIN) - 4


def test_who_follows_a_log_gets_each_row_once(tmp_path, _small):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(ROWS[0])
    tail, page = Tail(log.path, open_log_and_state), read_whole(tmp_path)
    data = tail.read()
    for row in ROWS[1:]:
        log.append(row)
        data += tail.read()
        assert not tail.replaced
        page.refresh()
    assert data == PLAIN
    assert get_older(log.path).exists()
    assert page.read_to == len(PLAIN)
    points = page.trial_results["00"].points
    assert [row for _, row in page.load_rows(points)] == ROWS[2:62]


def test_another_log_in_its_place_is_read_anew(log, tmp_path):
    page = read_whole(log.parent)
    other = EventLog(tmp_path / "other.jsonl")
    other.append(job_row(trials=3))
    other.path.replace(log)
    page.refresh()
    assert page.job.trials == 3 and not page.trial_results


def test_several_writers_lose_nothing(tmp_path, _small):
    code = (
        "import sys; from pathlib import Path; from tune_jobs.run_log import log_file\n"
        "log_file.MOVED_BYTES, log_file.MEMBER_BYTES = 3000, 700\n"
        "for i in range(400):\n"
        "    log_file.append_line(Path(sys.argv[1]), b'%s %d\\n' % (sys.argv[2].encode(), i))\n"
    )
    path = tmp_path / "events.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, path, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with open_log(path) as file:
        lines = file.read().split(b"\n")[:-1]
    assert len(lines) == 1200
    for name in b"abc":
        own = [int(line[2:]) for line in lines if line[0] == name]
        assert own == list(range(400))


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_kill_while_rows_are_moved_costs_nothing(tmp_path, _small, monkeypatch, step):
    log = EventLog(tmp_path / "events.jsonl")
    for row in ROWS[:30]:
        log.append(row)
    assert get_older(log.path).exists()
    killed = pytest.MonkeyPatch()

    def kill(*_):
        raise OSError

    target = {"replace": log_file.Path, "fsync": log_file.os}[step]
    with killed.context() as patch:
        patch.setattr(target, step, kill)
        for row in ROWS[30:45]:
            log.append(row)
    assert read_event_log(log.path) == ROWS[:45]
    for row in ROWS[45:]:
        log.append(row)
    assert read_event_log(log.path) == ROWS


def test_half_a_line_of_a_killed_writer_stays_behind(log):
    with log.open("ab") as file:
        file.write(b'{"kind": "res')
    log_file._move_rows(log)
    assert log.read_bytes().endswith(b'}\n{"kind": "res')
    assert read_event_log(log) == ROWS


def test_a_part_that_is_damaged_or_missing_is_named(log):
    older = get_older(log)
    whole = older.read_bytes()
    older.write_bytes(whole[:300] + b"~~~" + whole[303:])
    with pytest.raises(InputError, match="is damaged"):
        read_event_log(log)
    older.write_bytes(whole[:300])
    with pytest.raises(InputError, match="is damaged"):
        read_event_log(log)
    older.unlink()
    with pytest.raises(InputError, match="holds the older rows"):
        read_event_log(log)
    with pytest.raises(InputError, match="copy both"):
        list(read_logs(log.parent))
    # The list of runs shows the others.
    assert read_log_ends(log) == (None, None)
    assert read_whole(log.parent).outcome is None
    log.write_bytes(log.read_bytes().partition(b"\n")[0] + b"\n")
    assert read_job_end(log) is None


def test_a_mirror_has_both_parts(log, tmp_path):
    (log.parent / "job.yaml").write_text("env: CartPole-v1\n")
    (tmp_path / "there").mkdir()
    mirror = Mirror(log.parent, (tmp_path / "there").as_uri())
    mirror.update()
    fetch_run((tmp_path / "there" / "run").as_uri(), tmp_path / "back")
    assert read_event_log(tmp_path / "back" / "events.jsonl") == ROWS
