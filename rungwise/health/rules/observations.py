"""Rules for observations, and for what the network keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from rungwise.health.finding import Severity
from rungwise.health.history import SCORE, History
from rungwise.health.remedy import SCALED_OBSERVATIONS, limit, lower, put, use
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
class DeadUnits(ThresholdRule):
    """Most hidden units are saturated for every row, and the score has not improved.

    A ``relu`` unit that is off for half of the rows is normal; a dead unit has the same saturated
    output for all. RLExplorer and SageMaker's debugger raise an alarm above half of a network. A
    network that has learnt may need few units, hence the condition on the score.
    """

    symptom = "dead_units"
    title = "Hidden units give the same output for every observation"
    needs = ("dead_unit_fraction", SCORE)
    stagnant_only = True
    causes = (
        "updates too large for the network, above all with relu",
        "observations so large that tanh saturates",
        "an observation that does not change",
    )
    remedy = (
        SCALED_OBSERVATIONS,
        lower("lr", 1e-4, "then lower {}"),
        limit("grad_clip", 0.5, "clip with {}"),
        put("activation", "tanh", "use {}"),
    )
    # Up to a half is normal with relu, and a small task needs few units of a large network.
    threshold, grades = "warn", ("warn", "stop")
    sentence = (
        "{value:.0%} of the hidden units had the same output for all rows of the last {rows} "
        "iterations and the score has not improved"
    )

    warn: Annotated[float, Fraction] = 0.5
    """Fraction of dead units above which the finding is a warning."""
    stop: Annotated[float, Fraction] = 0.99
    """Fraction above which it asks for a stop: the output no longer depends on the observation."""


@dataclass(frozen=True)
class EncoderConstant(ThresholdRule):
    """All features of a part of the observation are equal, though the part itself changes.

    The policy cannot see this part. Some constant features (rectifiers that are off, categories
    that do not occur) are normal: up to 51 % of a part's in healthy runs on MiniGrid, 17 % of
    one-hot numbers, 5 % in Catch (images), 0 % in CartPole. So it must be all of them, which only
    dead layers showed. A part may be of no use to the task, so a stop is asked for only where the
    features of all parts are constant: the policy then acts without seeing anything.
    """

    symptom = "encoder_constant"
    title = "An encoder gives the same features for every observation"
    needs = ("encoder_constant_fraction", SCORE)
    stagnant_only = True
    causes = (
        "updates too large for the network: all of its rectifiers are off",
        "pixels so large or so small that the first layer saturates or rounds them away",
        "an observation whose changes are lost in its size, such as 1 in 1e8",
    )
    remedy = (
        lower("lr", 1e-4, "lower {} and train anew: such an encoder does not recover"),
        limit("grad_clip", 0.5, "clip with {}"),
        "give images as bytes (uint8), which are divided by 255, or as floats between 0 and 1",
        "subtract the usual value from numbers that vary little compared with their size",
    )
    statistic, is_complete = "every", True
    comparison, threshold = ">=", 1
    sentence = (
        "all features of {which} were the same for every row in the last {rows} iterations, though "
        "the observation changes, and the score has not improved"
    )

    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def choose_severity(self, history: History, value: float) -> Severity:
        """Return a stop where the policy sees nothing at all."""
        return "stop" if self._is_blind(history) else "warn"

    def describe(self, history: History) -> Mapping[str, object]:
        """Return how much of the observation it is."""
        part = "an encoder of a part of the observation"
        return {"which": "the encoder" if self._is_blind(history) else part}

    def _is_blind(self, history: History) -> bool:
        of_all = history.recent("feature_constant_fraction", self.rows)
        return of_all.size == self.rows and bool(of_all.min() >= 1)


@dataclass(frozen=True)
class MemoryUnused(ThresholdRule):
    """The policy's outputs do not depend on the recurrent state.

    The effect of the state is compared with that of the present observation, because the outputs of
    a policy that has learnt nothing hardly depend on either. In 18 healthy trainings (GRU and LSTM)
    the share of memory was .07 at the start to .98 where the task needs memory, and at least .18 in
    CartPole, Catch and MiniGrid, which need none. The lowest was .016, when all that paid was the
    present observation and the task had been solved for long. Lost states and closed gates give 0.

    So a share near zero is a fault of the memory itself, and a large one does not mean that the
    task needs memory. It is a warning while the score does not improve. Once it has improved, all
    that can be said is that memory costs time: a note.
    """

    symptom = "memory_unused"
    title = "The policy acts the same whatever it remembers"
    needs = ("memory_effect_fraction", SCORE)
    highest = "warn"
    causes = (
        "episodes of a single step, in which there is nothing to remember",
        "gates of the recurrent layer that updates which were too large have closed",
        "a runner or policy of your own that does not carry the state from step to step",
    )
    remedy = (
        "`rungwise check ENV` shows whether rewards depend on what was seen earlier",
        lower("lr", 1e-4, "if they do, lower {}"),
        put("memory", "none", "if they do not, set {}, which is faster"),
    )
    statistic, is_complete = "every", True
    comparison, threshold = "<", "limit"
    by_improvement = ByImprovement("note", None, "warn")
    sentence = (
        "at most {value:.1%} of what the policy's outputs depend on was memory in the last {rows} "
        "iterations, and the score has {improved}"
    )

    limit: Annotated[float, Fraction] = 0.005
    """Share of memory in what the outputs depend on, below which it counts as unused."""
    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def describe(self, history: History) -> Mapping[str, object]:
        """Return what the score has done."""
        without = "improved without it: memory costs time"
        return {"improved": without if history.progress.improved else "not improved"}
