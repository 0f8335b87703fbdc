"""Rule ``normaliser_without_spread``: normalisation knows no spread of what is observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class NormaliserWithoutSpread(Rule):
    """In the statistics that the policy acts by, no normalised number deviates from its mean.

    Then normalisation hides what is observed, or does nothing because the statistics never arrived.
    Single numbers that never change (padding, one goal for all episodes) are normal: it must be all
    of them. If the whole observation never changes, ``observation_constant`` reports that instead.
    The fault may lie in a part of the observation that the task does not need, so nothing is
    stopped for it.

    Warm-up: ``rows`` rows; the first is collected before there are statistics. NaN policy: rows
    without the metric are left out.
    """

    symptom: ClassVar[str] = "normaliser_without_spread"
    needs: ClassVar[tuple[str, ...]] = ("normaliser_constant_fraction", SCORE)
    highest: ClassVar[Severity] = "warn"
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "the normalised part of the observation never changes, while another part does",
        "observations that differ by less than 1e-6, such as tiny quantities in large units",
        "a runner or policy of your own that does not take over the learner's statistics",
    )
    remedy: ClassVar[Remedy] = (
        "print the observations of one episode: multiply numbers that hardly differ by a constant",
        "check that a runner of your own loads all weights that the learner sends, buffers too",
        put("normalise_observations", False, "if the numbers are constant on purpose set {}"),
    )

    rows: Annotated[int, AtLeastOne] = 5
    """Number of last iterations, all of which must be sick."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when none of the normalised numbers had a spread recently."""
        constant = history.recent("normaliser_constant_fraction", self.rows)
        if constant.size < self.rows or constant.min() < 1:
            return None
        observed = history.recent("observation_constant_fraction", self.rows)
        if observed.size and observed.min() >= 1:
            return None
        return self.report(
            "warn",
            history.find_onset(history.series("normaliser_constant_fraction") >= 1, self.rows),
            "the statistics of the policy know no spread of any normalised number in the last "
            f"{self.rows} iterations and the score has not improved",
        )
