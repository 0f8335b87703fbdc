"""The queue: starts a driver for each run whose turn it is, and sees what became of it.

It remembers nothing. What is to be done follows from the orders and the logs in the directories of
the runs, so it can be killed at any moment, and go on where it was.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.queue.orders import (
    DRIVER_LOG,
    Order,
    delete_order,
    get_run_state,
    list_orders,
    read_order,
    write_order,
)
from envs.validation import InputError
from tune_jobs.ray_session import offered_cpus
from tune_jobs.run_directory import find_free_directory
from tune_jobs.run_log.driver_lock import LOCK, file_lock, has_driver
from tune_jobs.run_log.events import EndRow, EventLog, read_log_ends
from tune_jobs.run_log.stop_requests import JOB, clear_stop_request, request_stop

MAX_STARTS = 3
"""Drivers that are started for a run before it is given up."""
POLL_INTERVAL_S = 0.5
"""Seconds between two looks at the orders."""


class RunQueue:
    """Drives the runs below a directory.

    Args:
        root: where runs are kept.
        address: of the Ray that all runs share; ``local`` starts one for each of them.
        cpus: CPUs of each of these.
        at_once: runs that are driven at the same time.

    Raises:
        InputError: a number that lets no run begin, or several at once, each with all of this
            machine.
    """

    def __init__(
        self, root: Path, address: str = "local", cpus: int | None = None, at_once: int = 1
    ) -> None:
        if at_once < 1:
            raise InputError(
                f"--at-once must be at least 1, but it is {at_once}: no run would begin."
            )
        if address == "local":
            offered_cpus(cpus)
        if at_once > 1 and address == "local" and cpus is None:
            raise InputError(
                f"{at_once} runs at once would each take all of this machine: say how many CPUs "
                "each may have (--cpus 4), or which Ray they share (--address)."
            )
        self.root, self.address, self.cpus, self.at_once = root, address, cpus, at_once
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def submit(
        self, fields: Mapping[str, Any], preset: str | None, name: str, order: Order
    ) -> Path:
        """Check a job and put it into the queue; its run's directory.

        Raises:
            InputError: something in it cannot be used, or the name is taken.
        """
        from tune_jobs.jobs.job_yaml import make_job
        from tune_jobs.prepare import prepare_job

        try:
            job = make_job(fields if preset is None else _merge_with_preset(preset, fields))
        except InputError:
            raise
        except (TypeError, AttributeError, LookupError, ValueError) as error:
            # What comes over the network may be nested in ways that no YAML of a person's is.
            raise InputError(f"The job does not hold what a job file does ({error}).") from error
        with self._lock:
            directory = self.root / name if name else find_free_directory(job.env, self.root)
            if directory.exists():
                begun = (directory / "job.yaml").is_file()
                again = (
                    f"Continue it with `rungwise jobs resume {name}`, or give" if begun else "Give"
                )
                raise InputError(f"{name} exists already. {again} the new run another name.")
            prepare_job(job, directory)
            write_order(directory, dataclasses.replace(order, ordered_at=time.time()))
        return directory

    def resume(self, directory: Path) -> None:
        """Put a run into the queue again; what is done of it is not done again."""
        with self._lock:
            clear_stop_request(directory, JOB)
            order = read_order(directory)
            if order is None or order.failure:
                write_order(directory, Order(order.priority if order else 0, time.time()))
            elif has_driver(directory):
                write_order(directory, dataclasses.replace(order, restart_after_end=True))

    def tick(self) -> None:
        """Do what is due: see which drivers have ended, start those whose turn it is."""
        self._children = [child for child in self._children if child.poll() is None]
        with self._lock:
            at_work = 0
            for directory, order in list_orders(self.root):
                if has_driver(directory):
                    at_work += 1
                elif order.num_starts and not order.failure:
                    self._judge(directory, order)
            for directory, order in list_orders(self.root):
                if at_work < self.at_once and not order.failure and not has_driver(directory):
                    at_work += self._start(directory, order)

    def _judge(self, directory: Path, order: Order) -> None:
        """Its driver is gone: the run has ended, or is tried again, or is given up."""
        log = directory / "events.jsonl"
        grown = log.is_file() and log.stat().st_size > order.log_size
        end = read_log_ends(log)[1] if grown else None
        if end and end.reason != "error":
            if order.restart_after_end:
                write_order(directory, Order(order.priority, order.ordered_at))
            else:
                delete_order(directory)
        elif order.num_starts >= MAX_STARTS:
            said = _last_line(directory / DRIVER_LOG)
            failed = f"its driver failed {order.num_starts} times: {said}"
            write_order(directory, dataclasses.replace(order, failure=failed))

    def _start(self, directory: Path, order: Order) -> bool:
        """Start a driver; whether it could be had."""
        with file_lock(directory / LOCK) as lock:
            if lock is None:
                return False
            log = directory / "events.jsonl"
            size = log.stat().st_size if log.is_file() else 0
            write_order(
                directory,
                dataclasses.replace(order, num_starts=order.num_starts + 1, log_size=size),
            )
            words = [sys.executable, "-m", "cluster.queue.driver", str(directory), self.address]
            words += [str(lock), *([] if self.cpus is None else [str(self.cpus)])]
            with (directory / DRIVER_LOG).open("ab") as said:
                # A session of its own: Ctrl-C and the end of the service leave it at work. It keeps
                # the lock, by the file that it inherits, for as long as it lives.
                self._children.append(
                    subprocess.Popen(
                        words,
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        pass_fds=[lock],
                        start_new_session=True,
                        env=os.environ | {"OMP_NUM_THREADS": "1"},
                    )
                )
        return True

    def run_until_stopped(self, stop: threading.Event) -> None:
        """Tick until it is to stop."""
        while not stop.wait(POLL_INTERVAL_S):
            self.tick()


def stop_run(directory: Path) -> None:
    """Let a run stop, or wait no longer; it can be resumed.

    Raises:
        InputError: there is nothing to stop.
    """
    (state, _), order = get_run_state(directory), read_order(directory)
    if state in ("running", "silent"):
        if order is not None and order.restart_after_end:
            write_order(directory, dataclasses.replace(order, restart_after_end=False))
        request_stop(directory, JOB)
    elif order is not None:
        delete_order(directory)
    else:
        raise InputError(f"{directory.name} does not run ({state}): there is nothing to stop.")


def reopen_trial(directory: Path, trial: str, iteration: int) -> None:
    """Write that the end of a trial is undone, so that the next resume goes on with it."""
    clear_stop_request(directory, trial)
    said = "asked to go on"
    EventLog(directory / "events.jsonl").append(
        EndRow(trial=trial, iteration=iteration, reason="interrupted", sentence=said)
    )


def _merge_with_preset(preset: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a preset's job, some of them and of its settings changed."""
    from tune_jobs.jobs.job_yaml import dump_job, load_job

    base = yaml.safe_load(dump_job(load_job(preset)))
    changed = base | dict(fields)
    if isinstance(settings := fields.get("settings"), Mapping):
        changed["settings"] = base["settings"] | dict(settings)
    return changed


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
