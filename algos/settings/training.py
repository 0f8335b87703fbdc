"""The settings that all algorithms share.

Each algorithm's settings are a frozen dataclass derived from :class:`TrainingSettings`; it is the
only source of command-line flags, YAML keys, help texts and search spaces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from algos.schedules import ScheduleKind
from rungwise.validation import (
    AtLeastOne,
    Between,
    Fraction,
    InputError,
    NonNegative,
    Positive,
    validate,
)

RLLIB = "rllib/"
"""Prefix of the names of RLlib's own algorithms."""


def is_rllib_name(algo: str) -> bool:
    """Return whether the name of an algorithm is that of one of RLlib's own."""
    return algo.startswith(RLLIB)


@dataclass(frozen=True)
class RolloutSettings:
    """How steps are collected."""

    group: ClassVar[str] = "rollouts"
    num_envs: Annotated[int, AtLeastOne] = 8
    """Copies of the environment that each runner steps together (B)."""
    rollout_length: Annotated[int, AtLeastOne] = 128
    """Steps of each copy in one iteration (T): T * B rows per runner."""
    num_env_runners: Annotated[int, NonNegative] = 0
    """Remote rollout workers; 0 collects in the trial's own process, best for cheap steps."""
    acting_device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where the policy of a job with GPUs acts; `auto`: `lm` and a `language_model` on a GPU, other
    networks on the CPU, which is faster for small ones. It learns on a GPU in any case."""
    record: str = ""
    """Folder in which every rollout is written as a Parquet file, in one folder for each run and
    trial (`RUN_ID/TRIAL/seed-SEED`); `""` records nothing."""
    hang_limit_s: Annotated[float, Positive] = 30.0
    """Time that collecting may always take; it hangs beyond this and 3 times its usual time. From
    1e6 (11 days) on it never hangs."""


@dataclass(frozen=True)
class OptimiserSettings:
    """How gradients change the weights."""

    group: ClassVar[str] = "optimiser"
    optimiser: Literal["adam", "adamw", "muon"] = "adam"
    """`adam`, `adamw`, or `muon` for matrices (`adamw` for the other weights)."""
    lr: Annotated[float, Between(0, 1)] = 3e-4
    """Learning rate of the optimiser, after the warm-up and before the schedule."""
    lr_schedule: ScheduleKind = "constant"
    """How the learning rate changes over the training budget."""
    lr_end: Annotated[float, Between(0, 1)] = 0.0
    """Learning rate at the end of a schedule; above 0 for an exponential one."""
    warmup: Annotated[float, Between(0, 1, high_open=True)] = 0.0
    """Fraction of training in which the learning rate rises from 0."""
    epochs: Annotated[int, AtLeastOne] = 4
    """Passes over each iteration's rows."""
    kl_limit: Annotated[float, NonNegative] = 0.0
    """KL of an epoch above which the remaining epochs are skipped; 0 never skips."""
    minibatch_size: Annotated[int, AtLeastOne] = 256
    """Rows of one gradient."""
    accumulate: Annotated[int, AtLeastOne] = 1
    """Minibatches whose gradients are added up to one optimiser step, for a large effective
    minibatch in little memory."""
    grad_clip: Annotated[float, NonNegative] = 0.5
    """Largest gradient norm of an optimiser step; 0 does not clip."""
    weight_decay: Annotated[float, NonNegative] = 0.0
    """Weight decay: added to the gradient (`adam`) or decoupled from it (`adamw`, `muon`)."""
    num_learners: Annotated[int, NonNegative] = 0
    """Remote learners; 0 learns in the trial's own process."""


