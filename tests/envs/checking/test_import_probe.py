# pyright: basic
"""The import of a user's module in a process of its own."""

import os
import signal

import pytest

from envs.checking.import_probe import probe_import
from envs.validation import InputError


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("os._exit(3)", "exit status 3"),
        ("os._exit(0)", "exit status 0"),
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
def test_a_module_that_ends_its_process_is_named(tmp_path, monkeypatch, line, what):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ending_module.py").write_text(f"import os\n{line}\n")
    for env_id in ("ending_module:Street-v0", "pettingzoo:ending_module"):
        with pytest.raises(InputError, match=what):
            probe_import(env_id)


@pytest.mark.parametrize(
    "line", ["print('ready')", "raise SystemExit(0)", "1 / 0", "import sys; sys.stdout.close()"]
)
def test_a_module_that_returns_or_raises_survives(tmp_path, monkeypatch, capfd, line):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "living_module.py").write_text(f"{line}\n")
    probe_import("living_module:Street-v0")
    assert capfd.readouterr() == ("", "")


def test_a_process_that_a_module_leaves_behind_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forking_module.py").write_text(
        "import pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(child.pid))\n"
    )
    probe_import("forking_module:Street-v0")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "envs:CausalLearning-v0", "no_such_module:A-v0"])
def test_other_ids_are_left_to_the_look_up(env_id):
    probe_import(env_id)
