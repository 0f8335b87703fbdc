# pyright: basic
"""The import of a user's module in this process."""

import importlib
import os
import threading

from envs.checking import guarded_import
from envs.checking.guarded_import import guard_import


class FakeTimer(threading.Timer):
    """A timer that ends when the module says so."""

    def start(self):
        FakeTimer.report = self.function


def test_a_late_import_is_reported_with_its_line(write_module, monkeypatch, capsys):
    monkeypatch.setattr(guarded_import.threading, "Timer", FakeTimer)
    path = write_module("late_module", "import threading\nthreading.Timer.report()\n")
    with guard_import("late_module"):
        importlib.import_module("late_module")
    assert f"late_module is still being imported after 15 s, at {path}:2" in capsys.readouterr().err


def test_a_fork_of_a_module_may_end_itself():
    with guard_import("forking_module"):
        child = os.fork()
        if not child:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert os._exit.__module__ == "posix"
