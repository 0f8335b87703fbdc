"""Rule ``value_without_gradient``: the value function has an error and does not learn from it."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, validate
from tune_jobs.health.finding import Finding, History, Rule, Severity
from tune_jobs.health.remedy import Remedy, at_least, put


@dataclasses.dataclass(frozen=True)
class ValueWithoutGradient(Rule):
    """The gradient of the value error is exactly zero although there is an error.

    The same fault as ``entropy_without_gradient``, at the value head. Where the error itself is
    zero (no reward yet, so that all returns are) there is nothing to learn. A run whose score has
    improved gets a note: a policy can learn without a critic.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "value_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_value", "value_loss")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the values in the loss are those of the rollout, or detached",
        "a weight of the value error of zero",
        "all values are held by the value clip",
        "all units of the value function's layers are dead",
    )
    remedy: ClassVar[Remedy] = (
        "compute the values from the network's output inside the loss",
        at_least("value_coef", 0.5),
        "switch off a clip of the value error",
        put("activation", "tanh"),
    )

    rows: Annotated[int, AtLeastOne] = 5
    """All of this many last iterations must be sick: two measurements, one in every four."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the recent norms are exactly zero and the errors are not."""
        norms = history.recent("grad_norm_value", self.rows)
        errors = history.recent("value_loss", self.rows)
        if norms.size < self.rows or norms.any() or not errors.size or errors.min() <= 0:
            return None
        return Finding(
            self.symptom,
            "note" if history.improved else "warn",
            history.find_onset(history.series("grad_norm_value") == 0, self.rows),
            f"the value error's gradient is exactly zero in the last {self.rows} iterations with "
            f"a value loss of {np.median(errors):.3g}",
        )
