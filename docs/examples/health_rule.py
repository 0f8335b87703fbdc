"""A health rule of your own: a pure function from the metrics of a run to a finding or None.

To apply it to every run, put the file into ``rungwise/health/rules/`` and add the rule to
``RULES`` there; ``python health_rule.py`` judges two invented runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.diagnosis import diagnose
from rungwise.health.finding import Finding
from rungwise.health.history import SCORE, History
from rungwise.health.remedy import lower
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Positive


@dataclass(frozen=True)
class UnstableScore(Rule):
    """The score changes from iteration to iteration by more than it has gained."""

    symptom = "unstable_score"
    title = "The score jumps more than it gains"
    needs = (SCORE,)
    highest = "warn"
    causes = ("a learning rate that is too high",)
    remedy = (lower("lr", 1e-4),)

    ratio: Annotated[float, Positive] = 1.0
    """Mean change between iterations, over the gain since the start, that is unstable."""
    rows: Annotated[int, AtLeastOne] = 20
    """Rows before the rule judges."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when the score is unstable."""
        scores = history.recent(history.score, self.rows)
        change = float(np.abs(np.diff(scores)).mean())
        gain = abs(float(scores[-5:].mean() - scores[:5].mean()))
        if change <= self.ratio * gain:
            return None
        evidence = f"the score changes by {change:.3g} per iteration but has gained only {gain:.3g}"
        return self.report("warn", history.iteration(-len(scores)), evidence)


def main() -> None:
    rng = np.random.default_rng(0)
    runs = {
        "steady": np.linspace(0, 100, 40) + rng.normal(0, 2, 40),
        "unstable": 50 + rng.normal(0, 20, 40),
    }
    rules = {"unstable_score": UnstableScore()}
    for name, scores in runs.items():
        rows = [{"iteration": i, "score": score} for i, score in enumerate(scores, start=1)]
        diagnosis = diagnose(History(rows, budget=100, settings={"lr": 1e-3}), rules=rules)
        print(f"{name}: {len(diagnosis.findings)} findings")
        for finding in diagnosis.findings:
            print(f"  {finding.severity} {finding.symptom}: {finding.evidence}. {finding.remedy}")


if __name__ == "__main__":
    main()
