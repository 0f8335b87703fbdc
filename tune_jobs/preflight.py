"""What can be refused before anything starts is refused before anything starts."""

from __future__ import annotations

from typing import Any

from algos.distributions import head_for
from algos.models.base import column_spaces
from algos.runner import make_vector_env
from tune_jobs.job import Job


def preflight(job: Job, drawn: dict[str, Any]) -> None:
    """Make sure that a trial with these searched values can start.

    Raises:
        InputError: settings that do not go together, an environment that cannot be made or whose
            spaces no policy can read or act in.
    """
    settings, env_kwargs = job.trial_settings(drawn)
    env = make_vector_env(job.env, env_kwargs, 1)
    try:
        head_for(env.single_action_space, settings.value_distribution, settings.bins)
        column_spaces(env.single_observation_space)
    finally:
        env.close()
