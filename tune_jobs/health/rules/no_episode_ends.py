"""Rule ``no_episode_ends``: no episode has finished since the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy
from tune_jobs.health.rule import Rule

EPISODE_METRICS = ("return_mean", "return_mean_100", "episode_length")
"""Metrics that are logged only of finished episodes."""


@dataclass(frozen=True)
class NoEpisodeEnds(Rule):
    """An agent learns but no episode has ended, so there is no return.

    Episodes may be long or, in a continuing task, never end on purpose. So what is known of their
    limit decides: before it the finding is a note, and an episode that has ended clears the run.
    Without a known limit it is a note until one has lasted for ``long`` steps, then a warning: such
    an episode may still be cut off (one of 60,000 steps was, in healthy runs). A stop is left for
    episodes that last ``overdue`` times as long as their own limit, which nothing applies.
    An improving score of another kind clears the run. A log of another tool without any return
    gives a warning: no episode ended, or the return was not recorded. Where it counts no steps, the
    losses of a value say that an agent learns.

    Warm-up: ``rows`` rows. NaN policy: a NaN number of episodes counts as zero.
    """

    symptom: ClassVar[str] = "no_episode_ends"
    needs: ClassVar[tuple[str, ...]] = ("env_steps",)
    stand_ins: ClassVar[Mapping[str, str]] = {"env_steps": "value_loss"}
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "the environment returns neither terminated nor truncated",
        "a time limit longer than the run, or none",
        "the return is recorded under an unknown name",
    )
    remedy: ClassVar[Remedy] = (
        "return terminated at the goal and give the environment a time limit "
        "(gymnasium.register(..., max_episode_steps=1000))",
        "in a continuing task choose a `metric` that needs no finished episode",
    )

    rows: Annotated[int, AtLeastOne] = 10
    """Rows before the rule judges, at most half of the budget."""
    long: Annotated[int, AtLeastOne] = 1000
    """Steps of an unfinished episode from which it warns: a usual time limit."""
    endless: Annotated[int, AtLeastOne] = 27_000
    """Steps of an unfinished episode before which it never asks for a stop: Atari's time limit."""
    overdue: Annotated[float, AtLeastOne] = 2.0
    """How many times its known limit an episode has lasted when it asks for a stop."""
    stop_from: Annotated[float, Fraction] = 0.1
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the steps increase and no episode has ended."""
        if history.improved or _has_any_episode_ended(history):
            return None
        steps = history.recent("env_steps", len(history))
        if not steps.any():  # not counted
            if not history.has(self.stand_ins["env_steps"]):
                return None
            reached = ""
        elif steps[-1] > steps[0]:
            reached = f" and {steps[-1]:,.0f} steps"
        else:  # the run is stuck or not started, which is another fault
            return None
        # NaN where the trainer does not log them: the comparisons of the severity are then false,
        # and the finding is a warning.
        longest, limit = history.latest("running_length_max"), history.latest("time_limit")
        length = f"; one has lasted for {longest:,.0f} steps" if np.isfinite(longest) else ""
        of_limit = f", and their limit is {limit:,.0f}" if np.isfinite(limit) else ""
        return self.report(
            self._choose_severity(history, longest, limit),
            history.iteration(0),
            f"no episode has finished in {len(history)} iterations{reached}{length}{of_limit}",
        )

    def _choose_severity(self, history: History, longest: float, limit: float) -> Severity:
        overdue = longest >= max(self.endless, self.overdue * limit)
        if overdue and np.isfinite(limit) and history.budget_fraction_used >= self.stop_from:
            return "stop"
        return "note" if longest < self.long or longest <= limit else "warn"

    def choose_remedy(self, history: History) -> Remedy:
        """Return what makes episodes end within the run, where they have a limit."""
        longest, limit = history.latest("running_length_max"), history.latest("time_limit")
        if np.isnan(limit) or longest > limit:
            return self.remedy
        if longest / history.budget_fraction_used >= limit:
            return (f"wait until the limit of {limit:,.0f} steps ends the first episodes",)
        return (
            f"let each copy of the environment take the {limit:,.0f} steps of an episode: fewer "
            "copies or more `steps`",
        )


def _has_any_episode_ended(history: History) -> bool:
    """Return whether an episode has ended, or whether that is unknown."""
    if any(history.has(name) for name in EPISODE_METRICS):
        return True
    episodes = history.recent("episodes", len(history))
    if not episodes.size:
        return history.has(history.score)  # a score that is not made of returns
    return bool(episodes.sum() > 0)
