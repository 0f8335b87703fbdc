# pyright: basic
"""With --json every end of a command is one JSON object on stdout, and its status stays."""

import json
import os
import subprocess
import warnings
from importlib import import_module

import pytest
from command_line import answer, call, command, rungwise

from cluster import cli
from cluster.commands.listings import Envs
from cluster.errors import CommandFailed, RunInterrupted, Terminal, Unhealthy
from rungwise.validation import InputError, InputWarning


@pytest.fixture
def ending(monkeypatch, capsys):
    """Run `rungwise envs` with an end of our choice: its status, its stdout and its stderr."""

    def run(error, *words):
        def envs(console):
            print("a library's own words")
            raise error

        monkeypatch.setattr(Envs, "__call__", lambda self, console: envs(console))
        status = cli.run(["envs", *words])
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InputError("No such thing."), 2, "input"),
        (CommandFailed({}, "No Ray."), 1, "failed"),
        (ZeroDivisionError("by zero"), 1, "crash"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_error_is_one_object_and_keeps_its_status(ending, error, status, kind):
    assert ending(error)[0] == status
    found, out, err = ending(error, "--json")
    assert found == status
    told = json.loads(out)["error"]
    assert told.keys() == {"kind", "message"}
    assert told["kind"] == kind and str(error) in told["message"]
    assert ("Traceback" in err) == (kind == "crash")


def test_an_exit_in_code_of_the_user_is_refused_with_its_line(monkeypatch, capsys, write_module):
    file = write_module("ends_itself", "import sys\n\ndef end():\n    sys.exit(0)\n")
    monkeypatch.setattr(Envs, "__call__", lambda self, console: import_module("ends_itself").end())
    assert cli.run(["envs"]) == 2
    assert f"sys.exit(0) was called in {file}:4" in capsys.readouterr().err


def test_an_answer_so_far_stands_beside_the_error(ending, tmp_path):
    for error in (CommandFailed({"run": "a"}, "No score."), RunInterrupted({"run": "a"}, tmp_path)):
        told = json.loads(ending(error, "--json")[1])
        assert told["run"] == "a" and told["error"]["message"] == str(error)


def test_a_verdict_is_an_answer_and_no_error(ending):
    status, out, err = ending(Unhealthy({"findings": []}, "It is sick."), "--json")
    assert (status, json.loads(out)) == (1, {"findings": []})
    assert "It is sick." in err


def test_what_a_library_prints_in_c_is_no_part_of_the_answer(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "loud.py").write_text(
        "import ctypes, os, sys\n"
        "os.write(1, b'at once')\n"
        "ctypes.CDLL(None).printf(b'in the buffer of C')\n"
        "sys.__stdout__.write('in that of Python')\n"
        "raise ValueError\n"
    )
    done = rungwise("check", "loud:Maze-v0", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "loud.py" in answer(done)["error"]["message"]
    for printed in ("at once", "in the buffer of C", "in that of Python"):
        assert printed in done.stderr


def test_a_help_page_whose_reader_has_ended_is_no_crash(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command("ledger", "--help"), stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_server_that_has_said_its_address_says_nothing_more(capsys):
    terminal = Terminal(as_json=True)
    terminal.print_answer({"url": "here"})
    terminal.print_answer({"error": {}})
    assert json.loads(capsys.readouterr().out) == {"url": "here"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doctr", "x"], "did you mean doctor"),
        ([], "needs a command"),
        (["doctor", "x", "--renme", "a=b"], "no flag --renme: did you mean `--rename VALUE`"),
        (["evaluate"], "Missing from rungwise evaluate: PATH"),
        (["jobs", "foo"], "invalid choice 'foo'"),
        (["tune", "causal", "--trials", "x"], "--trials: invalid literal"),
        (["train", "cartpole", "--settings.lr", "7"], "lr must be in"),
        (["train", "nowhere.yaml"], "cannot be read"),
        (["dashboard", "nowhere"], "no directory nowhere"),
        (["ledger", "nowhere"], "no run in or below"),
    ],
)
def test_a_wrong_call_is_one_object_too(words, said, capsys, monkeypatch, tmp_path):
    import re

    monkeypatch.chdir(tmp_path)
    assert cli.run([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)["error"]
    assert told["kind"] == "input" and re.search(said, told["message"]), told
    assert "│" not in told["message"] and "full helptext" not in told["message"]
    assert err


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.run(["doctor", "--help", "--json"])
    assert not ended.value.code
    assert "--rename" in capsys.readouterr().err


def test_what_is_left_out_is_said_once_and_in_a_sentence(monkeypatch, capsys):
    def envs(console):
        for _ in range(2):
            warnings.warn("line 3 is left out.", InputWarning, stacklevel=1)
        return {}

    monkeypatch.setattr(Envs, "__call__", lambda self, console: envs(console))
    cli.run(["envs"])
    assert capsys.readouterr().err == "rungwise: line 3 is left out.\n"


def test_the_dashboard_refuses_before_it_says_an_address(tmp_path):
    done = call("dashboard", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no directory nowhere" in done.stderr


def test_the_real_command_prints_the_error_on_stdout(tmp_path):
    done = rungwise("doctor", "nowhere", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "nowhere" in answer(done)["error"]["message"]
