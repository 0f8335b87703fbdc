"""The fields of a job in groups: the only source of flags, YAML keys and help texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

import algos
from algos.settings.training import TrainingSettings, is_rllib_name
from rungwise.health import Limit
from rungwise.run_log.events import PROGRAM
from rungwise.validation import AtLeastOne, Between, Fraction, NonNegative
from tune_jobs.jobs.program_settings import ProgramSettings
from tune_jobs.jobs.rllib_settings import RLlibSettings
from tune_jobs.jobs.search_space import Space

Settings: TypeAlias = TrainingSettings | ProgramSettings | RLlibSettings
"""Those of our own training, of a program, or of one of RLlib's own algorithms."""
Budget = Between(0, 10**10)
"""Iterations or steps of a trial: the columns of a ledger hold 64 bits."""
MOST_VIDEOS = 100
"""Videos of a run, at most: its report holds them."""
MOST_TRIALS = 100_000
"""Trials of a job, at most: all settings are drawn and validated before the start."""


def get_settings_class(algo: str) -> type[Settings]:
    """Return the class of the settings of an algorithm, or of a program.

    Raises:
        InputError: no algorithm has that name.
    """
    if is_rllib_name(algo):
        return RLlibSettings
    return ProgramSettings if algo == PROGRAM else algos.get_settings_class(algo)


def to_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with lists as tuples: YAML and JSON know no tuples, and settings no lists."""
    return {
        name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
        for name, value in values.items()
    }


@dataclass(frozen=True)
class TaskFields:
    """The task, and the algorithm that learns it."""

    group: ClassVar[str] = "task"
    env: str
    """The environment: one of ours by name (see `rungwise envs`), or any Gymnasium id, with its
    module where it needs one (`my_envs:Warehouse-v0`), or a class of a module
    (`my_envs:Warehouse`); `pettingzoo:MODULE` is a game of several agents."""
    env_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of the environment."""
    algo: str = "ppo"
    """The algorithm (see `rungwise algos`)."""
    settings: Settings = field(default_factory=TrainingSettings)
    """The algorithm's settings (of `rllib/NAME` by RLlib's names), or those of a program."""
    seed: Annotated[int, Between(0, 2**30 - 1)] = 0
    """Seed of the sampled settings and, with the trial's number, of its training."""
    tags: str = ""
    """Words of your own to find the run by in the list of runs (`baseline, wide network`)."""


