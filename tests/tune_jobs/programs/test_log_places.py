# pyright: basic, reportOptionalMemberAccess=false
"""The log of a program that logs outside of its working directory is found."""

import os
import sys
import time

import pytest

from tune_jobs.programs import log_follower, log_places
from tune_jobs.programs.log_follower import LogFollower
from tune_jobs.programs.log_places import LogPlaces
from tune_jobs.programs.process import start_program

ROW = "return,step,loss\\n1,100,0.5\\n"
HOLDS = f"""
import sys, time
log = open(sys.argv[1], "w")
log.write("{ROW}"), log.flush()
other = open(sys.argv[2])
print("ready", flush=True)
time.sleep(60)
"""
"""Writes a row to a log that it keeps open, and has another file open that it only reads."""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "SEARCH_S", 0.0)
    monkeypatch.setattr(log_follower, "SEARCH_SHARE", 1e9)
    for name in ("work", "elsewhere", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "table.csv").write_text(ROW)
    return tmp_path


def start(folders, *words):
    return start_program(
        [sys.executable, *map(str, words)], folders / "run", os.environ, folders / "work"
    )


def test_a_file_that_it_holds_open_is_its_log(folders):
    log = folders / "elsewhere" / "progress.csv"
    program = start(folders, "-c", HOLDS, log, folders / "data" / "table.csv")
    try:
        while "ready" not in (folders / "run" / "stdout.log").read_text():
            time.sleep(0.02)
        places = LogPlaces(program, [], [folders / "run", folders / "work"])
        assert places.list_open_files() == [log]
        follower = LogFollower([folders / "work"], outside=places)
        assert len(follower.poll()) == 1 and follower.chosen.files == [log]
    finally:
        program.end(1)


def test_a_folder_that_the_command_names_is_searched(folders):
    program = start(folders, "-c", "pass")
    words = [f"--logdir={folders}/elsewhere", "../data/table.csv", "/", str(folders), "a/b", "lr=1"]
    places = LogPlaces(program, words, [folders / "run", folders / "work"])
    # A folder that holds the working directory is no place of this program alone.
    assert places.list_named() == [folders / "elsewhere", folders / "data" / "table.csv"]
    log = folders / "elsewhere" / "deep" / "progress.csv"
    log.parent.mkdir()
    log.write_text(ROW.replace("\\n", "\n"))
    os.utime(folders / "data" / "table.csv", (1, 1))
    follower = LogFollower([folders / "work"], since=time.time() - 60, outside=places)
    assert len(follower.poll()) == 1 and follower.chosen.files == [log]
    program.end(1)


def test_a_data_set_is_not_searched_whole(folders, monkeypatch):
    monkeypatch.setattr(log_places, "MOST_FILES", 5)
    for i in range(20):
        (folders / "data" / f"{i}.png").touch()
    program = start(folders, "-c", "pass")
    places = LogPlaces(program, [str(folders / "data")], [folders / "work"])
    assert len(places.list_named_files()) == 5
    program.end(1)
