"""A job: what is trained, what is searched, how long, and when a run is ended."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import algos
from algos.config import TrainingSettings
from envs import FAMILIES
from envs.validation import (
    AtLeastOne,
    Between,
    InputError,
    NonNegative,
    check_value,
    get_fields,
    unknown_name_error,
    validate,
)
from tune_jobs.health import check_limits
from tune_jobs.jobs.search_space import Space, make_grid, sample_configs

EVALUATED = 256
"""Episodes of a comparison, where the job names no number and there is time for them."""
ENV_PREFIX = "env."
"""A searched field that starts like this is an argument of the environment."""


def resolve_env_id(name: str) -> str:
    """Return the full Gymnasium id of an environment; ours may be named without their module."""
    return f"envs:{name}" if name in FAMILIES else name


@dataclass(frozen=True)
class Job:
    """Everything that defines a run; one YAML file holds it, and the run directory keeps a copy."""

    env: str
    """The environment: one of ours by name (see `rungwise envs`), or any Gymnasium id, with its
    module where it needs one (`my_envs:Warehouse-v0`)."""
    env_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of the environment."""
    algo: str = "ppo"
    """The algorithm (see `rungwise algos`)."""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    """The algorithm's settings."""
    search: dict[str, Space] = field(default_factory=dict[str, Space])
    """Searched fields: of the algorithm by name, of the environment as `env.<name>`."""
    searcher: Literal["random", "grid", "optuna"] = "random"
    """`random` spreads the trials evenly over the spaces; `grid` takes every combination of evenly
    spaced values, and as many trials as there are; `optuna` learns from the trials that ended what
    to try next (it pays from some tens of trials on, and needs the extra `optuna`)."""
    objectives: dict[str, Literal["min", "max"]] = field(
        default_factory=dict[str, Literal["min", "max"]]
    )
    """Metrics that searcher optuna trades off against the score, with their good direction."""
    points: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Settings to start from, searched fields by name; what a point leaves out is drawn."""
    trials: Annotated[int, AtLeastOne] = 1
    """Settings to try."""
    seeds: Annotated[int, AtLeastOne] = 1
    """Agents that each trial trains side by side on seeds of their own. Its score is their mean, so
    that luck does not win, and costs so many times the compute."""
    iterations: Annotated[int, AtLeastOne] = 100
    """Training iterations of a trial that is not stopped: its full budget."""
    metric: str = ""
    """What trials are scored by: a metric of the catalogue or of the environment. Empty takes the
    environment's own score, or return_mean. A mean over episodes is taken over the last 100 that
    finished; with fewer than 20 a trial is undecided and goes on."""
    mode: Literal["", "min", "max"] = ""
    """Whether a small or a large score is good. Empty takes what fits the metric."""
    target: float | None = None
    """Score at which a trial is done before its budget is used up."""
    patience: Annotated[int, NonNegative] = 0
    """Iterations without better scores after which a trial has got as far as it will and ends, 0
    for none. With `keep: best` nothing is lost by it. Eight scores or more are judged by the means
    of half a patience, beyond their noise: noisier ones want more patience."""
    min_delta: Annotated[float, NonNegative] = 0.01
    """What counts as better: by more than this share of the best score's (or mean's) size."""
    scheduler: Literal["asha", "pbt", "none"] = "asha"
    """`asha` stops the worse trials at rungs; `pbt` lets the worst quarter go on from the best
    with changed settings; `none` runs all to the end."""
    grace: Annotated[int, AtLeastOne] = 3
    """Iterations before the first rung of ASHA, and between the changes of PBT."""
    reduction_factor: Annotated[int, Between(2)] = 3
    """One of so many trials goes on at each rung, and rungs are so many times further apart."""
    brackets: Annotated[int, AtLeastOne] = 1
    """Groups of trials, each of which leaves out one more of the lowest rungs (Hyperband): dearer,
    and safer where the first scores say little about the last."""
    health: dict[str, str] = field(default_factory=dict[str, str])
    """By symptom: `off`, `note`, `warn` or `stop`, the most a health rule may do."""
    checkpoint_interval: Annotated[int, AtLeastOne] = 5
    """Iterations between checkpoints: what a crash may cost."""
    keep: Literal["last", "best"] = "last"
    """Which checkpoint is a trial's result: its last one, or the one with the best score
    (`checkpoint_interval: 1` or a `held_out_interval` of the same length misses none)."""
    evaluation_episodes: Annotated[int | None, NonNegative] = None
    """Episodes, on seeds never trained on, to compare the best trial on; 0 compares nothing. By
    default as many as a tenth of the training's time allows, from 20 to 256."""
    finalists: Annotated[int, AtLeastOne] = 3
    """How many of the best trials play again, on other fresh seeds, before one of them is named the
    winner; 1 believes the scores of training."""
    evaluation_seed: Annotated[int, Between(0, 2**30 - 1)] = 0
    """First of those seeds."""
    evaluation_env_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of the environment that differ there from those of training."""
    held_out_interval: Annotated[int, NonNegative] = 0
    """Iterations between looks at the policy as it stands, with `evaluation_env_kwargs` and on
    seeds never trained on; reported as `held_out_...`, 0 for none. With `metric: held_out_...` it
    is what the scheduler, `patience` and `keep: best` watch."""
    held_out_episodes: Annotated[int, AtLeastOne] = 256
    """Episodes of such a look."""
    seed: Annotated[int, Between(0, 2**30 - 1)] = 0
    """Seeds the drawn settings and, with the trial's number, its training."""
    cpus_per_trial: Annotated[float, Between(0, low_open=True)] = 1.0
    """CPUs of a trial's own process."""
    gpus_per_trial: Annotated[float, NonNegative] = 0.0
    """GPUs of a trial (fractions share one)."""
    max_failures: Annotated[int, NonNegative] = 3
    """How often a crashed trial is started again from its last checkpoint."""

    def __post_init__(self) -> None:
        validate(self)
        algorithm = algos.get_algorithm_class(self.algo)
        # A job made in Python may leave these to their defaults, as a YAML file may. The dataclass
        # is frozen, so they are set the way its own constructor sets fields.
        object.__setattr__(self, "env", resolve_env_id(self.env))
        if self.settings == TrainingSettings():
            object.__setattr__(self, "settings", algorithm.settings_class())
        if type(self.settings) is not algorithm.settings_class:
            raise InputError(
                f"settings must be {algorithm.settings_class.__name__} for algo {self.algo!r}, "
                f"but they are {type(self.settings).__name__}."
            )
        check_limits(self.health)  # type: ignore[arg-type]
        self._check_search()
        self._check_points()
        self._check_objectives()
        if self.scheduler == "pbt":
            self._check_population()
        if self.scheduler == "asha" and self.brackets > max(1, len(self.rungs)):
            raise InputError(
                f"brackets is {self.brackets}, but there are only {len(self.rungs)} rungs: "
                f"{self.rungs}. Lower brackets, grace or reduction_factor."
            )

    def _check_search(self) -> None:
        known = get_fields(type(self.settings))
        for name, space in self.search.items():
            space.check(name)
            if name.startswith(ENV_PREFIX):
                continue
            if name not in known:
                kind = f"setting of {self.algo} to search"
                raise unknown_name_error(kind, name, known)
            hint, bounds = known[name]
            for value in space.values:
                check_value(f"search.{name}", value, hint, bounds)
        if self.trials > 1 and not self.search:
            raise InputError(
                f"{self.trials} trials need something to search, but search is empty: "
                "name a field, such as lr: {loguniform: [1.0e-4, 1.0e-2]}, or set trials: 1."
            )

    def _check_points(self) -> None:
        known = get_fields(type(self.settings))
        for place, point in enumerate(self.points):
            for name, value in point.items():
                if name not in self.search:
                    raise unknown_name_error(
                        "searched field", name, self.search, f"in points[{place}]"
                    )
                if name in known:
                    check_value(f"points[{place}].{name}", value, *known[name])
        if len(self.points) > self.trials:
            raise InputError(
                f"{len(self.points)} points need as many trials, but trials is {self.trials}."
            )

    def _check_objectives(self) -> None:
        """Refuse what only makes sense with another searcher or scheduler."""
        if self.searcher == "optuna" and self.scheduler == "pbt":
            raise InputError(
                "scheduler pbt needs all its trials at once, but searcher optuna proposes them one "
                "by one: take searcher random."
            )
        if self.objectives and (self.searcher, self.scheduler) != ("optuna", "none"):
            raise InputError(
                "objectives need searcher optuna and scheduler none, which judges no trial by its "
                f"score alone, but they are {self.searcher} and {self.scheduler}."
            )

    def _check_population(self) -> None:
        """Refuse to change in the middle of training what an agent is built from."""
        if self.trials < 2:
            raise InputError(f"scheduler pbt needs at least 2 trials, but trials is {self.trials}.")
        fixed = {*self.settings.model_config, "model", "num_envs", "rollout_length"}
        for name in self.search:
            if name.startswith(ENV_PREFIX) or name in fixed or name.startswith("num_"):
                raise InputError(
                    f"scheduler pbt cannot change {name} in the middle of training: search it with "
                    "scheduler asha, or search other settings, such as lr."
                )

    @property
    def rungs(self) -> list[int]:
        """Iterations at which ASHA decides."""
        if self.scheduler != "asha" or self.trials == 1:
            return []
        rungs, at = list[int](), self.grace
        while at < self.iterations:
            rungs.append(at)
            at *= self.reduction_factor
        return rungs

    @property
    def most_evaluated(self) -> int:
        """Episodes of a comparison, where there is time for them; its seeds are set apart."""
        return EVALUATED if self.evaluation_episodes is None else self.evaluation_episodes

    @property
    def gpus_per_learner(self) -> float:
        """GPUs of whatever learns: the trial's own process, or each of its remote learners."""
        return self.gpus_per_trial / max(self.settings.num_learners, 1)

    @property
    def trial_ids(self) -> list[str]:
        """The ids of the trials."""
        count = self.trials if self.searcher == "optuna" else len(self.sample_configs())
        width = max(2, len(str(count - 1)))
        return [f"{i:0{width}d}" for i in range(count)]

    def sample_configs(self) -> list[dict[str, Any]]:
        """The searched values of each trial that is known before the start: the points first."""
        rest = self.trials - len(self.points)
        if self.searcher == "grid" and rest:
            found = make_grid(self.search, rest)
        elif self.searcher == "optuna":
            found = []
        else:
            found = sample_configs(self.search, rest, self.seed)
        begun = sample_configs(self.search, len(self.points), self.seed + 1)
        return [draw | point for draw, point in zip(begun, self.points, strict=True)] + found

    def sample_configs_to_validate(self) -> list[dict[str, Any]]:
        """Values as the trials will have them, to be tried before the start."""
        if self.searcher == "optuna":
            return self.sample_configs() + sample_configs(self.search, self.trials, self.seed)
        return self.sample_configs()

    def make_trial_settings(
        self, config: dict[str, Any]
    ) -> tuple[TrainingSettings, dict[str, Any]]:
        """Settings and environment arguments of the trial with these searched values.

        Raises:
            InputError: a drawn value that does not go with the other settings.
        """
        own = {f.name: getattr(self.settings, f.name) for f in fields(self.settings)}
        own |= {k: v for k, v in config.items() if not k.startswith(ENV_PREFIX)}
        env = {k.removeprefix(ENV_PREFIX): v for k, v in config.items() if k.startswith(ENV_PREFIX)}
        return type(self.settings)(**own), self.env_kwargs | env
