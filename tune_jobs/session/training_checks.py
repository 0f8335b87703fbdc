"""Checks of a job that trains a policy of ours, before its run directory is claimed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from algos.models import MODELS
from algos.rollouts.env_factory import make_vector_env
from rungwise.validation import InputError
from tune_jobs.evaluation.evaluation_world import check_spaces_fit
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_validation import validate_job
from tune_jobs.jobs.rllib_settings import RLlibSettings

FOLDER_SETTINGS = ("record", "v_star_cache")
"""Settings that name a folder to write into."""


def check_training(job: Job) -> None:
    """Make sure that every trial can start, be evaluated, and write where its settings say.

    Raises:
        InputError: as :func:`tune_jobs.jobs.job_validation.validate_job`; an environment of
            evaluations that the policies cannot act in; a folder that cannot be written.
    """
    validate_job(job)
    _check_evaluation_environment(job)
    _check_folders(job)


def _check_evaluation_environment(job: Job) -> None:
    """Check that the policies of a job can act in the environment of its evaluations.

    Raises:
        InputError: it cannot be made with ``evaluation_env_kwargs``, or has other spaces.
    """
    if not job.evaluation_env_kwargs:
        return
    known_kwargs: list[dict[str, Any]] = []
    for trial_config in job.sample_configs_to_validate():
        _, env_kwargs = job.split_trial_config(trial_config)
        if env_kwargs in known_kwargs:
            continue
        known_kwargs.append(env_kwargs)
        env = make_vector_env(job.env, env_kwargs, 1)
        env_spaces = (env.single_observation_space, env.single_action_space)
        env.close()
        any_size = False
        if not isinstance(job.settings, RLlibSettings):
            settings, _ = job.make_trial_settings(trial_config)
            config = settings.model_config
            make = MODELS[settings.model]
            any_size = make(
                observation_space=env_spaces[0], action_space=env_spaces[1], model_config=config
            ).accepts_any_size
        evaluation_kwargs = env_kwargs | job.evaluation_env_kwargs
        try:
            check_spaces_fit(env_spaces, job.env, evaluation_kwargs, any_size=any_size)
        except InputError as error:
            raise InputError(f"evaluation_env_kwargs cannot be used: {error}") from error


def _check_folders(job: Job) -> None:
    """Check that the folders that a job's settings name can be written.

    Raises:
        InputError: one of them cannot.
    """
    for name in FOLDER_SETTINGS:
        path = getattr(job.settings, name, "")
        if not path:
            continue
        try:
            Path(path).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            raise InputError(
                f"settings.{name} is {path}, which cannot be written ({error.strerror}): name "
                "another folder."
            ) from error
