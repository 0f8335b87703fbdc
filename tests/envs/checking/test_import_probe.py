# pyright: basic
"""The import of a user's module in a process of its own."""

import os
import signal

import pytest

from envs.checking.import_probe import probe_import
from rungwise.validation import InputError


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("os._exit(3)", "exit status 3"),
        ("os._exit(0)", "exit status 0"),
        ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
def test_a_module_that_ends_its_process_is_named(write_module, line, what):
    write_module("ending_module", f"import os\n{line}\n")
    for env_id in ("ending_module:Street-v0", "pettingzoo:ending_module"):
        with pytest.raises(InputError, match=what):
            probe_import(env_id)


@pytest.mark.parametrize(
    "line", ["print('ready')", "raise SystemExit(0)", "1 / 0", "import sys; sys.stdout.close()"]
)
def test_a_module_that_returns_or_raises_survives(write_module, capfd, line):
    write_module("living_module", f"{line}\n")
    probe_import("living_module:Street-v0")
    assert capfd.readouterr() == ("", "")


def test_a_process_that_a_module_leaves_behind_is_not_waited_for(tmp_path, write_module):
    write_module(
        "forking_module",
        "import pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], close_fds=False)\n"
        "pathlib.Path(__file__).with_name('pid').write_text(str(child.pid))\n",
    )
    probe_import("forking_module:Street-v0")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "envs:CausalLearning-v0", "no_such_module:A-v0"])
def test_other_ids_are_left_to_the_look_up(env_id):
    probe_import(env_id)
