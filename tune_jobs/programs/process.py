"""A program as a process group of its own: started, found again, ended.

The program outlives Rungwise: its output goes to files and not into pipes, and it is in a session
of its own, so that neither a killed Rungwise nor a closed terminal ends it. A shell around it
writes its exit status to a file, as Rungwise is not its parent: Ray kills the children of a worker
that it ends, which would be the shell without the program. Where nothing would find the program
again, it ends with the process that started it: see :func:`end_with_this_process`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from rungwise.validation import InputError
from tune_jobs.jobs.program_settings import check_command

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
"""Signals that end a program, the next one where it has not ended after :data:`GRACE_S`."""
GRACE_S = 10.0
POLL_S = 0.05
STDOUT, STDERR, STATUS, PROCESS = "stdout.log", "stderr.log", "status", "process.json"
"""Files of a program's folder: its output, its exit status, and which process it is."""
DISCARDED = "discarded"
"""An empty file of a program whose output is not to be followed again."""
START = "start"
"""An empty file that is as old as the start, by the clock of the file system."""
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b")
"""The line of a traceback that says what was raised; the others are indented."""
_WRAPPER = '"$@"; echo $? > "$0"'
_DETACH = """
import subprocess, sys
with open(sys.argv[1], "ab") as out:
    print(subprocess.Popen(sys.argv[2:], stdout=out, start_new_session=True).pid)
"""
"""Starts a command whose parent has ended, and prints its process id."""
_GUARD = """
import sys
import rungwise  # first, as other packages may have the names of ours
from tune_jobs.programs.process import guard_program
guard_program(sys.argv[1])
"""
TOKEN = "RUNGWISE_PROGRAM"
"""Environment variable of a program and of what it starts, with a value of its own per start."""


