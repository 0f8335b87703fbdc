"""What can be refused of a program before it starts."""

from __future__ import annotations

import os
from collections import defaultdict

from envs.validation import InputError
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.program_settings import fill_command, list_placeholders
from tune_jobs.programs.process import check_command


def validate_program(job: Job) -> None:
    """Make sure that the programs of a job can start and their trials can be distinguished.

    Raises:
        InputError: a command that does not exist, trials without a budget or with one log.
    """
    settings = job.program
    if settings.command:
        check_command(fill_command(settings, defaultdict(str)), os.environ)
    if job.trials == 1:
        return
    if not settings.budget:
        raise InputError(
            f"{job.trials} trials are compared at parts of a budget: give the name of what their "
            "logs count as progress, and how far it goes as budget."
        )
    if "out" not in list_placeholders(settings):
        raise InputError(
            f"The command of {job.trials} trials does not contain {{out}}, so that all would log "
            "to the same place: pass it where the program takes its output directory."
        )
