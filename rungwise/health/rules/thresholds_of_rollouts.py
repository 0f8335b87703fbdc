"""Rules that compare one metric of observations or actions with a limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from rungwise.health.finding import Severity
from rungwise.health.history import SCORE, History
from rungwise.health.remedy import at_least, at_most, increase, put, use
from rungwise.health.threshold_rule import ByImprovement, ThresholdRule
from rungwise.validation import AtLeastOne, Fraction, Positive


@dataclass(frozen=True)
class ObservationConstant(ThresholdRule):
    """No entry of the observation changed during whole rollouts, in any copy.

    Some constant entries (padding, one-hot codes) are normal: all of them must be constant. A
    bandit has a constant observation by design and can be learnt, so an improved score clears the
    run, and the finding is a note until the score can be judged.
    """

    symptom = "observation_constant"
    title = "The observation never changes"
    needs = ("observation_constant_fraction", SCORE)
    silence_disproves = True
    causes = (
        "step() returns the array that reset() made, or a copy of it",
        "a wrapper or filter that replaces the observation",
        "clipping or rounding that leaves a single value",
    )
    remedy = (
        "print what step() returns after different actions: `rungwise check ENV` shows an "
        "observation that is shared between steps",
    )
    statistic, is_complete = "every", True
    # Any entry that moves is enough: padding and one-hot entries are constant in healthy runs.
    comparison, threshold = ">=", 1
    by_improvement = ByImprovement(None, "note", "stop")
    sentence = "every entry of the observation was constant in each of the last {rows} iterations"

    rows: Annotated[int, AtLeastOne] = 3


@dataclass(frozen=True)
class ObservationScale(ThresholdRule):
    """Observations have entries far above 1, and the score has not improved.

    Scale alone is no fault (CartPole was learnt from observations a million times too large), so
    the finding is a note; a warning also needs dead hidden units.
    """

    symptom = "observation_scale"
    title = "Observations so large that a network saturates"
    needs = ("observation_abs_max", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "observations in the units of the domain (pixels, prices, time stamps)",
        "a counter or an accumulated sum among the entries",
        "a placeholder such as 1e9 for a missing value",
    )
    remedy = (
        # Seen after normalisation, which leaves no entry beyond 10: of these there is none.
        use("normalise_observations", "switch on {}"),
        "divide each entry by its usual size, so that observations stay within -10 and 10",
        "use a mask instead of a placeholder",
    )
    threshold = "size"
    sentence = "observations reach {value:.3g} in size{saturated} and the score has not improved"

    size: Annotated[float, Positive] = 100.0
    """Size of the largest entry above which it notes: ten times the 10 which RLExplorer allows."""
    dead: Annotated[float, Fraction] = 0.5
    """Fraction of dead units above which it warns (as in `dead_units`)."""

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a warning where the network is saturated."""
        return "warn" if self._count_dead(history) else "note"

    def describe(self, history: History) -> Mapping[str, object]:
        """Return how many units are dead, where these are many."""
        dead = self._count_dead(history)
        return {"saturated": f", {dead:.0%} of the hidden units are dead" if dead else ""}

    def _count_dead(self, history: History) -> float:
        """Return the fraction of dead units; 0 where it is small or not logged."""
        dead = history.median("dead_unit_fraction", self.rows)
        return dead if dead > self.dead else 0.0


