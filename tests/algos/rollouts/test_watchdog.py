# pyright: basic
"""The watchdog's limits and its reports."""

import subprocess
import sys
import time

from algos.rollouts.watchdog import FIRST_S, HANG_FACTOR, Watchdog, take_hang_reports


def test_the_limit_is_three_times_the_median_after_the_first(tmp_path):
    dog = Watchdog(tmp_path / "a" / "b", "runner1", 5.0)
    assert dog.limit == FIRST_S and Watchdog(tmp_path, "x", 900.0).limit == 900
    dog.seconds.extend([1, 1, 9])
    assert dog.limit == 5
    dog.seconds.extend([9, 9, 9])
    assert dog.limit == HANG_FACTOR * 9 == 27
    dog.seconds.extend([1] * 20)
    assert len(dog.seconds) == 20 and dog.limit == 5


def test_a_stretch_that_ends_leaves_its_time_and_no_report(tmp_path):
    dog = Watchdog(tmp_path, "runner1", 5.0)
    with dog.watch():
        assert (tmp_path / "runner1.hang").read_text() == "was ended after 600 s\n"
        time.sleep(0.02)
    assert not list(tmp_path.iterdir())
    assert len(dog.seconds) == 1 and 0.02 <= dog.seconds[0] < 1


def test_an_endless_limit_ends_nothing(tmp_path):
    dog = Watchdog(tmp_path, "runner1", 1e10)
    with dog.watch():
        assert not list(tmp_path.iterdir())


REPORT = """was ended after 30 s
Thread 0x1 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 1 in wait
  File "/x/site-packages/ray/worker.py", line 2 in run
  File "/home/me/world.py", line 33 in step
  File "/home/me/other.py", line 44 in outer
"""


def test_a_hang_is_reported_once_with_the_users_innermost_line(tmp_path):
    (tmp_path / "runner2.hang").write_text(REPORT)
    (tmp_path / "runner1.hang").write_text("was ended after 9 s\n")  # still under way
    (tmp_path / "trial.hang").write_text(REPORT)
    found = take_hang_reports(tmp_path, "runner")
    assert found == ["runner2 hung in step (/home/me/world.py:33) and was ended after 30 s"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runner1.hang", "trial.hang"]
    assert take_hang_reports(tmp_path, "runner") == []


def test_a_hang_within_libraries_names_their_innermost_line(tmp_path):
    lines = [line for line in REPORT.splitlines() if "/home/me" not in line]
    (tmp_path / "runner1.hang").write_text("\n".join(lines))
    (found,) = take_hang_reports(tmp_path, "runner")
    assert found.startswith("runner1 hung in wait (/usr/lib/python3.11/threading.py:1)")


def test_the_stacks_of_a_hang_are_in_its_report(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from algos.rollouts.watchdog import Watchdog\n"
        "dog = Watchdog(pathlib.Path(sys.argv[1]), 'trial', 0.1)\n"
        "dog.seconds.append(0.01)\n"
        "with dog.watch():\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode == 1
    (report,) = take_hang_reports(tmp_path, "trial")
    assert "trial hung in <module> (<string>:6)" in report
