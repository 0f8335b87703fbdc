"""Validate a job before any process starts."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
from gymnasium.vector.utils import batch_space, iterate

from algos import get_algorithm_class, load_objectives
from algos.learning.behaviour_cloning import collect_teacher_rows
from algos.models import MODELS
from algos.models.base import PolicyModule
from algos.models.hf_checkpoint import check_language_model
from algos.objective import Need
from algos.policy import batch_observation
from algos.rllib.rllib_algorithms import TrainingEnv
from algos.rllib.rllib_module import RLlibModule
from algos.rollouts.env_factory import make_bare_env, make_vector_env
from algos.rollouts.env_requirements import check_needs, detect_offered_needs
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.settings.training import TrainingSettings
from algos.space_format import space_to_dict
from envs.checking.env_checker import check_random_play
from envs.contract.agents import AgentView, check_appearances
from envs.contract.batched import get_world
from rungwise.validation import InputError, InputWarning
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.program_validation import check_sweep, validate_program_job
from tune_jobs.jobs.rllib_settings import RLlibSettings

EPISODES, STEPS, SECONDS = 3, 300, 5.0
"""How much of an environment is played before it is trained on."""


def validate_job(job: Job) -> None:
    """Make sure that every trial of a job can start.

    Raises:
        InputError: settings that do not go together, a network larger than the memory, a grace
            without a rung, an environment that cannot be made or breaks Gymnasium's rules, one
            whose spaces no policy can read or act in, or one that does not have what the algorithm
            needs; of programs, a command that does not exist, or trials without a budget or with
            one log.
    """
    if job.is_program:
        validate_program_job(job)
        return
    check_sweep(job)
    if isinstance(job.settings, RLlibSettings):
        _validate_rllib_job(job, job.settings)
        return
    played: list[tuple[dict[str, Any], frozenset[Need]]] = []
    algorithm = get_algorithm_class(job.algo)
    for drawn in job.sample_configs_to_validate():
        settings, env_kwargs = job.make_trial_settings(drawn)
        objective = algorithm.objective_class(settings)
        needs = objective.needs
        if (env_kwargs, needs) in played:
            continue
        played.append((env_kwargs, needs))
        if settings.language_model:
            check_language_model(
                settings.language_model,
                settings.lora_rank,
                settings.num_env_runners,
                job.gpus_per_trial,
            )
        env = make_vector_env(job.env, env_kwargs, 2, per_copy_seeds="starts" in needs)
        try:
            module = _make_module(settings, env)
            module.check_loaded_model()
            for space in (module.observation_space, module.action_space):
                space_to_dict(space)  # which refuses one that could not be stored with a policy
            objective.validate_action_space(module.head)
            objective.validate_world(get_world(env), job.env)
            if settings.warm_start:
                collect_teacher_rows(
                    settings.warm_start, get_world(env), module.head, 1, TRAINING_SEED
                )
            check_appearances(env, SECONDS)
            _play(job.env, env_kwargs)
            if needs:  # asked last, as it resets an environment that has just been found healthy
                offered = detect_offered_needs(env)
                check_needs(job.algo, needs, job.env, offered, load_objectives())
        finally:
            env.close()


def _make_module(
    settings: TrainingSettings, env: gymnasium.vector.VectorEnv[Any, Any, Any]
) -> PolicyModule:
    """Return the network of a trial, or refuse one that this machine cannot hold."""
    try:
        return MODELS[settings.model](
            observation_space=env.single_observation_space,
            action_space=env.single_action_space,
            model_config=settings.model_config,
        )
    except RuntimeError as error:  # torch has no exception of its own for it on a CPU
        if "allocate memory" not in str(error):
            raise
        layers = settings.model_config.get("hidden")
        raise InputError(
            f"The network does not fit into the memory of this machine, with hidden {layers}: "
            "take fewer or narrower layers."
        ) from error


def _validate_rllib_job(job: Job, settings: RLlibSettings) -> None:
    """Make sure that one of RLlib's own algorithms can act in every trial's environment."""
    played: list[dict[str, Any]] = []
    for drawn in job.sample_configs_to_validate():
        searched, env_kwargs = job.split_trial_config(drawn)
        values = settings.values | searched
        env = TrainingEnv({"env": job.env, "env_kwargs": env_kwargs, "fault_file": ""})
        try:
            if isinstance(env.unwrapped, AgentView):
                raise InputError(
                    f"{job.env} is a game of several agents, which {job.algo} cannot train "
                    "together: take one of our own algorithms (`rungwise algos`)."
                )
            module = RLlibModule(job.algo, values, env.observation_space, env.action_space)
            if env_kwargs in played:
                continue
            played.append(env_kwargs)
            _play(job.env, env_kwargs)
            observation, _ = env.reset(seed=0)
            shown = batch_observation(observation, env.observation_space, False)
            actions, _ = module.act(shown, module.initial_state(1))
            env.step(next(iter(iterate(batch_space(env.action_space, 1), actions))))
        except EnvironmentFault as error:
            raise InputError(str(error)) from error
        finally:
            env.close()


def _play(env_id: str, env_kwargs: dict[str, Any]) -> None:
    faults = check_random_play(lambda: make_bare_env(env_id, env_kwargs), EPISODES, STEPS, SECONDS)
    for violation in faults:
        if violation.severity == "stop":
            raise InputError(
                f"{violation.sentence} (`rungwise check {env_id}` checks it at length.)"
            )
        if violation.rule in ("observation_in_space", "success_unread", "results_cast"):
            warnings.warn(f"{env_id}: {violation.sentence}", InputWarning, stacklevel=2)