@dataclass(frozen=True)
class ExplorationSettings:
    """How the policy keeps trying other actions."""

    group: ClassVar[str] = "exploration"
    entropy_coef: Annotated[float, NonNegative] = 0.01
    """Weight of the entropy bonus at the start of training."""
    entropy_schedule: Literal["constant", "linear", "cosine", "exponential", "decay"] = "constant"
    """How the entropy weight changes: over the training budget, or by a factor (`decay`)."""
    entropy_end: Annotated[float, NonNegative] = 0.0
    """Entropy weight at the end of a schedule; above 0 for an exponential one."""
    entropy_decay: Annotated[float, Fraction] = 0.9995
    """Factor of the entropy weight after each iteration (`decay`), down to `entropy_end`."""
    entropy_target: Annotated[float, Fraction] = 0.0
    """Normalised entropy to steer to by adapting the entropy weight; 0 keeps the schedule."""
    diversity_coef: Annotated[float, NonNegative] = 0.0
    """Weight of a bonus on the entropy of the choices averaged over states."""
    temperature: Annotated[float, Positive] = 1.0
    """Divisor of the logits of choices at the start: above 1 explores more, below 1 less."""
    temperature_schedule: ScheduleKind = "constant"
    """How the temperature changes over the training budget; a policy keeps its last one."""
    temperature_end: Annotated[float, Positive] = 1.0
    """Temperature at the end of a schedule."""
    value_distribution: Literal["bins", "beta", "normal"] = "bins"
    """Distribution of the value of a choice: a grid (`bins`), a Beta density, or a `normal` one
    truncated at the bounds, with one spread for all choices."""
    bins: Annotated[int, Between(2)] = 21
    """Grid points of `bins`."""
    initial_log_std: Annotated[float, Between(-10, 3)] = -1.0
    """Initial log standard deviation of a Box action's values (and of `normal` ones), in units of
    half their range: at 0 a third of the values drawn around the middle lie beyond their bounds, at
    -1 less than a hundredth."""
    log_std_schedule: Literal["learned", "constant", "linear", "cosine", "performance"] = "learned"
    """How the log standard deviation changes: by the gradient (`learned`), not at all, over the
    training budget, or as the score rises and falls (`performance`: the world's score, else the
    mean return)."""
    log_std_end: Annotated[float, Between(-10, 3)] = -2.0
    """Log standard deviation at the end of a schedule."""
    log_std_scores: tuple[float, float] = (0.0, 1.0)
    """Scores at which `performance` leaves the initial value and at which it reaches the end;
    the first may be the larger where a small score is good."""


@dataclass(frozen=True)
class WarmStartSettings:
    """Policies to imitate before training."""

    group: ClassVar[str] = "warm start"
    warm_start: str = ""
    """Teacher imitated before training: one of the environment's rules, or recorded rollouts."""
    warm_start_episodes: Annotated[int, AtLeastOne] = 256
    """Episodes that a rule plays for the warm start."""
    warm_start_epochs: Annotated[int, AtLeastOne] = 5
    """Passes over the rows of the warm start."""
    warm_start_interval: Annotated[int, NonNegative] = 0
    """Iterations after which the teacher is imitated again, by half of the episodes; 0 imitates it
    before training only."""


@dataclass(frozen=True)
class NetworkSettings:
    """Size and parts of the policy network."""

    group: ClassVar[str] = "network"
    model: Literal["auto", "mlp", "set", "graph", "gin", "scorer", "language", "thinker", "lm"] = (
        "auto"
    )
    """Policy network: `auto`, an encoder for each part of the observation as soon as one is an
    image, else `mlp`; `mlp`, a perceptron over all numbers; `set` for observations made of nodes;
    `graph` for nodes and edges (`gin`: sums instead of means); `scorer` for candidates made of
    words; `language` for texts to continue; `thinker` for texts that it also reads; or `lm`, a
    causal language model that chooses among texts."""
    frame_stack: Annotated[int, AtLeastOne] = 1
    """Last observations that the policy reads at once, for `auto` and `mlp`; 1: the newest."""
    memory: Literal["none", "gru", "lstm"] = "none"
    """Recurrent layer behind the encoders of `auto`, as wide as the first of `hidden`."""
    sequence_length: Annotated[int, AtLeastOne] = 32
    """Steps through which gradients of a `memory` pass at most; minibatches are made of such
    sequences."""
    hidden: tuple[int, ...] = (64, 64)
    """Width of each hidden layer (of each attention block, for `set`; behind the encoders, for
    `auto`)."""
    value_hidden: tuple[int, ...] = ()
    """Widths of the value function's layers; empty: those of `hidden` (`set`: only the first)."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation of the layers of `mlp`, and of those behind encoders."""
    normalise_observations: bool | Literal["auto"] = "auto"
    """Scale each number of an observation by its running mean and deviation, clipped at 10: all
    float Box parts (true), none (false), or those that are neither images nor known to lie between
    -1 and 1 (`auto`). Networks over sets and graphs of any size read them as they are."""
    language_model: str = ""
    """Folder of the Hugging Face model of `lm`, `language` or `thinker`; empty: random weights,
    with a block for each width of `hidden`."""
    lora_rank: Annotated[int, NonNegative] = 0
    """Rank of the adapter (LoRA) trained in place of the language model's own weights; 0 trains
    those."""


