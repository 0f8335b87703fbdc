"""Budgets: iterations, or the whole iterations in a number of environment steps."""

from __future__ import annotations

from collections.abc import Container

from algos.config import EpisodeSettings, TrainingSettings
from envs.validation import InputError

DEFAULT_ITERATIONS = 100
"""Budget of a job that names none."""
ROLLOUT_SETTINGS = ("rollout_length", "num_envs", "num_env_runners")
"""Settings that together say how many steps an iteration has."""


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
