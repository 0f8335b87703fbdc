"""Budgets: the iterations of a job, and the first of them at which ASHA decides."""

from __future__ import annotations

from collections.abc import Container

from algos.settings.training import EpisodeSettings, TrainingSettings
from rungwise.formatting import count
from rungwise.validation import InputError
from tune_jobs.jobs.job_fields import JobFields
from tune_jobs.jobs.program_settings import ProgramSettings
from tune_jobs.jobs.rllib_settings import RLlibSettings

DEFAULT_ITERATIONS = 100
"""Budget of a job that names none."""
ROLLOUT_SETTINGS = ("rollout_length", "num_envs", "num_env_runners")
"""Settings that together say how many steps an iteration has."""


FIRST_RUNG = 0.2
"""Share of the budget before the first rung."""
FEWEST = 5
"""Iterations before the first rung, at least, in budgets of twice as many."""
BATCH = "train_batch_size_per_learner"
"""Setting that says how many steps RLlib's on-policy algorithms take at once."""
SAMPLED = "min_sample_timesteps_per_iteration"
"""Setting that says how many steps an iteration has where the job has no budget of steps."""
FITTED_TO = frozenset({"accumulate", "memory", "minibatch_size", "sequence_length"})
"""Settings by which rollouts are fitted to a budget, where they are not searched."""


def resolve_iterations(job: JobFields) -> int:
    """Return the iterations in the budget of a job; 0 where that of a program is not known.

    Raises:
        InputError: steps that contradict the iterations, hold none, or whose number in an
            iteration is not fixed.
    """
    if isinstance(job.settings, ProgramSettings):
        if job.steps:
            raise InputError(
                f"steps is {job.steps:,}, but only our own training counts them: give what a "
                "program's log counts as progress, and how far it goes as budget."
            )
        return (job.iterations or DEFAULT_ITERATIONS) if job.settings.budget else 0
    if not job.steps:
        return job.iterations or DEFAULT_ITERATIONS
    if isinstance(job.settings, RLlibSettings):
        return count_rllib_iterations(job, job.settings)
    iterations = count_iterations(job.steps, fit_settings(job, job.settings), job.search)
    # Equal in the copy of a job that a run keeps, which holds both.
    if job.iterations not in (0, iterations):
        raise InputError(
            f"steps is {job.steps:,} ({iterations:,} iterations), but iterations is "
            f"{job.iterations:,}: give one of them."
        )
    return iterations


def fit_settings(job: JobFields, settings: TrainingSettings) -> TrainingSettings:
    """Return a job's settings with those that follow from its budget."""
    # The rollouts of all trials are alike, and must hold the largest minibatch of any.
    return settings.fit_to_budget(0 if FITTED_TO.intersection(job.search) else job.steps)


def count_iterations(steps: int, settings: TrainingSettings, searched: Container[str] = ()) -> int:
    """Return the whole iterations in a budget of environment steps, at least one.

    Args:
        steps: the budget.
        settings: the settings of the algorithm.
        searched: names of the settings that differ between trials.

    Raises:
        InputError: an iteration has no fixed number of steps, or more than the budget.

    >>> count_iterations(100_000, TrainingSettings(num_envs=8, rollout_length=256))
    48
    """
    if isinstance(settings, EpisodeSettings) and settings.collects_groups:
        raise InputError(
            f"steps is {steps:,}, but an iteration of these settings is {settings.num_envs} whole "
            "episodes, whose steps are not known before: give iterations instead."
        )
    for name in ROLLOUT_SETTINGS:
        if name in searched:
            raise InputError(
                f"steps is {steps:,}, but {name} is searched, so that an iteration has more steps "
                "in some trials than in others: give iterations instead."
            )
    each = settings.rows_per_iteration
    if steps < each:
        raise InputError(
            f"steps is {steps:,}, but one iteration alone has {each:,} (rollout_length * num_envs "
            "* runners): raise steps, or lower settings.rollout_length."
        )
    return steps // each


def count_rllib_iterations(job: JobFields, settings: RLlibSettings) -> int:
    """Return into how many iterations a budget of environment steps is divided, at most 100.

    RLlib's on-policy algorithms take whole batches. An iteration holds at least one, the largest of
    all trials: with fewer steps each would take more than it is meant to.

    Raises:
        InputError: the algorithm takes no steps, or more at once than an iteration has.
    """
    from algos.rllib.rllib_algorithms import OFFLINE, make_config

    algo, search, steps, iterations = job.algo, job.search, job.steps, job.iterations
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


def choose_first_rung(iterations: int) -> int:
    """Return the iteration of the first rung in a budget.

    >>> [choose_first_rung(budget) for budget in (1, 4, 10, 20, 100)]
    [1, 2, 5, 5, 20]
    """
    # The score of an iteration is that of episodes before its update, and pools those of the
    # iterations before it: after two of ten it is mostly that of the untrained policy.
    return max(1, round(iterations * FIRST_RUNG), min(FEWEST, iterations // 2))