@dataclass(frozen=True)
class TrainingSettings(
    NetworkSettings, WarmStartSettings, ExplorationSettings, OptimiserSettings, RolloutSettings
):
    """Settings of every algorithm; flags, YAML keys and searched fields are flat.

    Each base class is a group. The last one comes first, as dataclasses order inherited fields.
    """

    group: ClassVar[str] = "objective"
    gamma: Annotated[float, Fraction] = 0.99
    """Discount of the next step's reward."""

    def __post_init__(self) -> None:
        validate(self, "settings")
        self._check_network()
        # Equal factors in equal times never reach 0, nor leave it.
        exponential = ("lr", "lr_end") if self.lr_schedule == "exponential" else ()
        if self.entropy_schedule == "exponential":
            exponential += ("entropy_coef", "entropy_end")
        for name in exponential:
            if getattr(self, name) <= 0:
                raise InputError(
                    f"settings.{name} must be greater than 0 for an exponential schedule."
                )
        if self.entropy_target > 0 and self.entropy_coef <= 0:
            raise InputError(
                "settings.entropy_coef must be greater than 0 for entropy_target to adapt it."
            )
        if self.warm_start_interval and not self.warm_start:
            raise InputError(
                "settings.warm_start must name the teacher that is imitated again every "
                f"{self.warm_start_interval} iterations (warm_start_interval)."
            )
        if self.log_std_scores[0] == self.log_std_scores[1]:
            raise InputError(
                "settings.log_std_scores must be two scores, from the worse to the better, but it "
                f"is {self.log_std_scores}."
            )
        self._check_memory()
        self._check_minibatches()

    def _check_network(self) -> None:
        """Refuse layers that no network can have."""
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(
                f"settings.hidden must hold widths of at least 1, but it is {self.hidden}."
            )
        if any(width < 1 for width in self.value_hidden):
            raise InputError(
                "settings.value_hidden must hold widths of at least 1, or nothing for those of "
                f"hidden, but it is {self.value_hidden}."
            )
        if self.model == "set" and self.hidden[0] % 4:
            raise InputError(
                "settings.hidden must start with a multiple of 4 (attention heads) for "
                f"model='set', but it is {self.hidden}."
            )
        if self.optimiser == "muon" and self.model in ("auto", "mlp"):
            raise InputError(
                "settings.optimiser='muon' is for networks made of matrices, and model='mlp' "
                "(which 'auto' may choose) is one long vector: use optimiser='adamw'."
            )
        if self.frame_stack > 1 and self.model not in ("auto", "mlp"):
            raise InputError(
                f"settings.frame_stack is {self.frame_stack}, but model={self.model!r} reads one "
                "observation: set model='auto', or frame_stack=1."
            )

    def _check_memory(self) -> None:
        """Refuse what a policy that remembers cannot be trained with."""
        remembers = self.memory != "none"
        if self.warm_start and (remembers or self.frame_stack > 1):
            raise InputError(
                "settings.warm_start imitates single steps, but this policy remembers earlier "
                f"ones (memory={self.memory!r}, frame_stack={self.frame_stack}): leave out "
                "warm_start, or set memory='none' and frame_stack=1."
            )
        if remembers and not self.learns_sequences:
            raise InputError(
                f"settings.memory is {self.memory!r}, but only ppo and reinforce learn from "
                "sequences of steps: choose one of them, or memory='none' with a frame_stack."
            )
        if remembers and self.model != "auto":
            raise InputError(
                f"settings.memory is {self.memory!r}, but model={self.model!r} has no place for "
                "it: set model='auto'."
            )
        shortest = self.sequence_length * max(self.num_learners, 1)
        if remembers and self.minibatch_size < shortest:
            raise InputError(
                f"settings.minibatch_size must hold a sequence of {self.sequence_length} steps "
                f"(sequence_length) for each learner, {shortest} rows, but it is "
                f"{self.minibatch_size}."
            )

    def _check_minibatches(self) -> None:
        """Refuse more rows in a minibatch, or in a step, than there are."""
        if self.minibatch_size > self.rows_per_iteration:
            raise InputError(
                f"settings.minibatch_size must be at most the {self.rows_per_iteration} "
                f"{self.row_description} of an iteration, but it is {self.minibatch_size}."
            )
        if self.accumulate * self.minibatch_size > self.rows_per_iteration:
            raise InputError(
                "settings.accumulate must be at most "
                f"{self.rows_per_iteration // self.minibatch_size}, which is how many minibatches "
                f"of {self.minibatch_size} the {self.rows_per_iteration} {self.row_description} of "
                f"an iteration fill, but it is {self.accumulate}."
            )

    prepared_with: ClassVar[tuple[str, ...]] = ()
    """Settings of what is computed before training: they stay as they are."""
    learns_sequences: ClassVar[bool] = False
    """Whether its loss is a sum over steps that keep their order, which a memory needs."""
    row_description: ClassVar[str] = "steps (rollout_length * num_envs * runners)"
    """Rows of an optimiser step, in words."""

    @property
    def runners(self) -> int:
        """Workers that collect, the trial's own process included."""
        return max(self.num_env_runners, 1)

    @property
    def acts_on_gpu(self) -> bool:
        """Whether the policy acts on a GPU in a job that has some."""
        gains = self.model == "lm" or bool(self.language_model)
        return self.acting_device == "gpu" or (self.acting_device == "auto" and gains)

    def fit_to_budget(self, steps: int) -> Self:
        """Return the settings with those that follow from the budget filled in.

        Args:
            steps: environment steps of the budget; 0 where it is not given in steps.
        """
        return self

    def record_below(self, name: str) -> Self:
        """Return the settings with recordings, if any, in a folder of this name in theirs."""
        return replace(self, record=self.record and str(Path(self.record) / name))

    @property
    def rows_per_iteration(self) -> int:
        """Rows of one iteration, over all runners (at most, where episodes end early)."""
        return self.rollout_length * self.num_envs * self.runners

    @property
    def model_config(self) -> dict[str, Any]:
        """Return the arguments of the policy network."""
        names = ("hidden", "value_hidden", "activation", "value_distribution", "bins")
        names += ("language_model", "lora_rank", "frame_stack", "memory", "normalise_observations")
        spread = ("initial_log_std", "log_std_schedule")
        # None rather than 1: without the buffer a policy skips the division and can act
        # with numpy.
        untempered = self.temperature == 1 and self.temperature_schedule == "constant"
        temperature = None if untempered else self.temperature
        return {name: getattr(self, name) for name in (*names, *spread)} | {
            "temperature": temperature,
            # Only algorithms that train the value have this setting.
            "normalise_values": getattr(self, "normalise_values", False),
        }


@dataclass(frozen=True)
class EpisodeSettings(TrainingSettings):
    """Settings of algorithms that compare whole episodes from the same start."""

    rollout_length: Annotated[int, AtLeastOne] = 500
    """Longest episode; one that has not ended then is cut off."""
    group_size: Annotated[int, AtLeastOne] = 8
    """Episodes from each start (G); `num_envs` must be a multiple of it."""
    starts: Annotated[int, NonNegative] = 0
    """Number of starts in all; 0: every iteration draws new ones."""

    @property
    def collects_groups(self) -> bool:
        """Whether episodes are collected in groups at all."""
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.collects_groups and self.num_envs % self.group_size:
            raise InputError(
                "settings.num_envs must be a multiple of group_size "
                f"({self.group_size}), but it is {self.num_envs}."
            )
