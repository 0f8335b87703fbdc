"""Rule ``no_exploration``: the policy was certain from the beginning."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, Positive, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray
from tune_jobs.health.remedy import Remedy, at_least, increase, lower


@dataclasses.dataclass(frozen=True)
class NoExploration(Rule):
    """The entropy was next to nothing in the first iteration and in every one since.

    ``entropy_collapse`` is about a policy that becomes certain and may end the run; this one says
    that it never tried anything. A policy that imitated a simple rule or was loaded is certain on
    purpose: a note. Judged only where entropy has a floor of zero, that is, for discrete choices,
    and only while the score has not improved and does not tend upwards.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "no_exploration"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "first logits so far apart that one choice wins: weights or observations too large",
        "masks that leave a single legal action",
        "a first update that was too large",
    )
    remedy: ClassVar[Remedy] = (
        "see how many actions are legal",
        "scale the observations to within -10 and 10",
        at_least("warmup", 0.05, "begin with {}"),
        lower("lr", 1e-4),
        increase("entropy_coef", 0.03),
    )

    normalised: Annotated[float, Fraction] = 0.05
    """Share of the maximal entropy below which a policy is certain (as in `entropy_collapse`)."""
    nats: Annotated[float, Positive] = 0.05
    """The same in nats, where the maximum is not known."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 5
    """Rows before it judges."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the policy has been certain in every row."""
        if not history.is_warmed_up(self.rows, 0.0) or history.improved or history.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        entropy = _finite(history.series(name))
        limit = self.normalised if name == "entropy_normalised" else self.nats
        certain = entropy.size >= min(self.rows, len(history)) and entropy.max() < limit
        if not certain or entropy.min() < 0:
            return None
        imitated = history.has("warm_start_loss")
        return Finding(
            self.symptom,
            "note" if imitated else "warn",
            history.iteration(0),
            f"{name} has never been above {entropy.max():.2g} in {len(history)} iterations"
            + (", after imitating" if imitated else ""),
        )


def _finite(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]
