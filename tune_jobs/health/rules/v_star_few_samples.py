"""Rule ``v_star_few_samples``: V* rests on too few samples or on too few starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding, Severity
from tune_jobs.health.history import History
from tune_jobs.health.remedy import Remedy, at_least
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class VStarFewSamples(Rule):
    """Few samples per start make V* noise, and few starts are learnt by heart.

    From fewer than four samples V* is mostly luck: the paper takes eight, and four were enough with
    thousands of starts, over which the noise averages out. With 200 starts of a shop the training
    score rose to 91 of 100 and that on new products to 67; with 10,000 starts the latter was 74. A
    task may be so small that a few dozen starts are all there are, so such a number is only noted.

    Warm-up: none, as both are known before training. NaN policy: not applicable.
    """

    symptom: ClassVar[str] = "v_star_few_samples"
    needs: ClassVar[tuple[str, ...]] = ("v_star_starts",)
    highest: ClassVar[Severity] = "warn"
    causes: ClassVar[tuple[str, ...]] = (
        "`reference_samples` or `starts` set low to shorten stage 1",
    )
    remedy: ClassVar[Remedy] = (
        at_least("reference_samples", 8),
        at_least("num_envs", 32, "for that raise {}"),
        at_least("starts", 256),
    )

    fewest_samples: Annotated[int, AtLeastOne] = 4
    """Samples per start below which it warns."""
    fewest_starts: Annotated[int, AtLeastOne] = 32
    """Starts below which it warns."""
    learnt_by_heart: Annotated[int, AtLeastOne] = 256
    """Starts below which it notes that they may be learnt by heart (the post-mortem had 100)."""

    def judge(self, history: History) -> Finding | None:
        """Return a warning when there are fewer samples or starts than V* needs."""
        # Settings: NaN, and so without a finding, in logs of other tools that do not hold them.
        samples, starts = history.latest("reference_samples"), history.latest("starts")
        few: list[str] = []
        if samples < self.fewest_samples:
            few.append(f"{samples:.0f} of {self.fewest_samples} samples per start that V* needs")
        if starts < self.fewest_starts:
            few.append(f"{starts:.0f} of {self.fewest_starts} starts that a policy needs")
        if few:
            return self.report("warn", history.iteration(0), f"stage 1 has {' and '.join(few)}")
        if starts < self.learnt_by_heart:
            evidence = (
                f"stage 1 has {starts:.0f} starts: fewer than {self.learnt_by_heart} may be learnt "
                "by heart, which a score on held-out ones shows (`held_out_interval`)"
            )
            return self.report("note", history.iteration(0), evidence)
        return None
