# pyright: basic
"""What is shown before the first result."""

import re
import sys

from terminal_screens import console, written

from cluster.terminal.startup import show_activity, show_imports


def test_an_activity_is_one_line_where_there_is_no_terminal():
    out = console(terminal=False)
    with show_activity("Starting Ray", out):
        assert written(out) == "Starting Ray ...\n"
    assert written(out) == "Starting Ray ...\n"


def test_on_a_terminal_its_duration_is_shown(monkeypatch):
    times = iter([0.0] + 1000 * [23.0])
    out = console()
    with show_activity("Starting Ray", out, lambda: next(times)):
        pass
    assert re.search(r"Starting Ray \(23 s\)", written(out))


def test_imports_are_shown_once(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with show_imports():
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.delitem(sys.modules, "torch")
    with show_imports():
        pass
    assert "Importing PyTorch and Ray" in capsys.readouterr().err
