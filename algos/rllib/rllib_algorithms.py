"""RLlib's own algorithms by name: their settings, and their configuration on its new API stack.

A job names one as ``algo: rllib/SAC``. Its settings are the arguments of the methods of RLlib's
``AlgorithmConfig`` (``training(lr=...)``, ``env_runners(num_env_runners=...)``), flat.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space, Tuple
from ray._common.deprecation import DEPRECATED_VALUE
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.registry import ALGORITHMS
from ray.rllib.connectors.env_to_module import FlattenObservations
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES

from algos.rollouts.env_factory import make_single_env
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.group_sampler import TRAINING_SEED
from algos.settings.training import RLLIB
from envs.contract.batched import get_world
from rungwise.metrics import INFO_METRICS
from rungwise.success import SUCCESS_NAMES, read_number
from rungwise.user_frames import find_user_frame
from rungwise.validation import InputError, unknown_name_error

DESCRIPTIONS = {
    "APPO": "Asynchronous PPO",
    "BC": "Behaviour cloning from recorded data",
    "CQL": "Conservative Q-learning from recorded data",
    "DQN": "Deep Q-network, double and duelling",
    "IMPALA": "Asynchronous actor-critic with V-trace",
    "IQL": "Implicit Q-learning from recorded data",
    "MARWIL": "Behaviour cloning weighted by advantages, from recorded data",
    "PPO": "Proximal policy optimisation",
    "SAC": "Soft actor-critic",
}
"""A line about each algorithm; the names are those of RLlib's registry."""
OFFLINE = ("rllib/BC", "rllib/CQL", "rllib/IQL", "rllib/MARWIL")
"""Algorithms that learn from recorded data."""
GROUPS = (
    *("training", "env_runners", "learners", "rl_module", "offline_data"),
    *("environment", "reporting", "fault_tolerance"),
)
"""Methods of an AlgorithmConfig whose arguments are settings."""
OF_THE_JOB = {
    "env": "env",
    "env_config": "env_kwargs",
    "model": "settings.model_config",
    "num_cpus_per_env_runner": "cpus_per_trial",
    "num_cpus_per_learner": "cpus_per_trial",
    "num_gpus_per_env_runner": "gpus_per_trial",
    "num_gpus_per_learner": "gpus_per_trial",
    "train_batch_size": "settings.train_batch_size_per_learner",
}
"""Arguments that a job states elsewhere, and where."""
WITHOUT_EFFECT = frozenset(
    {
        # RLlib's old API stack.
        *("observation_filter", "exploration_config", "preprocessor_pref", "optimizer"),
        *("enable_tf1_exec_eagerly", "remote_worker_envs", "remote_env_batch_wait_ms"),
        *("use_worker_filter_stats", "update_worker_filter_stats", "compress_observations"),
        *("keep_per_episode_custom_metrics", "sampler_perf_stats_ema_coef"),
        # Processes that a trial does not reserve, and spaces that its environment has.
        *("custom_resources_per_env_runner", "custom_resources_per_learner", "local_gpu_idx"),
        *("num_aggregator_actors_per_learner", "observation_space", "action_space", "render_env"),
    }
)
"""Arguments that would do nothing here, or harm."""
MOST_EPISODES = 10_000
"""Episodes of an iteration that such a metric is the mean of, at most."""
EPISODE_METRICS = "episode_metrics"
"""Entry of the last ``info`` of an episode, and part of a result, with what its environment says of
episodes: our environments their own metrics, any other one whether it was a success."""


STEP_METRICS = "step_metrics"
"""Part of a result with the sum of the rewards, the steps, and the longest running episode."""


def list_rllib_algorithms() -> dict[str, str]:
    """Return the names of RLlib's own algorithms, each with a line about it."""
    # DreamerV3's connectors ask for an environment, which a checkpoint's policy does not have.
    names = sorted(ALGORITHMS.keys() - {"DreamerV3"})
    return {RLLIB + name: DESCRIPTIONS.get(name, "") for name in names}


def get_default_config(algo: str) -> AlgorithmConfig:
    """Return RLlib's configuration of an algorithm with its defaults.

    Args:
        algo: the name, such as ``rllib/SAC``.

    Raises:
        InputError: there is no such algorithm, or it needs a package that is not installed.
    """
    if algo not in (algorithms := list_rllib_algorithms()):
        raise unknown_name_error("algorithm", algo, algorithms)
    try:
        return ALGORITHMS[algo.removeprefix(RLLIB)]()[1]
    except ImportError as error:
        raise InputError(f"{algo} cannot be imported: {error}. Install what it needs.") from error


