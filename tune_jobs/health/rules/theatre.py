"""Rule ``theatre``: the answer does not depend on the thoughts before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.improvement import FloatArray, kendall_tau
from tune_jobs.health.remedy import Remedy
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class Theatre(Rule):
    """The answer is as likely without the thought, or any other thought works as well.

    The thoughts post-mortem could not measure this, because it never removed the thoughts. Three
    comparisons of the answer's log-probability do: without a thought (the gain), with the thought
    of another context, and with random tokens of the same length (which gain whatever more compute
    alone gains). The trained run of the reference experiment gains 1.6 nats and loses more than
    that by shuffling; its two controls, frozen and rewarded at random, gain nothing. An answer that
    is known without a thought leaves nothing to gain and is not judged. A rising gain clears the
    run, and thinking is learnt late: the rule only warns while the score improves.

    Warm-up: ``rows`` rows and ``budget_fraction``. NaN policy: rows without a comparison are left
    out of it.
    """

    symptom: ClassVar[str] = "theatre"
    needs: ClassVar[tuple[str, ...]] = (
        "log_p_with",
        "log_p_without",
        "log_p_shuffled",
        "log_p_random",
        SCORE,
    )
    causes: ClassVar[tuple[str, ...]] = (
        "a reward for the form of thoughts (length, coherence) instead of their effect",
        "a reader that cannot use thoughts, or was never trained to",
        "the answer is drawn before the thought, or without seeing it",
    )
    remedy: ClassVar[Remedy] = (
        "reward the gain itself (log p with minus without the thought)",
        "train the reader with a `warm_start` on useful thoughts",
        "remove bonuses for the form of thoughts",
    )

    gain: Annotated[float, NonNegative] = 0.1
    """Nats that the thought must add to the answer's log-probability."""
    lost_when_shuffled: Annotated[float, Fraction] = 0.5
    """Fraction of the gain that must be lost with the thought of another context."""
    random: Annotated[float, Fraction] = 0.1
    """Fraction of the gain that random tokens may have."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the gain above which it rises."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations whose medians are judged."""
    budget_fraction: Annotated[float, Fraction] = 0.3
    """Fraction of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Fraction of the budget from which it asks for a stop, unless the score has improved."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the answer would be as likely without these thoughts."""
        gains, losses, random = _compute_differences(history)
        known = gains[np.isfinite(gains)]
        if known.size == 0 or -history.median("log_p_without", self.rows) <= self.gain:
            return None
        gain = self._median(gains)
        fault = self._describe_fault(gain, self._median(losses), self._median(random))
        if not fault or (gain <= self.gain and kendall_tau(known) > self.tau):
            return None
        hopeless = history.improved is False and history.budget_fraction_used >= self.stop_from
        sick = (
            (gains <= self.gain)
            | (losses <= self.lost_when_shuffled * gains)
            | (random >= self.random * gains)
        )
        return self.report(
            "stop" if hopeless else "warn",
            history.find_onset(sick, self.rows),
            f"{fault} (nats, last {self.rows} iterations)",
        )

    def _describe_fault(self, gain: float, loss: float, random: float) -> str:
        """Return the fault these differences show, empty if none. A NaN is not judged."""
        if gain <= self.gain:
            return f"with the thought the answer is only {gain:.2g} more likely than without"
        if loss <= self.lost_when_shuffled * gain:
            return (
                f"the thought adds {gain:.2g}, and that of another context loses only "
                f"{loss:.2g} of it"
            )
        if random >= self.random * gain:
            return f"the thought adds {gain:.2g}, and random tokens add {random:.2g} as well"
        return ""

    def _median(self, values: FloatArray) -> float:
        recent = values[-self.rows :]
        recent = recent[np.isfinite(recent)]
        return float(np.median(recent)) if recent.size else np.nan


def _compute_differences(history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the gain by the thought, its loss by shuffling, and the gain by random tokens [R]."""
    with_own, without = history.series("log_p_with"), history.series("log_p_without")
    shuffled, random = history.series("log_p_shuffled"), history.series("log_p_random")
    return with_own - without, with_own - shuffled, random - without
