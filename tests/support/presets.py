# pyright: basic
"""Presets whose environments are an extra."""

import gymnasium
import pytest

from algos.rollouts.env_factory import make_vector_env
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import load_job


def skip_if_not_installed(preset):
    """Skip the test of a preset whose environment's package is missing; a broken one fails."""
    job = load_job(preset)
    try:
        make_vector_env(job.env, job.env_kwargs, 1).close()
    except InputError as error:
        missing = (ImportError, gymnasium.error.DependencyNotInstalled)
        if not isinstance(error.__cause__, missing):
            raise
        pytest.skip(f"{error}")
