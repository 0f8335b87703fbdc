"""Queue of runs: starts a driver process for each ordered run, and judges it when it ends.

The queue has no state of its own. Everything follows from the orders and event logs in the run
directories, so it can be killed at any moment and continue where it was.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.queue.disk_limit import DiskLimit
from cluster.queue.orders import (
    DRIVER_LOG,
    Order,
    delete_order,
    get_run_state,
    list_orders,
    read_order,
    write_order,
)
from rungwise.run_directory import find_free_directory
from rungwise.run_log.driver_lock import LOCK, file_lock, has_driver
from rungwise.run_log.event_log import EventLog, read_job_end
from rungwise.run_log.events import EndRow
from rungwise.run_log.log_file import get_log_size
from rungwise.run_log.stop_requests import (
    JOB,
    clear_stop_request,
    is_stop_requested,
    request_stop,
)
from rungwise.validation import InputError
from tune_jobs.jobs.notify_url import VARIABLE as NOTIFY_VARIABLE
from tune_jobs.ray_session import offered_cpus
from tune_jobs.session.object_storage import MIRROR_VARIABLE

MAX_STARTS = 3
"""Drivers started for a run before it is given up."""
POLL_INTERVAL_S = 0.5
"""Seconds between two checks of the orders."""


class RunQueue:
    """Queue that drives the runs below a directory.

    Args:
        root: directory of the runs.
        address: address of the Ray that all runs share; ``local`` starts one per run.
        cpus: CPUs of each Ray on this machine.
        at_once: number of runs driven at the same time.
        accepts_programs: whether jobs may be programs: who can submit one can run any command.
        disk_limit: GiB of disk above which no run is started; None for no limit.

    Raises:
        InputError: no run could start with these numbers, or several runs would each use all of
            this machine.
    """

    def __init__(
        self,
        root: Path,
        address: str = "local",
        cpus: int | None = None,
        at_once: int = 1,
        *,
        accepts_programs: bool = True,
        disk_limit: float | None = None,
    ) -> None:
        if at_once < 1:
            raise InputError(
                f"--at-once must be at least 1, but it is {at_once}: no run would start."
            )
        # Called for its checks: a wrong --cpus must be refused here, not in the log of the first
        # driver.
        if address == "local":
            offered_cpus(cpus)
        if at_once > 1 and address == "local" and cpus is None:
            raise InputError(
                f"--at-once {at_once} would give each run all CPUs of this machine: limit them "
                "with --cpus, or name a Ray that the runs share with --address."
            )
        self.root, self.address, self.cpus, self.at_once = root, address, cpus, at_once
        self.accepts_programs, self.disk = accepts_programs, DiskLimit(root, disk_limit)
        self._children: list[subprocess.Popen[bytes]] = []
        self._reported = set[str]()
        self._lock, self._submitting = threading.Lock(), threading.Lock()

    def submit(
        self, fields: Mapping[str, Any], preset: str | None, name: str, order: Order
    ) -> Path:
        """Validate a job, put it into the queue and return its run directory.

        Raises:
            InputError: something in it cannot be used, or the name is taken.
        """
        from tune_jobs.jobs.given_fields import merge_fields
        from tune_jobs.jobs.job import make_job
        from tune_jobs.jobs.job_yaml import load_fields
        from tune_jobs.session.prepare import prepare_job

        try:
            if preset is not None:
                fields = merge_fields(load_fields(preset), fields)
            job = make_job(fields)
        except InputError:
            raise
        except (TypeError, AttributeError, LookupError, ValueError, RecursionError) as error:
            # JSON from the network may be nested in ways that no YAML file of a user is.
            raise InputError(
                f"The job is not a mapping of the fields of a job file ({error})."
            ) from error
        if job.is_program and not self.accepts_programs:
            raise InputError(
                "A job with a command can run anything as the user of the service, so it needs a "
                "token: start the service without --no-token."
            )
        for field, variable in (("notify", NOTIFY_VARIABLE), ("storage", MIRROR_VARIABLE)):
            if getattr(job, field) and not self.accepts_programs:
                raise InputError(
                    f"A job with {field} has the service write to any host, so it needs a token: "
                    f"start the service without --no-token, or set {variable} where it starts."
                )
        with self._submitting:  # a lock of its own: runs are driven during checks of minutes
            # Under the lock: two requests could find the same free name before either has used it.
            directory = self.root / name if name else find_free_directory(job.env, self.root)
            if directory.exists():
                is_run = (directory / "job.yaml").is_file()
                resume = f"Continue it with `rungwise jobs resume {name}`, or give"
                remedy = f"{resume if is_run else 'Give'} the new run another name."
                raise InputError(f"{name} exists already. {remedy}")
            prepare_job(job, directory)
            # The order is written last: a crash before it leaves a prepared run that can be
            # resumed, but never an order without a job.
            write_order(directory, dataclasses.replace(order, ordered_at=time.time()))
        return directory

    def resume(self, directory: Path, extension: Mapping[str, Any] | None = None) -> None:
        """Put a run into the queue again; it continues from its last checkpoints.

        Args:
            directory: the run directory.
            extension: a larger budget, as in :func:`rungwise.resume`.

        Raises:
            InputError: the run cannot be extended so.
        """
        with self._lock:
            if extension:
                from tune_jobs.session.prepare import extend_run

                extend_run(directory, extension)
            clear_stop_request(directory, JOB)
            order = read_order(directory)
            is_driven = has_driver(directory)
            if order and order.num_starts and not order.failure and not is_driven:
                self._judge_end(directory, order)  # it has ended since the last tick
                order = read_order(directory)
            if order is None or order.failure:
                write_order(directory, Order(order.priority if order else 0, time.time()))
            # A driver reads once, at its start, which trials are open: another must follow it for
            # this one.
            elif is_driven:
                write_order(directory, dataclasses.replace(order, restart_after_end=True))

    def tick(self) -> None:
        """Judge the drivers that have ended, and start those that are next."""
        # Polling reaps drivers that have ended, which would otherwise remain as zombies. Locks
        # decide which runs are driven: the drivers of an earlier service are no children of this
        # one.
        self._children = [child for child in self._children if child.poll() is None]
        with self._lock:
            running = 0
            for directory, order in list_orders(self.root):
                if has_driver(directory):
                    running += 1
                elif order.num_starts and not order.failure:
                    with self._report_errors(directory):
                        self._judge_end(directory, order)
            # Listed again, because judging may have deleted or changed orders.
            for directory, order in list_orders(self.root):
                if running < self.at_once and not order.failure and not has_driver(directory):
                    with self._report_errors(directory):
                        running += self._start(directory, order)

    def _judge_end(self, directory: Path, order: Order) -> None:
        """Delete, renew or fail the order of a run whose driver has ended."""
        log = directory / "events.jsonl"
        # An end in the part that was there before is that of an earlier start.
        end = read_job_end(log, order.log_size) if log.is_file() else None
        if end and end.reason != "error":
            if order.restart_after_end:
                write_order(directory, Order(order.priority, order.ordered_at))
            else:
                delete_order(directory)
            return
        if is_stop_requested(directory):  # its driver ended before it could stop the run
            clear_stop_request(directory)
            delete_order(directory)
            return
        # With fewer starts another driver is started for the order, which may wait and is judged
        # again until then.
        last_line, is_last = _read_last_line(directory / DRIVER_LOG), order.num_starts >= MAX_STARTS
        failure = f"its driver failed {order.num_starts} times: {last_line}" if is_last else ""
        is_found = end is None and order.num_lost < order.num_starts
        if is_last or is_found:
            lost = order.num_starts if is_found else order.num_lost
            write_order(directory, dataclasses.replace(order, failure=failure, num_lost=lost))
        if is_found:  # a driver that has written an end has sent a message about it
            _report_lost_driver(directory, order.num_starts, last_line)

    def _start(self, directory: Path, order: Order) -> bool:
        """Start a driver; return False if another process drives the run, or the disk is full."""
        with file_lock(directory / LOCK) as lock:
            if lock is None or read_order(directory) is None:  # stopped meanwhile
                return False
            if waits := self.disk.explain():
                if waits != order.waits:
                    write_order(directory, dataclasses.replace(order, waits=waits))
                return False
            size = get_log_size(directory / "events.jsonl")
            # The start is counted before the process exists: if the service is killed in between,
            # one start is lost. Counting afterwards could start a crashing driver without end.
            write_order(
                directory,
                dataclasses.replace(
                    order, num_starts=order.num_starts + 1, log_size=size, waits=""
                ),
            )
            # -P: a folder `cluster` or `envs` of the working directory is not taken for ours.
            words = [sys.executable, "-P", "-m", "cluster.queue.driver", str(directory)]
            words.append(self.address)
            words += [str(lock), *([] if self.cpus is None else [str(self.cpus)])]
            with (directory / DRIVER_LOG).open("ab") as output:
                # A new session, so that Ctrl-C and the end of the service do not stop it. It holds
                # the lock, through the file that it inherits, as long as it lives.
                self._children.append(
                    subprocess.Popen(
                        words,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        pass_fds=[lock],
                        start_new_session=True,
                        env=os.environ | {"OMP_NUM_THREADS": "1"},
                    )
                )
        return True

    def run_until_stopped(self, stop: threading.Event) -> None:
        """Tick until the event is set."""
        while not stop.wait(POLL_INTERVAL_S):
            with self._report_errors(self.root):
                self.tick()

    @contextmanager
    def _report_errors(self, directory: Path) -> Generator[None]:
        """Print an error once on stderr and continue: one run must not end the queue of all.

        The next tick tries again: a full disk may have space by then.
        """
        try:
            yield
        except Exception as error:
            line = f"rungwise: The queue cannot drive {directory} now ({error!r}), and tries again."
            if line not in self._reported:
                self._reported.add(line)
                sys.stderr.write(line + "\n")


def stop_run(directory: Path) -> None:
    """Request that a run stops, or remove it from the queue; it can be resumed.

    Raises:
        InputError: the run neither runs nor waits.
    """
    (state, _), order = get_run_state(directory), read_order(directory)
    if state in ("running", "silent"):
        # Otherwise the queue would start the run again as soon as it has stopped.
        if order is not None and order.restart_after_end:
            write_order(directory, dataclasses.replace(order, restart_after_end=False))
        # A silent run may have a driver on another machine, which finds the request on the shared
        # disk.
        request_stop(directory, JOB)
    elif order is not None:
        delete_order(directory)
        if has_driver(directory):  # the queue has started it meanwhile
            request_stop(directory, JOB)
    else:
        raise InputError(f"{directory.name} does not run, so it cannot be stopped: it is {state}.")


def reopen_trial(directory: Path, trial: str, iteration: int) -> None:
    """Write a row that undoes the end of a trial, so that the next resume continues it."""
    clear_stop_request(directory, trial)
    # The log is append-only: a second end replaces the first, and its reason is one that a resume
    # continues from.
    sentence = "resumed by request"
    EventLog(directory / "events.jsonl").append(
        EndRow(trial=trial, iteration=iteration, reason="interrupted", sentence=sentence)
    )


def _report_lost_driver(directory: Path, start: int, last_line: str) -> None:
    """Send a message about a driver that has ended without writing why."""
    from tune_jobs.session.notifier import Notifier  # late: it is needed for few runs

    resume = f"It is given up: `rungwise jobs resume {directory.name}` tries again."
    follows = f"Start {start + 1} of {MAX_STARTS} follows." if start < MAX_STARTS else resume
    text = f"its driver was lost: it has written no end. {follows} It printed last: {last_line}"
    # Sent without waiting: the queue has other runs to drive.
    notifier = Notifier(directory)
    notifier.send("driver_lost", text)
    notifier.finish()


def _read_last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")
