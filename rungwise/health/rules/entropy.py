"""Rules for how much the policy explores: its entropy, and actions at random."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from rungwise.health.finding import Finding, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.improvement import BoolArray, keep_finite, kendall_tau
from rungwise.health.remedy import SCALED_OBSERVATIONS, at_least, at_most, increase, lower, put
from rungwise.health.rule import Rule
from rungwise.health.rules.policy_steps import is_policy_frozen
from rungwise.health.threshold_rule import ThresholdRule
from rungwise.validation import AtLeastOne, Between, Fraction, Positive

SIGNAL = 0.25
"""Fraction of groups with a signal above which models vary (`groups_without_signal` notes less)."""


@dataclass(frozen=True)
class NoExploration(Rule):
    """The entropy was close to zero in the first iteration and in every one since.

    ``entropy_collapse`` covers a policy that becomes deterministic and may end the run; this rule
    covers one that never explored. A policy that imitated a simple one or was loaded is
    deterministic on purpose: a note. Judged only where the entropy has a floor of zero, that is,
    for discrete choices, and only while the score has not improved and does not tend upwards.
    Groups whose returns differ show that a policy of many tokens varies all the same.
    """

    symptom = "no_exploration"
    title = "The policy was deterministic from the beginning"
    needs = ("entropy", SCORE)
    highest = "warn"
    silence_disproves = True
    causes = (
        "initial logits so far apart that one choice wins: weights or observations too large",
        "masks that leave a single legal action",
        "a first update that was too large",
    )
    remedy = (
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

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the policy has been deterministic in every row."""
        if history.progress.improved or history.progress.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        entropy = history.recent(name, len(history))
        limit = self.normalised if name == "entropy_normalised" else self.nats
        if entropy.size < min(self.rows, len(history)) or entropy.max() >= limit:
            return None
        # A negative entropy is differential (continuous actions), for which zero is no floor.
        if entropy.min() < 0 or _do_completions_differ(history, len(history)):
            return None
        # A policy that imitates a deterministic one is deterministic as intended.
        imitated = history.has("warm_start_loss")
        return self.report(
            "note" if imitated else "warn",
            history.iteration(0),
            f"{name} has never been above {entropy.max():.2g} in {len(history)} iterations"
            + (", after a warm start by imitation" if imitated else ""),
        )


@dataclass(frozen=True)
class ExplorationNeverDecays(ThresholdRule):
    """Late in the run an epsilon-greedy agent still draws nearly all of its actions at random.

    Every schedule starts at 1; those in use end between 0.01 and 0.1 after 10 to 50 % of the run.
    The logged return is then that of a random policy, so the score is ignored. Only logs of other
    tools contain the rate.
    """

    symptom = "exploration_never_decays"
    title = "Nearly all actions are random until the end"
    needs = ("exploration_rate",)
    highest = "warn"
    silence_disproves = True
    causes = (
        "a final rate near 1",
        "a schedule for many more steps than the run has",
        "a schedule that is never advanced",
    )
    remedy = (
        "let the fraction of random actions fall to 0.05 within the first tenth to half of the run "
        "(in SB3 exploration_final_eps and exploration_fraction)",
    )
    # The largest rates are normal early on; hence the warm-up of 60 % of the budget.
    statistic, threshold = "every", "rate"
    sentence = "{median:.0%} of the actions are drawn at random after {length} iterations"

    rate: Annotated[float, Fraction] = 0.9
    """Fraction of random actions above which an iteration is sick."""
    budget_fraction: Annotated[float, Fraction] = 0.6

    def describe(self, history: History) -> Mapping[str, object]:
        """Return the usual rate and the length of the run."""
        median = history.median("exploration_rate", self.rows)
        return {"median": median, "length": len(history)}


