"""What is examined: an environment, and the algorithm that is to learn in it, and their names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import gymnasium
import torch

from algos import get_algorithm_class, load_algorithms
from algos.algorithm import ColumnAlgorithm
from algos.config import EpisodeSettings, TrainingSettings
from algos.models import MODELS
from algos.objective import Need
from algos.requirements import check_needs, detect_offered_needs
from algos.rollouts.env_factory import check_arguments, find_env_spec, make_vector_env
from envs import FAMILIES
from envs.action_masks import READ, Form, find_mask
from envs.batched import World, get_world
from envs.checking.env_checker import Violation, try_illegal
from envs.validation import InputError
from tune_jobs.evaluation.evaluation_world import make_scm_kwargs
from tune_jobs.jobs.job import resolve_env_id
from tune_jobs.jobs.job_yaml import list_presets, load_job

ILLEGAL_SECONDS = 2.0
"""For trying whether illegal actions raise."""
SPREAD = 0.3
"""Standard deviation of the weights of a policy that is far from uniform."""
PLAIN = {
    "num_env_runners": 0,
    "num_learners": 0,
    "pipeline": False,
    "record": "",
    "warm_start": "",
    "lr_schedule": "constant",
    "warmup": 0.0,
}
"""Settings that a check leaves out: where things run, and what depends on the budget."""


@dataclasses.dataclass
class CheckTarget:
    """An environment and an algorithm with its settings."""

    env: str
    """The Gymnasium id."""
    env_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Its arguments."""
    algo: str = "ppo"
    """The algorithm's name."""
    settings: TrainingSettings | None = None
    """The algorithm's settings; None takes its defaults."""
    algorithm: Any = None
    """The algorithm's class; None takes the one of that name."""
    probe_cache: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """What one probe found out and others use."""

    def __post_init__(self) -> None:
        self.algorithm = self.algorithm or get_algorithm_class(self.algo)
        self.settings = self.settings or self.algorithm.settings_class()

    def make_env(self) -> gymnasium.Env[Any, Any]:
        """One copy of the environment."""
        return gymnasium.make(self.env, **self.env_kwargs)

    @cached_property
    def world(self) -> World[Any] | None:
        """The batched world behind it, if it is one of ours."""
        made = make_vector_env(self.env, dict(self.env_kwargs), 1)
        made.close()
        return get_world(made)

    @cached_property
    def nondeterministic(self) -> bool:
        """Whether the environment is registered as one that no seed repeats."""
        return find_env_spec(self.env).nondeterministic

    @cached_property
    def unread_mask(self) -> Form | None:
        """The form in which the environment offers a mask, if it is one that no policy reads."""
        if self.world is not None:
            return None
        made = self.make_env()
        try:
            mask = find_mask(made, *made.reset(seed=0))
        finally:
            made.close()
        return mask.form if mask and mask.form not in READ else None

    @cached_property
    def illegal_raises(self) -> Violation | None:
        """What comes of actions that are illegal by a mask that no policy reads, if they raise."""
        if self.unread_mask is None:
            return None
        return try_illegal(self.make_env, ILLEGAL_SECONDS)

    @cached_property
    def offered_needs(self) -> frozenset[Need]:
        """What the environment has that some algorithms need."""
        made = make_vector_env(self.env, dict(self.env_kwargs), 2, per_copy_seeds=True)
        try:
            return detect_offered_needs(made)
        finally:
            made.close()

    @cached_property
    def module(self) -> Any:
        """A policy network whose weights are large enough for its probabilities to differ."""
        made, s = self.make_env(), self.make_small_settings()
        built = MODELS[s.model](
            observation_space=made.observation_space,
            action_space=made.action_space,
            model_config=s.model_config,
        )
        made.close()
        return randomise_weights(built, SPREAD)

    def make_small_settings(
        self, copies: int = 8, length: int = 64, **changed: Any
    ) -> TrainingSettings:
        """The settings for ``length`` steps of about ``copies`` copies in this process."""
        s: Any = self.settings
        # Whole groups of episodes; A*-PO's reference has groups of its own.
        group = s.group_size if isinstance(s, EpisodeSettings) else 1
        group = math.lcm(group, getattr(s, "reference_samples", 1))
        copies = max(copies // group, 1) * group
        size = min(s.minibatch_size, max(copies * length // 4, 1))
        size = min(size, copies) if isinstance(s, EpisodeSettings) else size
        own = {"num_envs": copies, "rollout_length": length, "minibatch_size": size}
        return dataclasses.replace(s, **PLAIN | own | changed)

    def make_config(
        self, settings: TrainingSettings, env: str = "", env_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """RLlib's configuration of the algorithm with these settings."""
        config = self.algorithm.get_default_config()
        given = self.env_kwargs if env_kwargs is None else env_kwargs
        config.environment(env or self.env, env_config=given)
        return config.debugging(seed=0).configure_training(settings, 1000)

    def make_runner(self, config: Any) -> Any:
        """A runner in this process, without Ray."""
        torch.manual_seed(0)
        return config.env_runner_cls(config=config, worker_index=0)

    def explain_staged_training(self) -> str:
        """Why only a whole trial can learn by this algorithm; empty if a few updates show it."""
        if self.algorithm.start_training is ColumnAlgorithm.start_training:
            return ""
        return f"{self.algo} learns in stages, which only a whole trial has"


def randomise_weights(module: Any, size: float) -> Any:
    """A module with weights drawn anew, of this standard deviation."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, size, generator=generator)
    return module


def load_check_target(
    name: str, algo: str = "", env_kwargs: Mapping[str, Any] | None = None, scm: str = ""
) -> CheckTarget:
    """The subject that a preset, a job file, a family or a Gymnasium id names.

    Args:
        name: the preset, file, family or id.
        algo: the algorithm; empty takes the preset's or file's, or PPO.
        env_kwargs: arguments of the environment, beside the preset's or file's.
        scm: the model of a causal environment; empty takes the one it has anyway.

    Raises:
        InputError: there is none of that name, or the algorithm cannot learn in it.
    """
    if name in list_presets() or name.endswith((".yaml", ".yml")):
        job = load_job(name)
        same = algo in ("", job.algo)
        settings = job.settings if same else None
        subject = CheckTarget(job.env, job.env_kwargs, algo or job.algo, settings)
    else:
        subject = CheckTarget(resolve_env_id(name), {}, algo or "ppo")
    find_env_spec(subject.env)  # one that does not exist is a wrong call, not a bad environment
    subject.env_kwargs = {**subject.env_kwargs, **(env_kwargs or {})}
    subject.env_kwargs |= make_scm_kwargs(scm, subject.env) if scm else {}
    check_arguments(subject.env, subject.env_kwargs)
    if subject.env.removeprefix("envs:") in FAMILIES:
        _ = subject.world  # and so is one of ours with arguments that it refuses
    needs: frozenset[Need] = subject.algorithm.objective_class(subject.settings).needs
    if algo and needs:
        try:
            has = subject.offered_needs
        except InputError:
            raise
        except Exception:  # the environment is broken, which the first probe will tell
            return subject
        check_needs(algo, needs, subject.env, has, load_algorithms())
    return subject