@dataclass(frozen=True)
class SearchFields:
    """Which settings are tried."""

    group: ClassVar[str] = "search"
    search: dict[str, Space] = field(default_factory=dict[str, Space])
    """Searched fields: of the algorithm by name, of the environment as `env.<name>`."""
    searcher: Literal["random", "grid", "optuna"] = "random"
    """`random` spreads the trials evenly over the spaces; `grid` takes every combination of evenly
    spaced values, at most `trials` of them; `optuna` proposes settings from the results of earlier
    trials (useful from some tens of trials on; needs the extra `optuna`)."""
    points: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Settings of the first trials, searched fields by name; fields left out are sampled."""
    trials: Annotated[int, Between(1, MOST_TRIALS)] = 1
    """Number of trials: settings to try, and those of `repeats`."""
    repeats: Annotated[int | None, NonNegative] = None
    """How many of the trials train the best settings once more, on another seed, when all others
    have ended; the best mean of both trainings then decides. By default 3 of 40 trials or more
    under ASHA, but 0 for a grid and for a program without `{seed}`."""
    seeds: Annotated[int, AtLeastOne] = 1
    """Agents that each trial trains on different seeds. Each trial's score is the mean over its
    seeds; compute grows linearly with their number."""


@dataclass(frozen=True)
class ScoreFields:
    """The score that trials are compared by."""

    group: ClassVar[str] = "score"
    metric: str = ""
    """Score of a trial: a metric of the catalogue or of the environment. Empty takes the
    environment's score, or return_mean. A mean over episodes is taken over the last 100 finished
    episodes; with fewer than 20 the trial is undecided and continues. In a mean return episodes
    count, too, that have lasted much longer without an end, and where none has ended at the end of
    the budget the mean reward per step is the score."""
    mode: Literal["", "min", "max"] = ""
    """Whether a small or a large score is good. Empty takes the mode of the metric."""


@dataclass(frozen=True)
class StoppingFields:
    """When a trial ends."""

    group: ClassVar[str] = "stopping"
    iterations: Annotated[int, Budget] = 0
    """Training iterations of a trial that is not stopped: its full budget. 0 takes as many as
    `steps` holds, or 100; of a program whose budget is not known it stays 0."""
    steps: Annotated[int, Budget] = 0
    """The same budget in environment steps of each seed, in place of `iterations`: as many whole
    iterations as it holds."""
    target: float | None = None
    """Stop a trial once its score reaches this value."""
    patience: Annotated[int, NonNegative] = 0
    """Stop a trial after this many iterations without improvement; 0 disables early stopping. From
    eight scores on, means over half the patience are compared with their noise, so noisy scores
    need more patience."""
    min_delta: Annotated[float, NonNegative] = 0.01
    """Smallest improvement that counts, as a fraction of the best score."""
    observe: bool = False
    """End no trial early: what health, `patience` and ASHA would have ended is written, and judged
    once the trial has ended."""
    health: dict[str, Limit] = field(default_factory=dict[str, Limit])
    """The highest severity that a health rule may report, by symptom: `off`, `note`, `warn` or
    `stop`."""
    max_wrong: Annotated[float, Fraction] = 1.0
    """Only rules end a run whose rate of wrongly ended published runs is at most this, with 95 %
    confidence (`rungwise explain SYMPTOM`); the others, unmeasured ones included, warn."""


@dataclass(frozen=True)
class SchedulerFields:
    """Which trials continue."""

    group: ClassVar[str] = "scheduler"
    scheduler: Literal["asha", "pbt", "none"] = "asha"
    """`asha` stops the worse trials at rungs; `pbt` continues the worst quarter from the best with
    changed settings; `none` runs all trials to the end."""
    grace: Annotated[int, NonNegative] = 0
    """Iterations before the first rung of ASHA, and between the exploits of PBT; 0 takes a fifth of
    the budget for ASHA, but at least 5 iterations or half of the budget, and 3 for PBT."""
    reduction_factor: Annotated[int, Between(2)] = 2
    """ASHA reduction factor eta: 1/eta of the trials are promoted at each rung; rung intervals grow
    by eta."""
    brackets: Annotated[int, AtLeastOne] = 1
    """Brackets (Hyperband): each leaves out one more of the lowest rungs. More brackets cost more
    compute and are safer where early scores predict late ones badly."""


@dataclass(frozen=True)
class EvaluationFields:
    """How the best trials are judged on seeds that training never used."""

    group: ClassVar[str] = "evaluation"
    evaluation_episodes: Annotated[int | None, NonNegative] = None
    """Episodes, on seeds never trained on, in which the best trial is compared with baselines; 0
    disables the comparison. By default at most 256 in a fifth of the training's steps, but at least
    20, or 2 in environments whose copies play one by one."""
    finalists: Annotated[int, AtLeastOne] = 3
    """Best trials that play again on other fresh seeds, which decides the winner; 1 takes the best
    score of training."""
    evaluation_env_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of the environment that differ between evaluation and training."""
    held_out_interval: Annotated[int, NonNegative] = 0
    """Iterations between held-out evaluations during training, with `evaluation_env_kwargs` and on
    seeds never trained on; 0 disables them. They report `held_out_...`; as `metric` such a score
    decides for the scheduler, `patience` and `keep: best`."""
    held_out_episodes: Annotated[int, AtLeastOne] = 256
    """Episodes of a held-out evaluation."""
    videos: Annotated[int, Between(0, MOST_VIDEOS)] = 0
    """Episodes of the best trial that are recorded as videos, in environments that render to
    arrays; needs the extra `video`."""


@dataclass(frozen=True)
class CheckpointFields:
    """The checkpoints that are kept of a trial."""

    group: ClassVar[str] = "checkpoints"
    checkpoint_interval: Annotated[int, AtLeastOne] = 5
    """Iterations between checkpoints: at most this much training is lost in a crash."""
    keep: Literal["last", "best"] = "best"
    """Which checkpoint is a trial's result. `best`: the newest one whose score, in the iterations
    after it, is not below the best one by more than noise and `min_delta`; it costs the space of
    one more checkpoint. `last`: the last one."""
    storage: str = ""
    """Object storage to which the run is copied while it runs: `s3://bucket/folder`, `gs://...` or
    another address of PyArrow's file systems. By default RUNGWISE_MIRROR."""


@dataclass(frozen=True)
class ResourceFields:
    """The parts of the machine that a trial holds."""

    group: ClassVar[str] = "resources"
    cpus_per_trial: Annotated[float, Between(0, low_open=True)] = 1.0
    """CPUs of a trial's own process."""
    gpus_per_trial: Annotated[float, NonNegative] = 0.0
    """GPUs of a trial; a fraction shares one. The processes that learn, and those that act on a GPU
    (`acting_device`), hold equal parts of them."""
    max_failures: Annotated[int, NonNegative] = 3
    """How many times a crashed trial is restarted from its last checkpoint, counted anew ten
    iterations later, and how many exceptions of its environment in a row it survives: the iteration
    is repeated with new environments, and one that succeeds begins the count anew."""


@dataclass(frozen=True)
class MessageFields:
    """Who is informed."""

    group: ClassVar[str] = "messages"
    notify: str = field(default="", repr=False)
    """URL that gets a message when the run ends, is ended by health or fails, when a trial fails
    for good, and when its driver is lost: of a webhook of Slack, Discord or Mattermost, or of a
    server of your own. It is a secret, which the run's own `job.yaml` does not hold. By default
    RUNGWISE_NOTIFY."""


@dataclass(frozen=True)
class JobFields(
    MessageFields,
    ResourceFields,
    CheckpointFields,
    EvaluationFields,
    SchedulerFields,
    StoppingFields,
    ScoreFields,
    SearchFields,
    TaskFields,
):
    """All fields of a job; flags and YAML keys are flat.

    Each base class is a group. The last one comes first, as dataclasses order inherited fields.
    """
