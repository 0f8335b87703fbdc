"""Settings of one of RLlib's own algorithms: what a job changes in its AlgorithmConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from envs.validation import InputError
from tune_jobs.formatting import count
from tune_jobs.jobs.search_space import Space
from tune_jobs.jobs.step_budget import DEFAULT_ITERATIONS

BATCH = "train_batch_size_per_learner"
"""Setting that says how many steps RLlib's on-policy algorithms take at once."""
SAMPLED = "min_sample_timesteps_per_iteration"
"""Setting that says how many steps an iteration has where the job has no budget of steps."""
PROCESSES = ("num_env_runners", "num_learners")
"""Settings that say what a trial reserves, so that all trials share them."""


@dataclass(frozen=True)
class RLlibSettings:
    """What differs from the defaults of an algorithm's AlgorithmConfig."""

    # Its env runners act on the CPU.
    acts_on_gpu: ClassVar[bool] = False
    acting_device: ClassVar[str] = "cpu"
    # Its first iterations may only fill a replay buffer: later ones take many times longer.
    hang_limit_s: ClassVar[float] = 600.0

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    """By the names of RLlib's own arguments: `lr`, `num_env_runners`."""

    @property
    def num_env_runners(self) -> int:
        """Number of remote env runners; 0 steps the environment in the trial's own process."""
        return self.values.get("num_env_runners", 0)

    @property
    def num_learners(self) -> int:
        """Number of remote learners; 0 learns in the trial's own process."""
        return self.values.get("num_learners", 0)


def check_settings(algo: str, settings: RLlibSettings, search: Mapping[str, Space]) -> None:
    """Refuse settings, and searched ones, that an algorithm does not have.

    Raises:
        InputError: naming the first, with the nearest that it has.
    """
    # RLlib takes seconds to import, and most jobs do not need it.
    from algos.rllib_algorithms import check_setting, get_default_config

    get_default_config(algo)  # refuses a name that is none
    for name, value in settings.values.items():
        check_setting(algo, name, value)
    for name, space in search.items():
        for value in space.values:
            check_setting(algo, name, value, "search")
        if name in PROCESSES:
            raise InputError(
                f"{name} is searched, but all trials of a job reserve the same processes: set it "
                "in settings."
            )


def count_parts(
    algo: str, settings: RLlibSettings, search: Mapping[str, Space], steps: int, iterations: int
) -> int:
    """Return into how many iterations a budget of environment steps is divided.

    RLlib's on-policy algorithms take whole batches. An iteration holds at least one, the largest of
    all trials: with fewer steps each would take more than it is meant to.

    Args:
        algo: the algorithm.
        settings: its settings.
        search: what is searched.
        steps: the budget.
        iterations: the number that the job asks for; 0 takes as many as fit, at most 100.

    Raises:
        InputError: the algorithm takes no steps, or more at once than an iteration has.
    """
    from algos.rllib_algorithms import OFFLINE, make_config

    if algo in OFFLINE:
        raise InputError(
            f"steps is {steps:,}, but {algo} learns from recorded data and takes no steps: give "
            "iterations instead."
        )
    if SAMPLED in {*settings.values, *search}:
        raise InputError(
            f"steps is {steps:,}, which says how many an iteration has: remove {SAMPLED}, or give "
            "iterations in place of steps."
        )
    config = make_config(algo, settings.values)
    batches = [config.total_train_batch_size]
    if BATCH in search:
        batches += [int(size) * max(1, settings.num_learners) for size in search[BATCH].values]
    # With a replay buffer a batch says nothing about the steps that are taken.
    batch = 1 if hasattr(config, "replay_buffer_config") else max(batches)
    if steps < batch * max(1, iterations):
        raise InputError(
            f"steps is {steps:,} in {count(max(1, iterations), 'iteration')}, but {algo} takes "
            f"{batch:,} at once ({BATCH} * learners): raise steps, or lower iterations or "
            f"settings.{BATCH}."
        )
    return iterations or min(DEFAULT_ITERATIONS, steps // batch)