@cache
def list_settings(algo: str) -> dict[str, tuple[str, Any]]:
    """Return the settings of an algorithm, each with the method that takes it and its default.

    Those that are no plain values (classes, functions) cannot stand in a job file and are left out.

    Raises:
        InputError: see :func:`get_default_config`.
    """
    config = get_default_config(algo)
    plain = bool | int | float | str | list | tuple | dict | None
    settings: dict[str, tuple[str, Any]] = {}
    for group in GROUPS:
        # A subclass names its own arguments and passes those of its base class on.
        for kind in type(config).__mro__:
            method = vars(kind).get(group)
            parameters = inspect.signature(method).parameters.values() if method else ()
            for name, default in ((p.name, p.default) for p in parameters):
                if default in (inspect.Parameter.empty, DEPRECATED_VALUE) or name.startswith("_"):
                    continue
                value = getattr(config, name, inspect)  # which is no plain value
                is_class = name.endswith(("_cls", "_class")) or not isinstance(value, plain)
                if not is_class and name not in {*OF_THE_JOB, *WITHOUT_EFFECT}:
                    settings.setdefault(name, (group, value))
    return settings


def check_setting(algo: str, name: str, value: object, where: str = "settings") -> None:
    """Refuse a setting that an algorithm does not have, or a text for its number.

    Raises:
        InputError: naming it, with what to write instead.
    """
    settings = list_settings(algo)
    if name in OF_THE_JOB:
        raise InputError(f"{where}.{name} is not set here: a job states it as {OF_THE_JOB[name]}.")
    if name not in settings:
        raise unknown_name_error(f"setting of {algo}", name, settings, f"in {where}")
    default = settings[name][1]
    if isinstance(default, int | float) and isinstance(value, str) and value != "auto":
        raise InputError(f"{where}.{name} must be a number, such as {default}, not {value!r}.")
    if name == "model_config":
        if not isinstance(value, Mapping):
            raise InputError(f"{where}.{name} must hold names and values, not {value!r}.")
        field_names = {field.name for field in fields(DefaultModelConfig)}
        for part in value:
            if part not in field_names:
                raise unknown_name_error("field of model_config", str(part), field_names)


def make_config(algo: str, settings: Mapping[str, Any]) -> AlgorithmConfig:
    """Return RLlib's configuration of an algorithm with these settings.

    What differs from RLlib's defaults: all work is done in one process, an iteration ends by its
    steps and never by the clock, and a lost env runner is an error, after which the trial continues
    from its last checkpoint.

    Raises:
        InputError: an unknown setting, or values that RLlib refuses.
    """
    # It warns of each algorithm that it runs on the new API stack.
    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    config: Any = get_default_config(algo)
    config.env_runners(num_env_runners=0, env_to_module_connector=make_observation_connectors)
    config.learners(num_learners=0)
    config.callbacks(on_episode_end=log_episode_metrics, on_sample_end=log_step_metrics)
    # Restarted by RLlib, a runner whose environment always fails would be restarted for ever.
    config.fault_tolerance(restart_failed_env_runners=False)
    config.debugging(log_level="ERROR", log_sys_usage=False)
    by_clock = config.min_time_s_per_iteration and not config.min_sample_timesteps_per_iteration
    config.reporting(min_time_s_per_iteration=0)
    for name, value in settings.items():
        check_setting(algo, name, value)
    if algo in OFFLINE and "input_" not in settings:
        raise InputError(
            f"{algo} learns from recorded data: name its files as settings.input_, such as "
            "[episodes/run-1] (Parquet files of RLlib's own output)."
        )
    try:
        for name, value in settings.items():
            method = getattr(config, list_settings(algo)[name][0])
            method(**{name: dict(value) if isinstance(value, Mapping) else value})
        if by_clock and algo not in OFFLINE and not config.min_sample_timesteps_per_iteration:
            config.reporting(min_sample_timesteps_per_iteration=config.total_train_batch_size)
        config.validate()
    except Exception as error:  # RLlib raises many types
        reason = " ".join(str(error).partition("To suppress all")[0].split())
        raise InputError(f"{algo} cannot be made with {dict(settings)}: {reason}") from error
    return config


def make_observation_connectors(env: Any, spaces: Mapping[str, Any], device: object) -> list[Any]:
    """Return what an observation passes before RLlib's own connectors.

    Its networks read vectors and images: anything else becomes a vector.
    """
    space = env.single_observation_space if env is not None else spaces[INPUT_ENV_SINGLE_SPACES][0]
    is_read = isinstance(space, Box) and len(space.shape) in (1, 3)
    return [] if is_read else [FlattenObservations()]


class TrainingEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The environment of a job, as RLlib's env runners make it.

    Args:
        config: the id ``env`` and the arguments ``env_kwargs`` of the environment, and
            ``fault_file``, to which its failure is written: RLlib ends the process of a remote env
            runner without its reason. Empty for none.

    Raises:
        InputError: a space that RLlib would read wrongly.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.env_id: str = config["env"]
        self.fault_file: str = config["fault_file"]
        super().__init__(make_single_env(self.env_id, config["env_kwargs"]))
        check_starts(self.observation_space, "observation")
        check_starts(self.action_space, "action")
        world = get_world(self.env)
        self.metric_names = tuple(world.episode_metrics if world else INFO_METRICS)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start an episode; the seed is moved to those that evaluations never take."""
        # RLlib adds the numbers of runners and copies to the trial's seed, which has 31 bits; some
        # environments take no more than that.
        seed = None if seed is None else TRAINING_SEED + seed % TRAINING_SEED
        return self._call(self.env.reset, seed=seed, options=options)[0], {}

    def step(self, action: object) -> Any:
        """Advance by one step; of ``info`` what is known of an episode that has ended is kept.

        The rest may differ in kind between copies, which Gymnasium cannot batch.
        """
        action = reshape_action(self.action_space, action)
        observation, reward, terminated, truncated, info = self._call(self.env.step, action)
        kept: dict[str, Any] = {}
        if terminated or truncated:
            figures = {n: read_number(info[n]) for n in self.metric_names if n in info}
            numbers = {n: figure for n, figure in figures.items() if figure is not None}
            kept = {EPISODE_METRICS: numbers}
        return observation, reward, terminated, truncated, kept

    def _call(self, call: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            frame = find_user_frame(error)
            sentence = (
                f"{self.env_id} failed in {call.__name__}(): {type(error).__name__}: {error}"
                f"{f' ({frame})' if frame else ''}"
            )
            if self.fault_file:
                Path(self.fault_file).write_text(sentence)
            raise EnvironmentFault(sentence) from error


def log_episode_metrics(*, episode: Any, env_runner: Any, metrics_logger: Any, **_: object) -> None:
    """Log what the environment says of an episode that has ended (RLlib's ``on_episode_end``).

    An environment may name its success only where it is reached: once this runner has seen one, an
    episode without it is a failure.
    """
    figures: dict[str, float] = dict(episode.get_infos(-1).get(EPISODE_METRICS, {}))
    named = {name for name in SUCCESS_NAMES if name in figures}
    env_runner.success_names = named | getattr(env_runner, "success_names", set())
    figures |= dict.fromkeys(env_runner.success_names - named, 0.0)
    for name, value in figures.items():
        metrics_logger.log_value((EPISODE_METRICS, name), value, window=MOST_EPISODES)


def log_step_metrics(*, metrics_logger: Any, samples: Any, **_: object) -> None:
    """Log the rewards of steps, whose episodes may never end (RLlib's ``on_sample_end``)."""
    for episode in samples:
        rewards = episode.get_rewards()
        metrics_logger.log_value((STEP_METRICS, "rewards"), float(sum(rewards)), reduce="sum")
        metrics_logger.log_value((STEP_METRICS, "steps"), len(rewards), reduce="sum")
        running = 0 if episode.is_done else episode.t
        metrics_logger.log_value((STEP_METRICS, "running_length_max"), running, reduce="max")


def check_starts(space: Space[Any], kind: str) -> None:
    """Refuse choices that are not counted from 0: RLlib silently counts all from there.

    Raises:
        InputError: such a part of the space.
    """
    if isinstance(space, Dict | Tuple):
        for part in space.spaces.values() if isinstance(space, Dict) else space.spaces:
            check_starts(part, kind)
    elif isinstance(space, Discrete | MultiDiscrete) and np.any(space.start):
        raise InputError(
            f"RLlib counts choices from 0 and would shift those of {space} in this {kind}. Count "
            "from 0 (gymnasium.wrappers.TransformAction, TransformObservation), or take one of our "
            "own algorithms (`rungwise algos`)."
        )


def reshape_action(space: Space[Any], action: Any) -> Any:
    """Return an action of RLlib in the shapes of its space: RLlib gives single numbers an axis."""
    if isinstance(space, Dict):
        return {name: reshape_action(part, action[name]) for name, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(map(reshape_action, space.spaces, action))
    return np.reshape(action, space.shape) if isinstance(space, Box) else action


def build_rllib_algorithm(
    algo: str,
    env: str,
    env_kwargs: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    seed: int,
    gpus: float = 0,
    fault_file: str = "",
) -> Any:
    """Build one of RLlib's own algorithms, ready for ``train()``, on an initialised Ray.

    Args:
        algo: its name, such as ``rllib/SAC``.
        env: a Gymnasium id, with its module where it needs one.
        env_kwargs: arguments of the environment.
        settings: what differs from the defaults of :func:`make_config`.
        seed: seeds networks, environments and shuffling.
        gpus: GPUs of each learner.
        fault_file: file for the failure of an environment.

    Raises:
        InputError: see :func:`make_config`.
    """
    config = make_config(algo, settings)
    context = {"env": env, "env_kwargs": dict(env_kwargs), "fault_file": fault_file}
    config.environment(TrainingEnv, env_config=context)
    config.debugging(seed=seed).learners(num_gpus_per_learner=gpus)
    algorithm = config.build_algo()
    # Its own configuration is frozen, but the steps of the next iteration differ each time.
    algorithm.config = config.copy(copy_frozen=False)
    return algorithm
