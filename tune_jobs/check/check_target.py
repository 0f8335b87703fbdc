"""Target of a check: an environment and the algorithm that is to learn it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any, TypeVar

import gymnasium
import torch

from algos import get_algorithm_class, load_objectives
from algos.algorithm import ColumnAlgorithm
from algos.models import MODELS
from algos.objective import Need
from algos.rollouts.env_factory import (
    check_arguments,
    find_env_spec,
    make_bare_env,
    make_mask_wrapper,
    make_vector_env,
)
from algos.rollouts.env_requirements import check_needs, detect_offered_needs
from algos.settings.training import EpisodeSettings, TrainingSettings, is_rllib_name
from envs import FAMILIES
from envs.checking.import_probe import probe_import
from envs.contract.agents import count_agents
from envs.contract.batched import World, get_world
from envs.contract.violations import Clock
from envs.factory import make_case_kwargs
from rungwise.health.remedy import OtherLibrary
from rungwise.validation import InputError
from tune_jobs.jobs.given_fields import resolve_env_id
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.job_yaml import list_presets, load_job
from tune_jobs.jobs.rllib_settings import RLlibSettings, describe_rllib_settings

Found = TypeVar("Found")
ModuleT = TypeVar("ModuleT", bound=torch.nn.Module)
SPREAD = 0.3
"""Standard deviation of the weights of a policy that is far from uniform."""
CHECK_SETTINGS = {
    "num_env_runners": 0,
    "num_learners": 0,
    "record": "",
    "warm_start": "",
    "warm_start_interval": 0,
    "lr_schedule": "constant",
    "warmup": 0.0,
}
"""Settings that a check overrides: where things run, and what depends on the budget."""


@dataclasses.dataclass
class CheckTarget:
    """An environment and an algorithm with its settings."""

    env: str
    """The Gymnasium id."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Arguments of the environment."""
    algo: str = "ppo"
    """The algorithm's name."""
    settings: TrainingSettings | None = None
    """The algorithm's settings; None takes its defaults."""
    algorithm: Any = None
    """The algorithm's class; None takes the one of that name."""
    other: OtherLibrary | None = None
    """The settings of one of RLlib's own algorithms, whose policies and losses are not probed; None
    for one of ours."""
    probe_cache: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Results of one probe that others use."""
    clock: Clock = time.monotonic
    """The clock by which probes keep to their time."""

    def __post_init__(self) -> None:
        self.algorithm = self.algorithm or get_algorithm_class(self.algo)
        self.settings = self.settings or self.algorithm.settings_class()

    def make_bare_env(self) -> gymnasium.Env[Any, Any]:
        """Make one copy of the environment as its user knows it."""
        return make_bare_env(self.env, self.env_kwargs)

    def make_env(self) -> gymnasium.Env[Any, Any]:
        """Make one copy of the environment as policies see it: with its mask, if it has one."""
        return self.show_mask(self.make_bare_env())

    @cached_property
    def show_mask(self) -> Callable[[gymnasium.Env[Any, Any]], gymnasium.Env[Any, Any]]:
        """The wrapper of copies of the environment."""
        return make_mask_wrapper()

    @cached_property
    def world(self) -> World[Any] | None:
        """The batched world of the environment, if it is one of Rungwise's."""
        return self._inspect(get_world)

    @cached_property
    def agents(self) -> int:
        """Agents of each game; 1 of an environment that is no game."""
        return self._inspect(count_agents)

    @cached_property
    def nondeterministic(self) -> bool:
        """Whether the environment is registered as nondeterministic."""
        return find_env_spec(self.env).nondeterministic

    @cached_property
    def offered_needs(self) -> frozenset[Need]:
        """The abilities of the environment that some algorithms need."""
        return self._inspect(detect_offered_needs, 2, per_copy_seeds=True)

    def _inspect(
        self, read: Callable[[Any], Found], copies: int = 1, per_copy_seeds: bool = False
    ) -> Found:
        """Return what is read from copies of the environment."""
        kwargs = dict(self.env_kwargs)
        env = make_vector_env(self.env, kwargs, copies, per_copy_seeds=per_copy_seeds)
        with closing(env):
            return read(env)

    @cached_property
    def spaces(self) -> tuple[gymnasium.Space[Any], gymnasium.Space[Any]]:
        """The spaces of observations and actions, as policies see them."""
        with closing(self.make_env()) as env:
            return env.observation_space, env.action_space

    @cached_property
    def module(self) -> Any:
        """A policy network with weights so large that its probabilities differ."""
        (observed, acted), s = self.spaces, self.make_small_settings()
        module = MODELS[s.model](
            observation_space=observed, action_space=acted, model_config=s.model_config
        )
        module.check_loaded_model()
        return randomise_weights(module, SPREAD)

    def make_small_settings(
        self, copies: int = 8, length: int = 64, **changed: object
    ) -> TrainingSettings:
        """Return the settings for ``length`` steps of about ``copies`` copies in this process."""
        s: Any = self.settings
        # Whole groups of episodes; A*-PO's reference has separate groups.
        group = s.group_size if isinstance(s, EpisodeSettings) else 1
        # Copies that do not fill a group would be dropped or rejected.
        group = math.lcm(group, getattr(s, "reference_samples", 1))
        copies = max(copies // group, 1) * group
        size = min(s.minibatch_size, max(copies * length // 4, 1))
        size = min(size, copies) if isinstance(s, EpisodeSettings) else size
        sizes = {"num_envs": copies, "rollout_length": length, "minibatch_size": size}
        sizes |= {"sequence_length": min(s.sequence_length, size)}
        return dataclasses.replace(s, **CHECK_SETTINGS | sizes | changed)

    def make_config(
        self, settings: TrainingSettings, env: str = "", env_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return RLlib's configuration of the algorithm with these settings."""
        config = self.algorithm.get_default_config()
        kwargs = self.env_kwargs if env_kwargs is None else env_kwargs
        config.environment(env or self.env, env_config=kwargs)
        return config.debugging(seed=0).configure_training(settings, 1000)

    def make_runner(self, config: Any) -> Any:
        """Return a runner in this process, without Ray."""
        # Initial weights are drawn when the runner is made: the same check gives the same answer.
        torch.manual_seed(0)
        return config.env_runner_cls(config=config, worker_index=0)

    @property
    def is_shipped(self) -> bool:
        """Whether the algorithm is one of Rungwise's own, whose code its tests examine."""
        return self.algorithm.__module__.partition(".")[0] == "algos"

    def validate_settings(self, settings: TrainingSettings) -> None:
        """Check that the algorithm with these settings can learn from the spaces and the world.

        Raises:
            InputError: training would be refused with this message.
        """
        objective = self.algorithm.objective_class(settings)
        objective.validate_action_space(self.module.head)
        objective.validate_world(self.world, self.env)

    def explain_staged_training(self) -> str:
        """Return why this algorithm needs a whole trial; empty if a few updates suffice."""
        if self.algorithm.prepare is ColumnAlgorithm.prepare:
            return ""
        return f"{self.algo} learns in stages, which only a whole trial has"


def randomise_weights(module: ModuleT, size: float) -> ModuleT:
    """Draw the weights of a module anew with this standard deviation, and return the module."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, size, generator=generator)
    return module


def load_check_target(
    name: str, algo: str = "", env_kwargs: Mapping[str, Any] | None = None, **cases: str
) -> CheckTarget:
    """Return the target named by a preset, a job file, a family or a Gymnasium id.

    Args:
        name: the preset, file, family or id.
        algo: the algorithm; empty takes that of the preset or file, or PPO.
        env_kwargs: arguments of the environment, added to those of the preset or file.
        cases: by flag, what it chooses of the environment; empty takes its default.

    Raises:
        InputError: the name does not exist, or the algorithm cannot learn the environment.
    """
    if name in list_presets() or name.endswith((".yaml", ".yml")):
        job = load_job(name)
        # Settings of a job belong to its algorithm; another one starts from its own defaults.
        own = job if algo in ("", job.algo) else None
        target = _make_target(job.env, job.env_kwargs, algo or job.algo, own)
    else:
        target = _make_target(resolve_env_id(name), {}, algo or "ppo", None)
    probe_import(target.env)
    find_env_spec(target.env)  # an unknown id is an input error, not a finding
    target.env_kwargs = {**target.env_kwargs, **(env_kwargs or {})}
    family = FAMILIES.get(target.env.removeprefix("envs:"))
    if any(cases.values()):
        target.env_kwargs |= make_case_kwargs(target.env, family and family.world, {}, **cases)
    check_arguments(target.env, target.env_kwargs)
    if family:
        _ = target.world  # and so are invalid arguments of a batched world
    needs: frozenset[Need] = target.algorithm.objective_class(target.settings).needs
    if algo and needs:
        try:
            offered = target.offered_needs
        except InputError:
            raise
        except Exception:  # the environment is broken: the first probe reports it
            return target
        check_needs(algo, needs, target.env, offered, load_objectives())
    return target


def _make_target(
    env: str, env_kwargs: Mapping[str, Any], algo: str, job: Job | None
) -> CheckTarget:
    """Return the target of an algorithm with the settings of a job, or with its defaults."""
    if not is_rllib_name(algo):
        return CheckTarget(env, dict(env_kwargs), algo, job.training if job else None)
    settings = job.settings if job else None
    values = settings.values if isinstance(settings, RLlibSettings) else {}
    # In place of its own settings those of ours that change nothing of what is seen and paid.
    ours: Any = get_algorithm_class("ppo")
    plain = ours.settings_class(normalise_values=False, normalise_observations=False)
    other = describe_rllib_settings(algo, values)
    return CheckTarget(env, dict(env_kwargs), algo, plain, ours, other)
