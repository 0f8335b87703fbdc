"""Rule ``theatre``: thoughts are written for show, the answer does not come from them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import numpy as np

from envs.validation import AtLeastOne, Fraction, NonNegative, validate
from tune_jobs.health.finding import SCORE, Finding, History, Rule, Severity
from tune_jobs.health.improvement import FloatArray, kendall_tau
from tune_jobs.health.remedy import Remedy


@dataclasses.dataclass(frozen=True)
class Theatre(Rule):
    """Without the thought the answer is as likely as with it, or any other thought does as well.

    The thoughts post-mortem could not tell, because it never took the thoughts away. Three
    comparisons of the answer's log-probability can: without a thought (the gain), with the thought
    of another context, and with random tokens of the same length (which win whatever merely
    thinking longer wins). The trained run of the reference experiment gains 1.6 nats and loses
    more than that by shuffling; both of its controls, frozen and rewarded at random, gain nothing.
    An answer known without any thought leaves nothing to gain and is not judged. A gain that rises
    is on its way, and thinking is learnt late: it warns until the score has not improved either.

    Warm-up: ``rows`` rows and ``warn_from`` of the budget. NaN policy: rows without a comparison
    are left out of it.
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
        "a reward for how thoughts look (length, coherence) instead of what they change",
        "a reader that cannot use thoughts, or was never taught to",
        "the answer is drawn before the thought, or without seeing it",
    )
    remedy: ClassVar[Remedy] = (
        "reward the gain itself (log p with minus without the thought)",
        "teach the reader with a `warm_start` on thoughts that help",
        "drop bonuses for how thoughts look",
    )

    gain: Annotated[float, NonNegative] = 0.1
    """Nats that the thought must add to the answer's log-probability."""
    lost_when_shuffled: Annotated[float, Fraction] = 0.5
    """Share of the gain that must be lost with another context's thought."""
    random: Annotated[float, Fraction] = 0.1
    """Share of the gain that random tokens may have."""
    tau: Annotated[float, Fraction] = 0.2
    """Kendall's tau of the gain above which it is on its way."""
    rows: Annotated[int, AtLeastOne] = 10
    """The medians of this many last iterations are judged."""
    warn_from: Annotated[float, Fraction] = 0.3
    """Share of the budget from which it warns."""
    stop_from: Annotated[float, Fraction] = 0.6
    """Share of the budget from which it asks for a stop, unless the score has improved."""

    def __post_init__(self) -> None:
        validate(self)

    def __call__(self, history: History) -> Finding | None:
        """Sick when the answer would be as likely without these very thoughts."""
        if not history.is_warmed_up(self.rows, self.warn_from):
            return None
        gains, own, random = _differences(history)
        known = gains[np.isfinite(gains)]
        if known.size == 0 or -self._median(history.series("log_p_without")) <= self.gain:
            return None
        gain = self._median(gains)
        said = self._describe_problem(gain, self._median(own), self._median(random))
        if not said or (gain <= self.gain and kendall_tau(known) > self.tau):
            return None
        lost = history.improved is False and history.budget_fraction_used >= self.stop_from
        severity: Severity = "stop" if lost else "warn"
        sick = (
            (gains <= self.gain)
            | (own <= self.lost_when_shuffled * gains)
            | (random >= self.random * gains)
        )
        return Finding(
            self.symptom,
            severity,
            history.find_onset(sick, self.rows),
            f"{said} (nats, last {self.rows} iterations)",
        )

    def _describe_problem(self, gain: float, own: float, random: float) -> str:
        """What is wrong with these differences; empty if nothing is. A NaN is not judged."""
        if gain <= self.gain:
            return f"with the thought the answer is only {gain:.2g} more likely than without"
        if own <= self.lost_when_shuffled * gain:
            return (
                f"the thought adds {gain:.2g}, and that of another context costs only "
                f"{own:.2g} of it"
            )
        if random >= self.random * gain:
            return f"the thought adds {gain:.2g}, and random tokens add {random:.2g} of it too"
        return ""

    def _median(self, values: FloatArray) -> float:
        recent = values[-self.rows :]
        recent = recent[np.isfinite(recent)]
        return float(np.median(recent)) if recent.size else np.nan


def _differences(history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The gain by the thought, what of it another's costs, the gain by random tokens: each [R]."""
    with_own, without = history.series("log_p_with"), history.series("log_p_without")
    shuffled, random = history.series("log_p_shuffled"), history.series("log_p_random")
    return with_own - without, with_own - shuffled, random - without
