"""Rule ``value_without_gradient``: the value function has an error but no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_least, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class ValueWithoutGradient(Rule):
    """The gradient of the value loss is exactly zero although there is an error.

    The same fault as ``entropy_without_gradient``, at the value head. Where the error itself is
    zero (no reward yet, so all returns are zero) there is nothing to learn. A run whose score has
    improved gets a note: a policy can learn without a critic.

    Warm-up: ``rows`` rows. NaN policy: rows without the norm are left out.
    """

    symptom: ClassVar[str] = "value_without_gradient"
    needs: ClassVar[tuple[str, ...]] = ("grad_norm_value", "value_loss")
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "the values in the loss are those of the rollout, or detached",
        "a weight of the value loss of zero",
        "all values are clipped by the value clip",
        "all units of the value function's layers are dead",
    )
    remedy: ClassVar[Remedy] = (
        "compute the values from the network's output inside the loss",
        at_least("value_coef", 0.5),
        "switch off a clip of the value error",
        put("activation", "tanh"),
    )

    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick: two measurements, one in every four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when recent norms are exactly zero and the errors are not."""
        norms = history.recent("grad_norm_value", self.rows)
        errors = history.recent("value_loss", self.rows)
        # An error of zero in one row is enough to stay silent: there was nothing to learn.
        if norms.size < self.rows or norms.any() or not errors.size or errors.min() <= 0:
            return None
        return self.report(
            "note" if history.improved else "warn",
            history.find_onset(history.series("grad_norm_value") == 0, self.rows),
            f"the gradient of the value loss is exactly zero in the last {self.rows} iterations "
            f"with a value loss of {np.median(errors):.3g}",
        )
