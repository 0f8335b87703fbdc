"""Validate a job whose trials are programs, and the sweep of any job: without torch or Ray."""

from __future__ import annotations

import os
from collections import defaultdict

from rungwise.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.program_settings import check_command, fill_command, list_placeholders

FOR_OUR_TRAINING = (
    *("seeds", "env_kwargs", "evaluation_env_kwargs"),
    *("held_out_interval", "evaluation_episodes", "videos"),
)
"""Fields that say nothing to a program, whose environment and policy are its own."""


def validate_program_job(job: Job) -> None:
    """Make sure that the programs of a job can start and their trials can be distinguished.

    Raises:
        InputError: a command that does not exist, trials without a budget or with one log, or a
            field that a program does not follow.
    """
    check_sweep(job)
    for name in FOR_OUR_TRAINING:
        if (value := getattr(job, name)) not in (getattr(Job, name, {}), 0):
            raise InputError(
                f"{name} is {value!r}, but a program has an environment and a policy of its own "
                f"and does not follow it: remove {name}, or give its command such an argument."
            )
    settings = job.program
    if not (settings.command or settings.log):
        raise InputError("command is empty: write the program and its arguments.")
    if settings.command:
        check_command(fill_command(settings, defaultdict(str)), os.environ)
    has_out = "out" in list_placeholders(settings)
    if settings.resume and not has_out:
        raise InputError(
            f"resume is {settings.resume!r}, but the command does not contain {{out}}, which is "
            "the folder to continue from: pass it where the program takes its output directory."
        )
    if job.trials == 1:
        if job.max_failures not in (Job.max_failures, 0):
            raise InputError(
                f"max_failures is {job.max_failures}, but a program is started again only where "
                "it is a trial of several: remove max_failures, and call `rungwise resume` after "
                "a failure."
            )
        return
    if not settings.budget:
        raise InputError(
            f"{job.trials} trials are compared at parts of a budget: give the name of what their "
            "logs count as progress, and how far it goes as budget."
        )
    if not has_out:
        raise InputError(
            f"The command of {job.trials} trials does not contain {{out}}, so that all would log "
            "to the same place: pass it where the program takes its output directory."
        )


def check_sweep(job: Job) -> None:
    """Refuse a sweep of one trial, and one whose scheduler could never decide.

    Not a job's own check: the file of a sweep may also be trained as a single short run.

    Raises:
        InputError: if the job is one of these.
    """
    if job.search and job.trials == 1:
        raise InputError(
            f"search names {', '.join(job.search)}, but trials is 1, so that nothing is compared: "
            "set --trials, to 8 for example, or train the settings as they are (`rungwise train`)."
        )
    # Nothing can be saved of a single iteration, and the budget of a program may be unknown.
    if job.scheduler == "none" or min(job.trials, job.iterations) < 2:
        return
    if job.decision_interval < job.iterations:
        return
    said = f"grace is {job.decision_interval}, but iterations is {job.iterations}, so that "
    pbt = job.scheduler == "pbt"
    said += "PBT replaces no trial" if pbt else "ASHA has no rung at which it could stop a trial"
    raise InputError(f"{said}: set --grace to at most {job.iterations - 1}, or --scheduler none.")
