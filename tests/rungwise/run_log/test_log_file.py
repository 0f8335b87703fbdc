# pyright: basic, reportOptionalMemberAccess=false
"""A large log is several files, which readers and writers use as one."""

import os
import random
import shutil
import subprocess
import sys
import tarfile

import pytest
from dashboard_app import read_whole
from paths import DATA
from synthetic_sweep import end, job_row, result

from rungwise.logs.formats.tail import Tail
from rungwise.logs.read_logs import read_logs
from rungwise.run_log import log_file
from rungwise.run_log.event_log import (
    EventLog,
    encode_row,
    read_event_log,
    read_job_end,
    read_log_ends,
)
from rungwise.run_log.events import JobEndRow, TrialRow
from rungwise.run_log.log_file import get_log_size, get_segment, open_log, open_log_and_state
from rungwise.validation import InputError
from tune_jobs.session.object_storage import Mirror
from tune_jobs.session.stored_run import fetch_run

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


@pytest.fixture
def log(tmp_path, _small):
    """A log of which most rows are in four segments."""
    (tmp_path / "run").mkdir()
    log = EventLog(tmp_path / "run" / "events.jsonl")
    for row in ROWS:
        log.append(row)
    return log.path


PLAIN = "".join(f"{encode_row(row)}\n" for row in ROWS).encode()


def test_all_rows_are_read_in_order(log):
    packed = sum(segment.stat().st_size for segment in log.parent.glob("*.gz"))
    assert log.stat().st_size < 3500 and packed < len(PLAIN) / 2
    assert read_event_log(log) == ROWS
    assert read_log_ends(log) == (ROWS[0], ROWS[-1])
    assert read_job_end(log, get_log_size(log) - 5) is None
    with open_log(log) as file:
        assert file.read() == PLAIN
    assert get_log_size(log) == len(PLAIN)


def test_other_tools_read_the_older_rows(log):
    segments = [get_segment(log, number) for number in (1, 2, 3, 4)]
    assert sorted(log.parent.iterdir()) == [*segments, log]
    rows = subprocess.run(["zcat", *segments], capture_output=True, check=True).stdout
    assert rows + log.read_bytes().partition(b"\n")[2] == PLAIN


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
    assert get_segment(log.path, 3).exists()
    assert page.read_to == len(PLAIN)
    points = page.trial_results["00"].points
    assert [row for _, row in page.load_rows(points)] == ROWS[2:62]


@pytest.mark.parametrize("rows", [2, 90])
def test_another_log_in_its_place_is_read_anew(log, tmp_path, rows):
    page = read_whole(log.parent)
    (tmp_path / "other").mkdir()
    other = EventLog(tmp_path / "other" / "events.jsonl")
    for row in [job_row(trials=3), *(result("07", i, i / 7) for i in range(1, rows))]:
        other.append(row)
    for file in other.path.parent.iterdir():
        shutil.copyfile(file, log.parent / file.name)  # in place: the same inode
    while page.refresh():
        pass
    assert page.job.trials == 3 and list(page.trial_results) == ["07"]
    points = page.trial_results["07"].points
    assert [row for _, row in page.load_rows(points)] == read_event_log(log)[1:]


def test_tail_continues_in_a_copy_of_the_log(log, tmp_path):
    tail = Tail(log, open_log_and_state)
    assert tail.read() == PLAIN
    shutil.copytree(log.parent, tmp_path / "copy")
    shutil.rmtree(log.parent)
    (tmp_path / "copy").rename(log.parent)
    EventLog(log).append(ROWS[-1])
    assert tail.read() == f"{encode_row(ROWS[-1])}\n".encode() and not tail.replaced


def test_several_writers_lose_nothing(tmp_path, _small):
    code = (
        "import sys; from pathlib import Path; from rungwise.run_log import log_file\n"
        "log_file.MOVED_BYTES = 3000\n"
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


KILLS = """
import os, sys
from pathlib import Path
from rungwise.run_log import log_file
path, step, code, rows = Path(sys.argv[1]), 0, 9, Path(sys.argv[2]).read_bytes()
while code:
    if not (child := os.fork()):
        left = iter(range(step))
        steps = ("open", "os.chmod", "os.rename", "os.remove")
        sys.addaudithook(lambda event, _: event in steps and next(left, 9) == 9 and os._exit(9))
        log_file._move_rows(path)
        os._exit(0)
    code = os.waitpid(child, 0)[1]
    with log_file.open_log(path) as file:
        assert file.read() == rows, step
    log_file.append_line(path, b"{}\\n")
    rows, step = rows + b"{}\\n", step + 1
assert step > 8
"""


@pytest.mark.parametrize("earlier", [False, True])
def test_move_killed_at_any_step_loses_nothing(log, tmp_path, earlier):
    if earlier:
        with tarfile.open(DATA / "earlier_runs.tar.xz") as tar:
            tar.extractall(tmp_path, filter="data")
        log = tmp_path / "sweep" / "events.jsonl"
        with get_segment(log, 0).open("ab") as file:  # left by a driver that was killed
            file.write(get_segment(log, 0).read_bytes()[:99])
    with open_log(log) as file:
        (tmp_path / "rows").write_bytes(file.read())
    subprocess.run([sys.executable, "-c", KILLS, log, tmp_path / "rows"], check=True)
    assert get_segment(log, 2).exists()


def test_failed_move_loses_no_row(tmp_path, _small):
    log = EventLog(tmp_path / "events.jsonl")
    get_segment(log.path, 1).mkdir()  # nothing can be written there
    for times in (1, 2):
        for row in ROWS:
            log.append(row)
        assert read_event_log(log.path) == ROWS * times
        if times == 1:
            get_segment(log.path, 1).rmdir()
    assert get_segment(log.path, 1).is_file()


def test_half_a_line_of_a_killed_writer_stays_behind(log):
    with log.open("ab") as file:
        file.write(b'{"kind": "res')
    log_file._move_rows(log)
    assert log.read_bytes().endswith(b'}\n{"kind": "res')
    assert read_event_log(log) == ROWS


def test_a_part_that_is_damaged_or_missing_is_named(log):
    older = get_segment(log, 1)
    whole = older.read_bytes()
    older.write_bytes(whole[:300] + b"~~~" + whole[303:])
    with pytest.raises(InputError, match="missing or damaged"):
        read_event_log(log)
    older.write_bytes(whole[:300])
    with pytest.raises(InputError, match="missing or damaged"):
        read_event_log(log)
    older.unlink()
    with pytest.raises(InputError, match=r"events-0001.* older rows of events\.jsonl"):
        list(read_logs(log.parent))
    # The list of runs shows the others.
    assert read_log_ends(log) == (None, ROWS[-1])
    assert read_whole(log.parent).outcome is None
    log.write_bytes(log.read_bytes().partition(b"\n")[0] + b"\n")
    assert read_job_end(log) is None


def test_log_that_could_not_be_opened_is_closed():
    # The interpreter closes what __init__ left, and from 3.13 on prints what that raises.
    log_file.LogBytes.__new__(log_file.LogBytes).close()


def test_a_mirror_has_all_parts(log, tmp_path):
    (log.parent / "job.yaml").write_text("env: CartPole-v1\n")
    (tmp_path / "there").mkdir()
    mirror = Mirror(log.parent, (tmp_path / "there").as_uri())
    mirror.update()
    fetch_run((tmp_path / "there" / "run").as_uri(), tmp_path / "back")
    assert read_event_log(tmp_path / "back" / "events.jsonl") == ROWS
