"""Trials of a job: their seeds, and the one with the settings that the job already has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs import FAMILIES
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_fields import MOST_TRIALS
from tune_jobs.jobs.program_settings import ProgramSettings
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import ENV_PREFIX

REPEAT = "r"
"""Ending of the id of a trial that trains the settings of another one once more."""


@dataclass(frozen=True)
class TrialPlan:
    """A trial to run in this session."""

    trial: str
    config: dict[str, Any]
    hang_report_dir: str
    """Directory where its processes leave reports when they hang."""
    resume_from: str = ""
    """Checkpoint to continue from; empty to start from the beginning."""


def get_hang_report_dir(directory: Path, trial: str) -> Path:
    """Return the directory in which processes of a trial leave reports when they hang."""
    return directory.absolute() / "faults" / trial


def derive_trial_seed(seed: int, trial: int, agent: int = 0) -> int:
    """Return the seed on which an agent of a trial is trained.

    A hash and no sum: sums overlap (trial 1000 of one job with trial 0 of the next), and for a seed
    such as the date they exceed the 32 bits that NumPy takes. 31 bits, so that libraries with
    signed seeds take it, too.

    Args:
        seed: of the job.
        trial: number of the trial (:func:`get_trial_number`), not its place in the order of
            starts: a resume and a machine with more CPUs train each trial on the same seed.
        agent: which of the trial's agents.
    """
    return int(np.random.SeedSequence([seed, trial, agent]).generate_state(1)[0] >> 1)


def get_trial_number(trial: str) -> int:
    """Return the number of a trial by its id, from which its seed is derived.

    Those of repeats (``12r``) are above those of all other trials, of which there may be more when
    a run is extended.
    """
    return int(trial.removesuffix(REPEAT)) + MOST_TRIALS * trial.endswith(REPEAT)


def add_default_point(job: Job) -> Job:
    """Return the job with its own settings among its trials, after the points that it names.

    So a sweep compares what it finds with what was there before. Nothing is added where the
    settings are not known (of a program) or outside of their search space, to a grid, and where
    the trials have no room for them or hold them already.
    """
    if not job.search or job.trials == 1 or job.searcher == "grid":
        return job
    point = _find_default_point(job)
    drawn = job.sample_configs()
    if point is None or point in drawn or len(job.points) + job.num_repeats >= job.trials:
        return job
    return replace(job, points=[*job.points, point])


def _find_default_point(job: Job) -> dict[str, Any] | None:
    """Return the job's own value of each searched field; None where one is not in its space."""
    family = FAMILIES.get(job.env.removeprefix("envs:"))
    point: dict[str, Any] = {}
    for name, space in job.search.items():
        if name.startswith(ENV_PREFIX):
            argument = name.removeprefix(ENV_PREFIX)
            value = job.env_kwargs.get(
                argument, getattr(family and family.params(), argument, None)
            )
        elif isinstance(job.settings, ProgramSettings):
            return None
        elif isinstance(job.settings, RLlibSettings):
            value = job.settings.values.get(name)  # RLlib's defaults are as slow to read as RLlib
        else:
            value = getattr(job.training, name)
        value = tuple(value) if isinstance(value, list) else value
        if not space.contains(value):
            return None
        point[name] = value
    return point