@dataclass(frozen=True)
class EntropyCollapse(Rule):
    """The entropy of the last third of the rows is close to zero, and the score has not improved.

    Low entropy alone would flag 17 of 32 healthy runs: a policy that has learnt may be
    deterministic. So may one that had nearly learnt by its first row: a score that still tends
    upwards clears it, as does an improvement a few rows ago.
    The rule uses the fraction of the maximum where it is logged (edges post-mortem: 8.83 nats fell
    to 0.004). Otherwise the limit for discrete choices is ``nats``. The entropy of a continuous
    policy may be negative, so there the fall counts; it only warns, because the fall is a sum over
    dimensions whose number is unknown here. It only warns of a language model, too, whose entropy
    is a mean over tokens: most are forced, and a completion of 1,000 tokens at ``nats`` each still
    has 50. Groups whose returns differ clear it. After a warm start by imitation a policy that was
    deterministic from its first rows is so as intended: a note.
    """

    symptom = "entropy_collapse"
    title = "The policy became deterministic before its score improved"
    needs = ("entropy", SCORE)
    stagnant_only = True
    causes = (
        "the entropy bonus is too small or gets no gradient",
        "the learning rate is too high",
        "rewards are so rare that the policy repeats the first rewarded action",
    )
    remedy = (
        increase("entropy_coef", 0.03, "raise the entropy bonus: {}"),
        at_least("entropy_target", 0.3, "control the entropy with {}"),
        lower("lr", 1e-4),
    )

    normalised: Annotated[float, Fraction] = 0.05
    """Fraction of the maximal entropy below which a policy has collapsed."""
    nats: Annotated[float, Positive] = 0.05
    """Entropy below which, where its maximum is unknown, a discrete policy has collapsed."""
    fall: Annotated[float, Positive] = 3.9
    """Fall in nats of a collapsed continuous policy: a standard deviation at 2 % of its start."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, AtLeastOne] = 8

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the late entropy is close to zero."""
        # A slow run is deterministic before its gain exceeds the noise; the trend is seen earlier.
        if history.progress.trend > self.tau:
            return None
        name = "entropy_normalised" if history.has("entropy_normalised") else "entropy"
        # A window that grows with the run, as the entropy of a healthy policy dips now and then.
        window = math.ceil(len(history) / 3)
        late = history.median(name, window)
        if math.isnan(late):
            return None
        severity, sick = self._judge_late(history, name, late)
        # A policy that imitates a deterministic one is deterministic as intended.
        if severity and history.has("warm_start_loss") and sick[: max(1, len(sick) // 10)].all():
            severity = "note"
        # Recent improvement is asked for last, because it judges several earlier histories.
        if severity is None or history.progress.has_improved_lately(self.rows):
            return None
        unit = "of its maximum" if name == "entropy_normalised" else "nats"
        return self.report(
            severity,
            history.find_onset(sick, window),
            f"entropy is {late:.2g} {unit} over the last {window} iterations and the score has "
            "not improved",
        )

    def _judge_late(
        self, history: History, name: str, late: float
    ) -> tuple[Severity | None, BoolArray]:
        """Return the severity, and which rows [R] are sick by themselves."""
        values = history.series(name)
        if name == "entropy_normalised":
            return ("stop" if late < self.normalised else None), values < self.normalised
        # One negative value shows that the entropy is differential, where zero is no floor.
        if 0 <= late < self.nats and not np.any(values < 0):
            window = math.ceil(len(history) / 3)
            if _do_completions_differ(history, window):
                return None, values < self.nats
            return "warn" if _chooses_tokens(history) else "stop", values < self.nats
        # A tenth of the rows and not the first: the first update often moves the entropy most.
        early = keep_finite(values)[: max(1, len(history) // 10)]
        floor = float(np.median(early)) - self.fall
        return ("warn" if late < floor else None), values < floor


def _chooses_tokens(history: History) -> bool:
    return history.other is not None and history.other.chooses_tokens


def _do_completions_differ(history: History, rows: int) -> bool:
    """Return whether completions of one prompt still get different rewards."""
    return _chooses_tokens(history) and history.median("group_signal", rows) > SIGNAL


@dataclass(frozen=True)
class EntropyStuckAtMax(Rule):
    """The entropy of the last third of the rows is at its maximum, and the score has not improved.

    Every policy starts there, and the entropy of healthy ones falls before their score rises. So
    the rule waits for a fifth of the budget, and a score that tends upwards or a falling entropy
    clears the run. Above ``uniform`` (for two choices, probabilities within 0.46 and 0.54) a trend
    of the score cannot come from the policy and is ignored. Where the policy does not move at all,
    ``frozen_policy`` reports it instead.
    """

    symptom = "entropy_stuck_at_max"
    title = "The policy is still close to uniform"
    needs = ("entropy_normalised", SCORE)
    highest = "warn"
    stagnant_only = True
    nan_policy = (
        "rows without the entropy are left out; no finding when fewer than half of the last third"
        " have it"
    )
    causes = (
        "an entropy bonus that outweighs the advantages",
        "a reward that does not depend on the action, or an observation without information on it",
        "advantages that are zero or noise",
    )
    remedy = (
        at_most("entropy_coef", 0.01),
        "run `rungwise check ENV` and check that the reward depends on the action and the "
        "observation",
    )

    normalised: Annotated[float, Fraction] = 0.98
    """Fraction of the maximal entropy above which a policy is close to uniform."""
    uniform: Annotated[float, Fraction] = 0.995
    """Fraction of the maximal entropy above which no policy can be the cause of a rising score."""
    fall: Annotated[float, Fraction] = 0.01
    """Fall of the entropy within the last third, as a fraction of its maximum, that clears it."""
    tau: Annotated[float, Fraction] = 0.3
    """Kendall's tau of the score above which it tends upwards."""
    rows: Annotated[int, Between(6)] = 12
    budget_fraction: Annotated[float, Fraction] = 0.2

    def judge(self, history: History) -> Finding | None:
        """Return a warning when the late entropy is at its maximum and does not fall."""
        window = math.ceil(len(history) / 3)
        recent = history.recent("entropy_normalised", window)
        # Every row must be near the maximum: one below it shows a policy that can move.
        if recent.size < window / 2 or recent.min() <= self.normalised:
            return None
        half = recent.size // 2
        # Learning shows in the entropy before it shows in the score, so a fall of 1 % is enough.
        fall = float(np.median(recent[:half]) - np.median(recent[half:]))
        # A uniform policy causes no trend: there it is chance or a drifting environment.
        rises = history.progress.trend > self.tau and recent.min() <= self.uniform
        # A frozen policy keeps its entropy: that finding names the cause, this a consequence.
        if fall > self.fall or rises or is_policy_frozen(history):
            return None
        return self.report(
            "warn",
            history.find_onset(history.series("entropy_normalised") > self.normalised, window),
            f"entropy is {np.median(recent):.1%} of its maximum over the last {window} iterations "
            "and the score has not improved",
        )


@dataclass(frozen=True)
class StdBlowup(Rule):
    """The entropy has risen by ln 4 and still rises, and the score has not improved.

    A normal distribution with four times the standard deviation has ln 4 = 1.39 nats more. It only
    warns there, as with 20 dimensions 7 % more of each are enough, and their number is unknown
    here. A policy of few choices starts near its maximum and cannot rise that far; of a language
    model, which starts at about one nat per token, it is the way to random text. The factor of four
    is a choice; healthy policies narrow in the end.

    Where a log has the standard deviation itself, one of four times the first and of at least four
    is enough, whatever the score: none of 96 healthy logs of other libraries is warned so.
    """

    symptom = "std_blowup"
    title = "The policy becomes ever more random"
    needs = ("entropy", SCORE)
    stand_ins: ClassVar = {"entropy": "action_std"}
    stagnant_only = True
    causes = (
        "an entropy bonus that outweighs the advantages",
        "of a language model a learning rate that is too high",
        "actions so far outside their bounds that a larger standard deviation changes nothing",
        "advantages that are zero or noise",
    )
    remedy = (
        at_most("entropy_coef", 0),
        put("value_distribution", "beta", "use a bounded distribution ({})"),
        "check that the reward depends on the action",
    )

    rise: Annotated[float, Positive] = 1.39
    """Rise of the entropy in nats since the first row from which the policy is sick."""
    tau: Annotated[float, Fraction] = 0.5
    """Kendall's tau of the entropy above which it still rises."""
    width: Annotated[float, Positive] = 4.0
    """Standard deviation, in units of the first one or of 1, above which the policy is sick."""
    rows: Annotated[int, AtLeastOne] = 10

    def __call__(self, history: History) -> Finding | None:
        """Return a finding when the standard deviation has grown fourfold."""
        return self._judge_width(history) or super().__call__(history)

    def _judge_width(self, history: History) -> Finding | None:
        values = history.series("action_std")
        finite = keep_finite(values)
        if finite.size < 5 or not history.is_warmed_up(self.rows, self.budget_fraction):
            return None
        first, late = float(finite[0]), float(np.median(finite[-3:]))
        limit = self.width * max(first, 1.0)
        if late <= limit:
            return None
        return self.report(
            "warn",
            history.find_onset(values > limit, 3),
            f"the standard deviation of the actions rose from {first:.3g} to {late:.3g}",
        )

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the entropy has risen by as much."""
        entropy = history.recent("entropy", len(history))
        # A rise that has ended is a policy that has found its width.
        if entropy.size < 5 or kendall_tau(entropy) <= self.tau:
            return None
        # The median of three rows, because one noisy row would make a fourfold width.
        first, late = float(entropy[0]), float(np.median(entropy[-3:]))
        if late - first < self.rise:
            return None
        other = history.other
        return self.report(
            # An unknown library may log the sum over a completion, which grows with it.
            "stop" if other and other.chooses_tokens and other.names is not None else "warn",
            history.find_onset(history.series("entropy") - first >= self.rise, 3),
            f"entropy rose from {first:.3g} to {late:.3g} nats and the score has not improved",
        )
