"""What can be refused before anything starts is refused before anything starts."""

from __future__ import annotations

from typing import Any

import gymnasium

from algos import algorithm_class
from algos.models import MODELS
from algos.runner import make_vector_env
from envs.checking import play
from envs.validation import InputError
from tune_jobs.job import Job

EPISODES, STEPS, SECONDS = 3, 300, 5.0
"""How much of an environment is played before it is trained on."""


def preflight(job: Job) -> None:
    """Make sure that every trial of a job can start.

    Raises:
        InputError: settings that do not go together, an environment that cannot be made or breaks
            Gymnasium's rules, or one whose spaces no policy can read or act in.
    """
    played: list[dict[str, Any]] = []
    for drawn in job.drawn():
        settings, env_kwargs = job.trial_settings(drawn)
        if env_kwargs in played:
            continue
        played.append(env_kwargs)
        env = make_vector_env(job.env, env_kwargs, 1)
        try:
            module = MODELS[settings.model](
                observation_space=env.single_observation_space,
                action_space=env.single_action_space,
                model_config=settings.model_config,
            )
            algorithm_class(job.algo).suits(settings, module.head)
        finally:
            env.close()
        found = play(lambda kw=env_kwargs: gymnasium.make(job.env, **kw), EPISODES, STEPS, SECONDS)
        if found:
            raise InputError(
                f"{found[0].sentence} (`rungwise check {job.env}` checks it at length.)"
            )
