"""A program as a process group of its own: started, found again, ended.

The program outlives Rungwise: its output goes to files and not into pipes, and it is in a session
of its own, so that neither a killed Rungwise nor a closed terminal ends it. A shell around it
writes its exit status to a file, for a Rungwise that is not its parent.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from envs.validation import InputError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
"""What ends a program, the next one where it has not ended after :data:`GRACE_S`."""
GRACE_S = 10.0
POLL_S = 0.05
STDOUT, STDERR, STATUS, PROCESS = "stdout.log", "stderr.log", "status", "process.json"
"""Files of a program's folder: its output, its exit status, and which process it is."""
START = "start"
"""An empty file that is as old as the start, by the clock of the file system."""
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b")
"""The line of a traceback that says what was raised; the others are indented."""
_WRAPPER = '"$@"; echo $? > "$0"'


@dataclass(frozen=True)
class ProgramProcess:
    """A running or ended program, known by its process id and its time of start."""

    pid: int
    started: float
    """Seconds since 1970: another process may get the same id later."""
    folder: Path | None = None
    """Where its output and exit status are; None for a process that Rungwise did not start."""
    directory: Path = field(default_factory=Path.cwd)
    """Its working directory."""

    @property
    def is_running(self) -> bool:
        """Whether any process of it runs."""
        if self.folder is not None and (self.folder / STATUS).exists():
            return False
        process = self._find()
        return process is not None and process.status() != psutil.STATUS_ZOMBIE

    @property
    def exit_status(self) -> int | None:
        """Its exit status, 128 and the signal where one ended it; None while it is not known."""
        try:
            text = (self.folder / STATUS).read_text() if self.folder else ""
        except FileNotFoundError:
            return None
        return int(text) if text.strip() else None

    def end(self, grace_s: float = GRACE_S) -> None:
        """Ask it to end, then end it: SIGINT, SIGTERM and SIGKILL with time in between."""
        for number in SIGNALS:
            if not self._send(number):
                return
            deadline = time.monotonic() + grace_s
            while time.monotonic() < deadline and self._has_members():
                time.sleep(POLL_S)

    def _find(self) -> psutil.Process | None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if process.create_time() == self.started:
                return process
        return None

    def _send(self, number: signal.Signals) -> bool:
        """Send a signal to its processes; return whether there were any."""
        with suppress(ProcessLookupError):
            if self._leads_group:
                os.killpg(self.pid, number)
                return True
            if self._find() is not None:
                os.kill(self.pid, number)
                return True
        return False

    @property
    def _leads_group(self) -> bool:
        """Whether the group of its id is its own: a process that is gone may have left members."""
        if self.folder is not None:
            # No new process gets the id of a group that has members: the group is another's only
            # where its id is that of another process.
            return self._find() is not None or not psutil.pid_exists(self.pid)
        # Of a process that Rungwise did not start, the group may hold that one's shell as well.
        with suppress(ProcessLookupError):
            return self._find() is not None and os.getpgid(self.pid) == self.pid
        return False

    def _has_members(self) -> bool:
        """Whether a process of it is left, other than one that waits to be reaped."""
        if self._leads_group:
            return any(_is_alive_in_group(process, self.pid) for process in psutil.process_iter())
        return self.is_running


def start_program(
    command: Sequence[str], folder: Path, env: Mapping[str, str], directory: Path | None = None
) -> ProgramProcess:
    """Start a program in a process group of its own.

    Args:
        command: the program and its arguments.
        folder: for its output, its exit status and its process id.
        env: its environment variables.
        directory: its working directory; ours by default.

    Raises:
        InputError: there is no such program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_command(command, env)
    status = (folder / STATUS).absolute()
    status.unlink(missing_ok=True)
    (folder / START).touch()
    # Appended: a program that is started again after a failure keeps what it wrote before.
    with (folder / STDOUT).open("ab") as out, (folder / STDERR).open("ab") as err:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _WRAPPER, str(status), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=dict(env),
            cwd=directory,
            start_new_session=True,
        )
    started = psutil.Process(process.pid).create_time()
    program = ProgramProcess(process.pid, started, folder, directory or Path.cwd())
    remember_program(program, folder)
    return program


def remember_program(program: ProgramProcess, folder: Path) -> None:
    """Write which process a program is, for :func:`find_program`."""
    known = {
        "pid": program.pid,
        "started": program.started,
        "directory": str(program.directory),
        "is_ours": program.folder is not None,
        "host": socket.gethostname(),
    }
    (folder / PROCESS).write_text(json.dumps(known))


def read_start_time(folder: Path) -> float:
    """Return when the program of a folder was started last, by the clock of the file system."""
    return (folder / START).stat().st_mtime


def check_command(command: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse a command that cannot be started.

    Raises:
        InputError: there is no such program, or it may not be executed.
    """
    if not command:
        raise InputError("There is no command: write it after --, e.g. -- python train.py.")
    name = command[0]
    path = Path(name)
    found = _is_executable(path) if path.name != name else _find_on_path(name, env)
    if not found:
        seen = "may not be executed" if path.is_file() else "does not exist"
        hint = f" (`python {name}`?)" if path.suffix == ".py" else ""
        raise InputError(f"The command {name!r} {seen}{hint}.")


def find_program(folder: Path) -> ProgramProcess | None:
    """Return the program of this machine that a folder remembers, running or not; None if none."""
    try:
        known = json.loads((folder / PROCESS).read_text())
        if known["host"] != socket.gethostname():
            return None  # its id means another process here
        ours = folder if known["is_ours"] else None
        place = Path(known["directory"])
        return ProgramProcess(int(known["pid"]), float(known["started"]), ours, place)
    except (OSError, ValueError, LookupError, TypeError):
        return None  # none was started, or the machine stopped while the file was written


def find_process(pid: int) -> ProgramProcess:
    """Return the process with an id, which Rungwise did not start.

    Raises:
        InputError: there is none.
    """
    try:
        return ProgramProcess(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess as error:
        raise InputError(f"There is no process {pid}: it has ended, or --pid is wrong.") from error


def read_last_lines(path: Path, lines: int = 3, most: int = 4096) -> str:
    """Return the last lines of a text file that are not empty, joined by ``|``.

    The last exception comes first where it is above them: one about a tensor prints the tensor
    after its message. At most ``most`` bytes are read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    kept = [line for line in text.splitlines() if line.strip()]
    raised = [i for i, line in enumerate(kept) if _EXCEPTION.match(line)]
    shown = list(range(max(len(kept) - lines, 0), len(kept)))
    if raised and raised[-1] not in shown:
        shown = [raised[-1], *shown[1:]]
    return " | ".join(kept[i].strip() for i in shown)


def _find_on_path(name: str, env: Mapping[str, str]) -> bool:
    folders = env.get("PATH", os.defpath).split(os.pathsep)
    return any(_is_executable(Path(folder, name)) for folder in folders)


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_alive_in_group(process: psutil.Process, group: int) -> bool:
    with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        is_member = os.getpgid(process.pid) == group
        return is_member and process.status() != psutil.STATUS_ZOMBIE
    return False
