"""The Python API: run, resume and check jobs from a script or a notebook.

A script and the command line do the same: a preset or a YAML file holds a :class:`Job`, and both
leave the same run directory. ``tune_jobs`` exports these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rungwise.run_directory import find_free_directory
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.events import Row
from rungwise.run_log.outcome import Outcome
from tune_jobs.check.check_target import load_check_target
from tune_jobs.check.run_probes import examine
from tune_jobs.env_module import restore_module
from tune_jobs.jobs.job import Job
from tune_jobs.ray_session import ray_session
from tune_jobs.session.prepare import (
    check_machine,
    check_reporting,
    extend_run,
    is_complete,
    open_run,
    prepare_job,
)
from tune_jobs.session.run_lifecycle import drive


def run(
    job: Job,
    out: str | Path | None = None,
    *,
    address: str = "local",
    cpus: int | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Outcome:
    """Train or tune a job and return its outcome.

    Ray is started for the run and shut down after it. A Ray that the process has initialised itself
    is used as it is and left running.

    Args:
        job: the job, made in Python or by :func:`rungwise.load_job`.
        out: the run directory; by default ``runs/<environment>-<date>-<number>``.
        address: ``local`` for a Ray on this machine, or the address of a Ray to join.
        cpus: CPUs that a local Ray offers; by default one for each core.
        on_row: called with every row of the event log as it is written.

    Raises:
        InputError: the job, the directory or the machine cannot be used.
        RayStartError: no Ray starts on this machine.
        DriverError: the run failed as a whole. A failed trial does not raise: its outcome has the
            end reason ``error``.
    """
    directory = Path(out) if out else find_free_directory(job.env)
    check_machine(job, address, cpus)
    prepare_job(job, directory)
    return _drive(directory, address, cpus, on_row)


def resume(
    directory: str | Path,
    *,
    address: str = "local",
    cpus: int | None = None,
    on_row: Callable[[Row], None] | None = None,
    extension: Mapping[str, Any] | None = None,
) -> Outcome:
    """Continue a run after an interruption or a crash; finished trials do not run again.

    Args:
        directory: the run directory.
        address: as in :func:`run`.
        cpus: as in :func:`run`.
        on_row: as in :func:`run`.
        extension: a larger budget, such as ``{"trials": 64, "iterations": 200}``; ``search`` may
            hold other spaces for the trials that join.

    Raises:
        InputError: the directory is not that of a run, the run cannot be extended so, or the
            machine cannot be used.
        RayStartError: no Ray starts on this machine.
        DriverError: the run failed as a whole.
    """
    directory = Path(directory)
    restore_module(directory, required=True)
    job, rows = open_run(directory)
    job = extend_run(directory, extension) if extension else job
    if is_complete(job, rows):
        return Outcome.from_rows(rows)
    check_machine(job, address, cpus)
    check_reporting(job)
    return _drive(directory, address, cpus, on_row)


def check_environment(
    name: str, algo: str = "", env_kwargs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check whether an environment can be learnt from; takes up to two minutes.

    Args:
        name: a preset, a job file, or the id of an environment.
        algo: the algorithm; empty for that of the preset or file, or PPO.
        env_kwargs: arguments of the environment.

    Returns:
        The answer of ``rungwise check --json``: ``findings``, ``judged`` and ``not_judged``.

    Raises:
        InputError: there is no such environment, or the algorithm cannot learn in it.
    """
    return examine(load_check_target(name, algo, env_kwargs))


def _drive(
    directory: Path, address: str, cpus: int | None, on_row: Callable[[Row], None] | None
) -> Outcome:
    def listener(row: Row | EvaluationStatus) -> None:
        if on_row and not isinstance(row, EvaluationStatus):
            on_row(row)

    with hold_driver_lock(directory), ray_session(address, cpus, directory):
        return drive(directory, listener)
