"""Rule ``no_episode_ends``: steps are counted and no episode ever finishes."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy

RESULTS = ("return_mean", "return_mean_100", "episode_length")
"""What is logged of finished episodes."""


@dataclasses.dataclass(frozen=True)
class NoEpisodeEnds(Rule):
    """Since the start not a single episode has ended, so that there is no return to learn from.

    Episodes may be long (Atari's are cut off after 27,000 steps) or, in a continuing task, not end
    on purpose: a note until one has lasted for ``long`` steps, a stop only after ``endless``. A
    score of another kind that improves ends the matter. A log of others that has no return at all
    gets a warning: nothing ended, or nobody recorded it.

    Warm-up: ``rows`` rows. NaN policy: a NaN number of episodes is none.
    """

    symptom: ClassVar[str] = "no_episode_ends"
    needs: ClassVar[tuple[str, ...]] = ("env_steps",)
    can_recover: ClassVar[bool] = False
    causes: ClassVar[tuple[str, ...]] = (
        "the environment returns neither terminated nor truncated",
        "a time limit longer than the run, or none",
        "the return is recorded under a name that is not known here",
    )
    remedy: ClassVar[Remedy] = (
        "return terminated at the goal and give the environment a time limit "
        "(gymnasium.register(..., max_episode_steps=1000))",
        "in a continuing task choose a `metric` that does not wait for an end",
    )

    rows: Annotated[int, AtLeastOne] = 10
    """Rows before it judges (or half of the budget, if that is less)."""
    long: Annotated[int, AtLeastOne] = 1000
    """Steps of an unfinished episode from which it warns: a usual time limit."""
    endless: Annotated[int, AtLeastOne] = 27_000
    """Steps of an unfinished episode from which it asks for a stop: Atari's time limit."""
    share_of_budget: Annotated[float, Fraction] = 0.1
    """Share of the budget spent before it asks for a stop."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when steps grow and nothing has ever ended."""
        if (
            not history.is_warmed_up(self.rows, 0.0)
            or history.improved
            or _has_any_episode_ended(history)
        ):
            return None
        steps = history.series("env_steps")
        steps = steps[np.isfinite(steps)]
        if steps.size < 2 or not steps[-1] > steps[0]:
            return None
        longest = history.latest("running_length_max")
        lasted = f"; one has lasted for {longest:,.0f} steps" if np.isfinite(longest) else ""
        return Finding(
            self.symptom,
            self._severity(history, longest),
            history.iteration(0),
            f"no episode has finished in {len(history)} iterations and {steps[-1]:,.0f} steps"
            f"{lasted}",
        )

    def _severity(self, history: History, longest: float) -> Severity:
        if longest >= self.endless and history.budget_fraction_used >= self.share_of_budget:
            return "stop"
        return "note" if longest < self.long else "warn"


def _has_any_episode_ended(history: History) -> bool:
    """Whether any episode did, or is not known not to have."""
    if any(history.has(name) for name in RESULTS):
        return True
    counted = np.any(np.isfinite(history.series("episodes")))
    if not counted:
        return history.has(history.score)  # of some other kind
    return bool(np.nansum(history.series("episodes")) > 0)