@dataclass(frozen=True)
class NormaliserWithoutSpread(ThresholdRule):
    """In the statistics that the policy acts by, no normalised number deviates from its mean.

    Then normalisation hides what is observed, or does nothing because the statistics never arrived.
    Single numbers that never change (padding, one goal for all episodes) are normal: it must be all
    of them. If the whole observation never changes, ``observation_constant`` reports that instead.
    The fault may lie in a part of the observation that the task does not need, so nothing is
    stopped for it.
    """

    symptom = "normaliser_without_spread"
    title = "Normalisation knows no spread of what is observed"
    needs = ("normaliser_constant_fraction", SCORE)
    highest = "warn"
    stagnant_only = True
    warm_up = "`rows` rows; the first is collected before there are statistics"
    causes = (
        "the normalised part of the observation never changes, while another part does",
        "observations that differ by less than 1e-6, such as tiny quantities in large units",
        "a runner or policy of your own that does not take over the learner's statistics",
    )
    remedy = (
        "print the observations of one episode: multiply numbers that hardly differ by a constant",
        "check that a runner of your own loads all weights that the learner sends, buffers too",
        put("normalise_observations", False, "if the numbers are constant on purpose set {}"),
    )
    statistic, is_complete = "every", True
    comparison, threshold = ">=", 1
    sentence = (
        "the statistics of the policy know no spread of any normalised number in the last {rows} "
        "iterations and the score has not improved"
    )

    def is_excused(self, history: History) -> bool:
        """Return whether the whole observation never changes, which has a rule of its own."""
        observed = history.recent("observation_constant_fraction", self.rows)
        return bool(observed.size and observed.min() >= 1)


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
class ActionClipping(ThresholdRule):
    """Nearly all sampled values are clipped to a bound, and the score has not improved.

    Clipped values have the same effect, so they carry no gradient about the reward. Always using a
    bound can be optimal (bang-bang control), hence the condition on the score. A policy that starts
    with mean 0 and standard deviation 1 has a third of its values outside bounds of 1.
    """

    symptom = "action_clipping"
    title = "Nearly all action values lie outside the action bounds"
    needs = ("action_clip_fraction", SCORE)
    highest = "warn"
    stagnant_only = True
    causes = (
        "an entropy bonus that widens the action distribution without limit",
        "action bounds that are small compared with a standard deviation of 1",
        "updates so large that the mean has left the bounds",
    )
    remedy = (
        at_most("entropy_coef", 0),
        "give the environment action bounds of -1 and 1 and rescale inside it",
        put("value_distribution", "beta", "use a bounded distribution ({})"),
    )
    threshold = "clip_fraction"
    sentence = (
        "{value:.0%} of the action values of the last {rows} iterations were outside the action "
        "bounds and the score has not improved"
    )

    clip_fraction: Annotated[float, Fraction] = 0.9
    """Fraction of values outside the bounds above which an iteration is sick."""


@dataclass(frozen=True)
class LateWarning(ThresholdRule):
    """A rule for runs that have not improved, whose findings are notes early in the budget."""

    highest = "warn"
    stagnant_only = True

    rows: Annotated[int, AtLeastOne] = 10
    budget_fraction: Annotated[float, Fraction] = 0.2
    warn_from: Annotated[float, Fraction] = 0.4
    """Fraction of the budget from which it warns instead of noting."""

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a note early in the budget."""
        return "warn" if history.budget_fraction_used >= self.warn_from else "note"


@dataclass(frozen=True)
class RangeUnused(LateWarning):
    """The values that the agent sets use less than a third of their range.

    The limit of 30 % is from the causal-optimising post-mortem. The best value may lie in the
    middle, so the score must not have improved, and the finding is a note until ``warn_from`` of
    the budget is used.
    """

    symptom = "range_unused"
    title = "The action values use only a small part of their range"
    needs = ("range_utilisation", SCORE)
    causes = (
        "a distribution that starts narrow around the middle and is not widened",
        "a penalty on large values",
        "a reward that does not depend on the value",
    )
    remedy = (
        increase("entropy_coef", 0.03),
        put("value_distribution", "bins", "draw from a grid: {}"),
        at_least("bins", 21),
        "check whether larger values are rewarded at all",
    )
    comparison, threshold = "<", "used_fraction"
    sentence = (
        "the values of the last {rows} iterations use {value:.0%} of their range and the score has "
        "not improved"
    )

    used_fraction: Annotated[float, Fraction] = 0.3
    """Fraction of the range below which an iteration is sick."""


@dataclass(frozen=True)
class NoProgressInEpisode(LateWarning):
    """The last steps of an episode are no better than its first.

    For environments in which an episode is a search (causal optimising compares the last three
    steps with the first three); only they report the metric. A policy that is optimal from its
    first step has no progress either, so the score must not have improved, and the finding is a
    note until ``warn_from`` of the budget is used.
    """

    symptom = "no_progress_in_episode"
    title = "Episodes end no better than they began"
    needs = ("episode_improvement", SCORE)
    causes = (
        "the observation does not contain the results of earlier steps",
        "a discount so low that exploring within an episode never pays",
        "the policy repeats one action",
    )
    remedy = (
        "put the results of earlier steps into the observation",
        at_least("gamma", 0.99, "raise {} (1 for short episodes)"),
        put("model", "set", "try {} where the observation consists of nodes"),
    )
    comparison, threshold = "<=", 0
    sentence = (
        "the end of an episode differs from its beginning by {value:.2g} over the last {rows} "
        "iterations and the score has not improved"
    )
