"""Which process is meant: what stays true of it while process ids are reused and clocks are set."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

TOKEN = "RUNGWISE_PROGRAM"
"""Environment variable of a program and of what it starts, with a value of its own per start."""


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
