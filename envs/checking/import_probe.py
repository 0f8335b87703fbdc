"""Import of a user's module in a process of its own, which the module may end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from envs.contract.agents import PREFIX
from rungwise import user_packages
from rungwise.user_packages import has_user_packages
from rungwise.validation import InputError

PROBE = """
import importlib, json, os, runpy, sys
module, sys.path[:], answer, packages = json.loads(sys.argv[1])
try:
    if packages:
        for name in ("claim_packages", "extend_packages"):
            runpy.run_path(packages)[name]()
    importlib.import_module(module)
except BaseException:
    pass  # the import in the process of the check names the line
os.write(answer, b"survived")
os._exit(0)
"""


def probe_import(env_id: str) -> None:
    """Import the module of an environment in another process, and see whether it survives.

    ``os._exit`` and a crash of native code end a process without an exception, so that a check in
    the same process would have no answer, and the module's exit status in place of its own.

    Raises:
        InputError: the module ends its process.
    """
    prefix, _, last = env_id.rpartition(":")
    module = last if prefix == PREFIX else prefix
    if not module or module in sys.modules:
        return
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as answer:
        try:
            # Where the project has folders of our names, its modules need both.
            packages = user_packages.__file__ if has_user_packages(sys.path) else ""
            argument = json.dumps([module, sys.path, writing, packages])
            ended = subprocess.run(
                [sys.executable, "-c", PROBE, argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[writing],
                check=False,
            )
        finally:
            os.close(writing)
        # A process that the module has started may hold the pipe open, so it is not read to its
        # end: the answer is in it by now, or will never be.
        os.set_blocking(reading, False)
        if answer.read(1):
            return
    raise InputError(
        f"The module {module} of {env_id!r} ends its process when it is imported "
        f"({_describe_end(ended.returncode)}): put what only a script should do below "
        '`if __name__ == "__main__":`.'
    )


def _describe_end(status: int) -> str:
    if status >= 0:
        return f"exit status {status}, as after os._exit({status})"
    return f"it was killed by {signal.Signals(-status).name}, as by an error in native code"
