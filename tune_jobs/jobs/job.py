"""A job: the task, the search, the budget, and when trials are stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from algos.settings.training import TrainingSettings
from rungwise.health import Limit, check_limits
from rungwise.health.record import hold_unproven
from rungwise.validation import InputError, validate
from tune_jobs.jobs.budget import choose_first_rung, fit_settings, resolve_iterations
from tune_jobs.jobs.given_fields import build_parts, clean_fields, resolve_env_id
from tune_jobs.jobs.job_fields import JobFields, to_tuples
from tune_jobs.jobs.notify_url import check_notify_url
from tune_jobs.jobs.program_settings import ProgramSettings, list_placeholders
from tune_jobs.jobs.resources import check_gpus
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_checks import (
    check_number_of_trials,
    check_points,
    check_population,
    check_search,
)
from tune_jobs.jobs.search_space import ENV_PREFIX, make_grid, sample_configs

MOST_EVALUATED = 256
"""Episodes of the final evaluation, where the job sets no number and time allows them."""
PBT_INTERVAL = 3
"""Without ``grace``: iterations between exploits."""
REPEATS, REPEATS_FROM = 3, 40
"""Without ``repeats``: how many of the trials repeat others, and from how many trials on."""


def _refuse_class(env: object) -> None:
    """Say how a job names the class of an environment.

    Raises:
        InputError: it is a class or an environment itself.
    """
    if not isinstance(env, type) and not hasattr(env, "reset"):
        return
    cls = env if isinstance(env, type) else type(env)
    module = "my_module" if cls.__module__ == "__main__" else cls.__module__
    raise InputError(
        f"env must be the name of an environment, but it is {env!r}: other processes make it, too. "
        f'Give env="{module}:{cls.__name__}", the module that defines the class and its name.'
    )


@dataclass(frozen=True)
class Job(JobFields):
    """Everything that defines a run; a YAML file holds it, and the run directory keeps a copy."""

    def __post_init__(self) -> None:
        _refuse_class(self.env)
        check_notify_url(self.notify)  # first: other errors show the value seen
        # A job made in Python may have plain values, as a YAML file has. The dataclass is frozen.
        vars(self).update(build_parts(vars(self)))
        validate(self)
        object.__setattr__(self, "env", resolve_env_id(self.env))
        check_search(self)
        object.__setattr__(self, "iterations", resolve_iterations(self))
        check_limits(self.health)
        check_points(self)
        check_number_of_trials(self, self.num_repeats)
        check_gpus(self)
        if self.observe and self.scheduler == "pbt":
            raise InputError(
                "observe is true, but under scheduler: pbt trials change each other's settings, "
                "which no one can only look at: choose asha or none."
            )
        if self.scheduler == "pbt":
            check_population(self, self.num_repeats)
        if self.scheduler == "asha" and self.brackets > max(1, len(self.rungs)):
            raise InputError(
                f"brackets is {self.brackets}, but there are only {len(self.rungs)} rungs: "
                f"{self.rungs}. Lower brackets, grace or reduction_factor."
            )

    @property
    def health_limits(self) -> dict[str, Limit]:
        """The highest severity by symptom, with rules held to a warning by ``max_wrong``."""
        return hold_unproven(self.health, self.max_wrong)

    @cached_property
    def training(self) -> TrainingSettings:
        """The settings of our own training, fitted to the budget.

        Raises:
            InputError: the trials are programs, or train one of RLlib's own algorithms.
        """
        if isinstance(self.settings, ProgramSettings):
            raise InputError(
                f"{self.env} is a program: it has neither an algorithm nor a policy of ours."
            )
        if isinstance(self.settings, RLlibSettings):
            raise InputError(f"{self.algo} has RLlib's own settings, not those of our algorithms.")
        return fit_settings(self, self.settings)

    @property
    def program(self) -> ProgramSettings:
        """The settings of the program that each trial is.

        Raises:
            InputError: the trials are our own training.
        """
        if not isinstance(self.settings, ProgramSettings):
            raise InputError(f"The job trains {self.env} by {self.algo}, and has no command.")
        return self.settings

    @property
    def is_program(self) -> bool:
        """Whether each trial is a program of the user's."""
        return isinstance(self.settings, ProgramSettings)

    @property
    def needs_ray(self) -> bool:
        """Whether trials run under Ray: a single program is a process of this machine."""
        return not self.is_program or self.trials > 1

    @property
    def pauses_trials(self) -> bool:
        """Whether ASHA lets trials wait at a rung; otherwise it compares with those before."""
        return not self.observe and (not self.is_program or bool(self.program.resume))

    @property
    def decision_interval(self) -> int:
        """Iterations before the first rung of ASHA, and between the exploits of PBT."""
        if self.grace or self.scheduler == "pbt":
            return self.grace or PBT_INTERVAL
        return choose_first_rung(self.iterations)

    @property
    def rungs(self) -> list[int]:
        """The iterations at which ASHA decides."""
        if self.scheduler != "asha" or self.trials == 1:
            return []
        rungs, at = list[int](), self.decision_interval
        while at < self.iterations:
            rungs.append(at)
            at *= self.reduction_factor
        return rungs

    @property
    def most_evaluated(self) -> int:
        """Episodes of the final evaluation, at most; as many seeds are reserved for it."""
        if self.is_program:
            return 0  # its policy is its own
        return MOST_EVALUATED if self.evaluation_episodes is None else self.evaluation_episodes

    @property
    def num_repeats(self) -> int:
        """How many of the trials train the best settings once more."""
        if self.repeats is not None:
            return self.repeats
        # A grid is what it says; a program without a seed would repeat itself to the letter.
        asked = self.scheduler == "asha" and self.searcher != "grid"
        differs = not self.is_program or "seed" in list_placeholders(self.program)
        return REPEATS if asked and differs and self.trials >= REPEATS_FROM else 0

    def name_trials(self, known: Iterable[str] = ()) -> list[str]:
        """Return the ids of the trials without the repeats.

        Args:
            known: ids that the run has already: after them follow those of more trials.
        """
        count = self.trials - self.num_repeats
        if self.searcher != "optuna":
            count = len(self.sample_configs())
        width = min(map(len, known), default=max(2, len(str(self.trials - 1))))
        return [f"{i:0{width}d}" for i in range(count)]

    def sample_configs(self) -> list[dict[str, Any]]:
        """Return the searched values of each trial known before the start, the points first."""
        rest = self.trials - self.num_repeats - len(self.points)
        if self.searcher == "grid" and rest:
            configs = make_grid(self.search, rest)
        elif self.searcher == "optuna":
            configs = []
        else:
            configs = sample_configs(self.search, rest, self.seed)
        # Another seed: the samples of the other trials must not depend on the number of points.
        defaults = sample_configs(self.search, len(self.points), self.seed + 1)
        points = [config | point for config, point in zip(defaults, self.points, strict=True)]
        return points + configs

    def sample_configs_to_validate(self) -> list[dict[str, Any]]:
        """Return searched values like those of the trials, to validate before the start."""
        if self.searcher == "optuna":
            return self.sample_configs() + sample_configs(self.search, self.trials, self.seed)
        return self.sample_configs()

    def make_trial_settings(
        self, config: dict[str, Any]
    ) -> tuple[TrainingSettings, dict[str, Any]]:
        """Return the settings and the environment arguments of a trial.

        Args:
            config: the trial's searched values.

        Raises:
            InputError: a sampled value contradicts the other settings.
        """
        settings = self.training
        searched, env_kwargs = self.split_trial_config(config)
        values = {f.name: getattr(settings, f.name) for f in fields(settings)}
        return type(settings)(**(values | searched)), env_kwargs

    def split_trial_config(self, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a trial's searched settings, and all arguments of its environment."""
        config = to_tuples(config)  # as it was drawn: in a log, from which it resumes, are lists
        settings = {k: v for k, v in config.items() if not k.startswith(ENV_PREFIX)}
        env = {k.removeprefix(ENV_PREFIX): v for k, v in config.items() if k.startswith(ENV_PREFIX)}
        return settings, self.env_kwargs | env


def make_job(given: Mapping[str, Any], where: str = "the job") -> Job:
    """Make a job from plain fields; validate them, and set the others to their defaults."""
    return Job(**build_parts(clean_fields(given, where), where))