@dataclass(frozen=True)
class ProgramProcess:
    """A running or ended program, known by its process id and by what marks its start."""

    pid: int
    start_id: str
    """See :func:`read_start_id`: another process may get the same id later."""
    started: float
    """Seconds since 1970."""
    folder: Path | None = None
    """Where its output and exit status are; None for a process that Rungwise did not start."""
    directory: Path = field(default_factory=Path.cwd)
    """Its working directory."""
    token: str = ""
    """Value of :data:`TOKEN` in its environment and in that of what it starts."""

    @property
    def is_running(self) -> bool:
        """Whether any process of it runs."""
        if self.exit_status is not None:  # not whether its file exists, which is empty for a moment
            return False
        with suppress(psutil.NoSuchProcess):
            if self._exists() and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE:
                return True
        # Its shell may have been killed alone, and cannot write the status of what still runs.
        return self.folder is not None and bool(self._find_members(()))

    @property
    def exit_status(self) -> int | None:
        """Its exit status, 128 and the signal where one ended it; None while it is not known."""
        try:
            text = (self.folder / STATUS).read_text() if self.folder else ""
        except FileNotFoundError:
            return None
        return int(text) if text.strip() else None

    @property
    def ended(self) -> float | None:
        """When it ended, in seconds since 1970; None while it runs or where that is not known."""
        with suppress(FileNotFoundError):
            if self.folder is not None:  # the clock of its file system may not be ours
                ended = (self.folder / STATUS).stat().st_mtime
                return self.started + ended - read_start_time(self.folder)
        return None

    @property
    def has_finished(self) -> bool:
        """Whether it ended by itself and without an error, and its output is to be followed."""
        return self.exit_status == 0 and not self.is_discarded

    @property
    def is_discarded(self) -> bool:
        """Whether what it wrote is not to be followed: it was ended, or its log was refused."""
        return self.folder is not None and (self.folder / DISCARDED).exists()

    def discard(self) -> None:
        """Mark that what it wrote is not to be followed again: a new start replaces it."""
        if self.folder is not None:
            with suppress(OSError):  # the folder was deleted: nothing can be followed
                (self.folder / DISCARDED).touch()

    def end(self, grace_s: float = GRACE_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask it to end, then end it: SIGINT, SIGTERM and SIGKILL with time in between."""
        if self.is_running:
            self.discard()
        members = self._find_members(())
        for number in SIGNALS:
            if not members:
                return
            self._send(number)
            deadline = clock() + grace_s
            while members and clock() < deadline:
                time.sleep(POLL_S)
                members = self._find_members(members)

    def list_processes(self) -> list[psutil.Process]:
        """Return its processes that are alive, and those that they have started."""
        members = self._find_members(())
        with suppress(psutil.NoSuchProcess):
            if self._exists():
                started = psutil.Process(self.pid).children(recursive=True)
                return list(dict.fromkeys([*members, *started]))
        return members

    def _exists(self) -> bool:
        return read_start_id(self.pid) == self.start_id

    def _send(self, number: signal.Signals) -> None:
        send = os.killpg if self._has_group else os.kill
        with suppress(ProcessLookupError):
            send(self.pid, number)

    @property
    def _has_group(self) -> bool:
        """Whether all of its group is to be ended and not only itself."""
        if self.folder is not None:
            return True
        # The group of a process that Rungwise did not start may hold that one's shell as well.
        with suppress(ProcessLookupError):
            return os.getpgid(self.pid) == self.pid
        return False

    def _find_members(self, former: Collection[psutil.Process]) -> list[psutil.Process]:
        """Return its processes that are alive.

        Args:
            former: those that were its processes a moment ago.
        """
        if not self._has_group:
            return [psutil.Process(self.pid)] if self.is_running else []
        members = list_group(self.pid)
        # Its id may be that of another group by now, even where no process has it: that group's
        # leader may have ended, too. An id is not given anew while its group has members, so one
        # former member makes the group its own.
        is_own = self._exists() or any(process in former for process in members)
        return members if is_own or is_any_of(members, self.token) else []


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
    (folder / DISCARDED).unlink(missing_ok=True)
    (folder / START).touch()
    token = uuid4().hex
    # Appended: a program that is started again after a failure keeps what it wrote before.
    out = (folder / STDOUT).absolute()
    with (folder / STDERR).open("ab") as err:
        pid = _start_detached(
            ["/bin/sh", "-c", _WRAPPER, str(status), *command],
            out,
            stdin=subprocess.DEVNULL,
            stderr=err,
            env={**env, TOKEN: token},
            cwd=directory,
        )
    cwd = directory or Path.cwd()
    try:
        program = _describe(pid, folder, cwd, token)
    except psutil.NoSuchProcess:  # it has ended already
        program = ProgramProcess(pid, "", time.time(), folder, cwd, token)
    remember_program(program, folder)
    return program


def end_with_this_process(folder: Path) -> None:
    """Have the program of a folder ended when this process ends, even where it is killed.

    A guard, which is no child of this process either, waits until a pipe is closed that this
    process alone holds open.
    """
    read, _ = os.pipe()  # the other end is closed by the system
    guard = [sys.executable, "-P", "-c", _GUARD, str(folder.absolute())]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    _start_detached(guard, Path(os.devnull), stdin=read, env=env)
    os.close(read)


def guard_program(folder: str) -> None:
    """End the program of a folder, unless it has ended, once the standard input is closed."""
    program = find_program(Path(folder))
    sys.stdin.read()
    if program is not None and program.is_running:
        program.end()


def _start_detached(command: Sequence[str], out: Path, **options: Any) -> int:
    """Start a command in a session of its own, as no child of ours, and return its process id.

    Args:
        command: the program and its arguments.
        out: the file that its output is appended to.
        options: those of ``subprocess.run``.
    """
    # Without the environment's settings of Python (-I, -S): they are for the command.
    words = [sys.executable, "-I", "-S", "-c", _DETACH, str(out), *command]
    return int(subprocess.run(words, stdout=subprocess.PIPE, check=True, **options).stdout)


def remember_program(program: ProgramProcess, folder: Path) -> None:
    """Write which process a program is, for :func:`find_program`."""
    record = {
        "pid": program.pid,
        "start_id": program.start_id,
        "started": program.started,
        "token": program.token,
        "directory": str(program.directory),
        "is_ours": program.folder is not None,
        "host": socket.gethostname(),
    }
    (folder / PROCESS).write_text(json.dumps(record))


def read_start_time(folder: Path) -> float:
    """Return when the program of a folder was started last, by the clock of the file system."""
    return (folder / START).stat().st_mtime


def find_program(folder: Path) -> ProgramProcess | None:
    """Return the program that a folder remembers; one of another machine does not run here."""
    try:
        record = json.loads((folder / PROCESS).read_text())
        output = folder if record["is_ours"] else None
        cwd = Path(record["directory"])
        start_id, started, token = record["start_id"], record["started"], record["token"]
        program = ProgramProcess(int(record["pid"]), start_id, float(started), output, cwd, token)
        # No file says how one ended that Rungwise did not start: it may run there.
        is_elsewhere = record["host"] != socket.gethostname() and not program.is_running
        return None if output is None and is_elsewhere else program
    except (OSError, ValueError, LookupError, TypeError):
        return None  # none was started, or the machine stopped while the file was written


def find_process(pid: int) -> ProgramProcess:
    """Return the process with an id, which Rungwise did not start.

    Raises:
        InputError: there is none.
    """
    try:
        return _describe(pid)
    except psutil.NoSuchProcess as error:
        raise InputError(f"There is no process {pid}: it has ended, or --pid is wrong.") from error


def _describe(
    pid: int, folder: Path | None = None, directory: Path | None = None, token: str = ""
) -> ProgramProcess:
    """Describe a process that exists.

    Raises:
        psutil.NoSuchProcess: it does not.
    """
    if (start_id := read_start_id(pid)) is None:
        raise psutil.NoSuchProcess(pid)
    started = psutil.Process(pid).create_time()
    return ProgramProcess(pid, start_id, started, folder, directory or Path.cwd(), token)


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


def read_start_id(pid: int) -> str | None:
    """Return what a process keeps from its start to its end; None where there is no such process.

    On Linux the boot of the machine and the clock tick of the start. The time of the start is no
    part of it: it moves when the clock is set, by NTP or after a virtual machine was suspended.
    """
    if not psutil.LINUX:
        with suppress(psutil.NoSuchProcess):
            return str(psutil.Process(pid).create_time())
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold spaces and parentheses. The start is field 22 of all.
    ticks = stat.rpartition(")")[2].split()[19]
    return f"{_read_boot_id()}/{ticks}"


def identify_machine() -> str:
    """Return what processes that see each other have in common: two hosts may have one name."""
    with suppress(OSError):  # containers have the boot of their machine in common
        return f"{_read_boot_id()}/{Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def list_group(group: int) -> list[psutil.Process]:
    """Return the processes of a group, without those that only wait to be reaped."""
    return [process for pid in psutil.pids() if (process := _find_member(pid, group))]


def is_any_of(processes: Collection[psutil.Process], token: str) -> bool:
    """Return whether the environment of any of these processes has the token of a program."""
    return any(_has_token(process, token) for process in processes)


def _read_boot_id() -> str:
    with suppress(OSError):  # some sandboxes have none
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _has_token(process: psutil.Process, token: str) -> bool:
    with suppress(psutil.Error, OSError):
        return process.environ().get(TOKEN) == token
    return False  # another user's, or it has ended


def _find_member(pid: int, group: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        # Asked first, by one system call: a machine has hundreds of other processes.
        if os.getpgid(pid) == group:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process
    return None
