# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false, reportArgumentType=false, reportAttributeAccessIssue=false
"""The log of a program is found among its files, and read as it grows."""

import math
import os
import time

import pytest

from tune_jobs.programs import log_follower
from tune_jobs.programs.log_follower import LogFollower

HEADER = "return,step,loss\n"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(log_follower, "SEARCH_S", 0.0)
    monkeypatch.setattr(log_follower, "SEARCH_SHARE", 1e9)


def returns(records):
    return [record.values["return"] for record in records]


def test_rows_are_read_once_and_half_a_line_waits(tmp_path):
    follower = LogFollower([tmp_path])
    assert follower.poll() == [] and follower.chosen is None
    log = tmp_path / "deep" / "run_1" / "progress.csv"
    log.parent.mkdir(parents=True)
    log.write_text(HEADER + "1,100,0.5\n2,2")
    assert returns(follower.poll()) == [1]
    assert follower.chosen.files == [log] and follower.poll() == []
    with log.open("a") as file:
        file.write("00,0.4\n3,300,0.3\n4,400,0.2")
    assert returns(follower.poll()) == [2, 3]
    assert returns(follower.poll(final=True)) == [4]


def test_files_that_are_older_than_the_program_are_not_its_log(tmp_path):
    old = tmp_path / "old" / "progress.csv"
    old.parent.mkdir()
    old.write_text(HEADER + "1,100,0.5\n")
    os.utime(old, (1, 1))
    follower = LogFollower([tmp_path], since=time.time() - 5)
    assert follower.poll() == []
    new = tmp_path / "progress.csv"
    new.write_text(HEADER + "7,100,0.5\n")
    assert returns(follower.poll()) == [7]


def test_hidden_folders_and_runs_of_ours_are_not_searched(tmp_path):
    for folder in (".venv", "site-packages", "runs/other"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "progress.csv").write_text(HEADER + "1,1,1\n")
    for name in ("job.yaml", "events.jsonl"):
        (tmp_path / "runs/other" / name).write_text("")
    assert LogFollower([tmp_path]).poll() == []


def test_a_short_run_is_looked_at_more_often_for_its_first_minute(tmp_path, monkeypatch):
    follower = LogFollower([tmp_path])
    monkeypatch.setattr(log_follower, "FIRST_S", math.inf)
    assert follower.pause_after(0.02, share=0.005) == pytest.approx(2.0)
    assert follower.pause_after(0.02, share=0.5) == pytest.approx(0.04)
    monkeypatch.setattr(log_follower, "FIRST_S", 0.0)
    assert follower.pause_after(0.02, share=0.005) == pytest.approx(4.0)


def write_losses(folder):
    """A table of SB3 without any return."""
    log = folder / "losses" / "progress.csv"
    log.parent.mkdir()
    log.write_text("time/iterations,time/total_timesteps,train/value_loss\n1,100,0.5\n")
    return log


def test_of_two_logs_the_one_with_a_return_is_followed(tmp_path):
    losses, scores = write_losses(tmp_path), tmp_path / "scores.csv"
    follower = LogFollower([tmp_path])
    assert follower.poll() == []  # a better one may follow
    scores.write_text(HEADER + "3,1,1\n")
    assert returns(follower.poll()) == [3]
    assert follower.chosen.files == [scores] and follower.others == [losses]


def test_a_log_without_a_known_return_is_followed_after_a_while(tmp_path, monkeypatch):
    log = write_losses(tmp_path)
    follower = LogFollower([tmp_path])
    assert follower.poll() == []
    monkeypatch.setattr(log_follower, "DECIDED_S", 0.0)
    assert len(follower.poll()) == 1 and follower.chosen.files == [log]


def test_a_table_without_a_return_is_followed_where_it_is_of_learning(tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "DECIDED_S", 0.0)
    (tmp_path / "data.csv").write_text("step,price,volume\n1,2,3\n")
    log = tmp_path / "own.csv"
    log.write_text("step,reward_mean,approx_kl,entropy\n1,2,0.01,0.5\n")
    follower = LogFollower([tmp_path])
    assert len(follower.poll()) == 1 and follower.chosen.files == [log]


def test_a_table_of_unknown_columns_is_named_with_them(tmp_path):
    (tmp_path / "own.csv").write_text("when,profit,cash\n1,2,3\n")
    follower = LogFollower([tmp_path])
    assert follower.poll(final=True) == []
    message = log_follower.explain_missing_log(follower, 30)
    assert "own.csv has the columns when, profit, cash" in message
    assert "--rename 'profit=return_mean'" in message


def test_a_pattern_says_which_files_are_the_log(tmp_path):
    for name in ("train", "eval"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.csv").write_text(HEADER + f"{len(name)},1,1\n")
    assert returns(LogFollower([tmp_path], "ev*/*.csv").poll()) == [4]
    assert returns(LogFollower([tmp_path], "eval").poll()) == [4]
    assert returns(LogFollower([tmp_path / "eval" / "progress.csv"]).poll()) == [4]


def test_a_truncated_log_is_read_from_its_start(tmp_path):
    log = tmp_path / "progress.csv"
    log.write_text(HEADER + "1,100,0.5\n2,200,0.4\n")
    follower = LogFollower([tmp_path])
    assert returns(follower.poll()) == [1, 2]
    log.write_text(HEADER + "5,100,0.5\n")
    assert returns(follower.poll()) == [5]


@pytest.mark.parametrize("cut", [2, 5, 9])
def test_half_a_line_of_a_killed_program_is_left_out_once_it_continues(tmp_path, cut):
    log = tmp_path / "progress.csv"
    rows = [f"{i}.5,{i}00,0.25\n" for i in range(1, 10)]
    log.write_text(HEADER + "".join(rows[:3]) + rows[3][:cut])
    follower = LogFollower([tmp_path])
    assert returns(follower.poll()) == [1.5, 2.5, 3.5]
    with log.open("a") as file:
        file.write("".join(rows[3:]))
    assert returns(follower.poll(final=True)) == [5.5, 6.5, 7.5, 8.5, 9.5]
    assert "line 5" in follower.chosen.left_out


def test_a_folder_that_disappears_gives_no_records(tmp_path):
    log = tmp_path / "logs" / "progress.csv"
    log.parent.mkdir()
    log.write_text(HEADER + "1,100,0.5\n")
    follower = LogFollower([tmp_path])
    assert returns(follower.poll()) == [1]
    log.unlink()
    log.parent.rmdir()
    assert follower.poll() == []


def test_a_missing_log_is_a_sentence(tmp_path):
    message = log_follower.explain_missing_log(LogFollower([tmp_path], "*.csv"), 30)
    assert "*.csv in 30 s" in message and "--log" in message and "--patience-s" in message
