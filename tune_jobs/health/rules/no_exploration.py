"""Rule ``no_exploration``: the policy was deterministic from the beginning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne, Fraction, Positive
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import SCALED_OBSERVATIONS, Remedy, at_least, increase, lower
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NoExploration(Rule):
    """The entropy was close to zero in the first iteration and in every one since.

    ``entropy_collapse`` covers a policy that becomes deterministic and may end the run; this rule
    covers one that never explored. A policy that imitated a simple one or was loaded is
    deterministic on purpose: a note. Judged only where the entropy has a floor of zero, that is,
    for discrete choices, and only while the score has not improved and does not tend upwards.

    Warm-up: ``rows`` rows. NaN policy: rows without the entropy are left out.
    """

    symptom: ClassVar[str] = "no_exploration"
    needs: ClassVar[tuple[str, ...]] = ("entropy", SCORE)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "initial logits so far apart that one choice wins: weights or observations too large",
        "masks that leave a single legal action",
        "a first update that was too large",
    )
    remedy: ClassVar[Remedy] = (
        "check how many actions are legal",
        SCALED_OBSERVATIONS,
        at_least("warmup", 0.05, "begin with {}"),
        lower("lr", 1e-4),
        increase("entropy_coef", 0.03),
    )

    normalised: Annotated[float, Fraction] = 0.05
    """Fraction of the maximal entropy below which a policy is deterministic."""
    nats: Annotated[float, Positive] = 0.05
    """The same in nats, where the maximum is unknown."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 5
    """Rows before the rule judges, at most half of the budget."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the policy has been deterministic in every row."""
        if history.improved or history.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        entropy = history.recent(name, len(history))
        limit = self.normalised if name == "entropy_normalised" else self.nats
        if entropy.size < min(self.rows, len(history)) or entropy.max() >= limit:
            return None
        # A negative entropy is differential (continuous actions), for which zero is no floor.
        if entropy.min() < 0:
            return None
        # A policy that imitates a deterministic one is deterministic as intended.
        imitated = history.has("warm_start_loss")
        return self.report(
            "note" if imitated else "warn",
            history.iteration(0),
            f"{name} has never been above {entropy.max():.2g} in {len(history)} iterations"
            + (", after a warm start by imitation" if imitated else ""),
        )
