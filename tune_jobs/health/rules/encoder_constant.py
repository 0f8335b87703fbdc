"""Rule ``encoder_constant``: an encoder gives the same features for every observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from envs.validation import AtLeastOne
from tune_jobs.health.finding import Finding
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.remedy import Remedy, lower, put
from tune_jobs.health.rule import Rule


@dataclass(frozen=True)
class EncoderConstant(Rule):
    """All features of a part of the observation are equal, though the part itself changes.

    The policy cannot see this part. Some constant features (rectifiers that are off, categories
    that do not occur) are normal: up to 51 % of a part's in healthy runs on MiniGrid, 17 % of
    one-hot numbers, 5 % in Catch (images), 0 % in CartPole. So it must be all of them, which only
    dead layers showed. A part may be of no use to the task, so a stop is asked for only where the
    features of all parts are constant: the policy then acts without seeing anything.

    Warm-up: ``rows`` rows. NaN policy: rows without the metric are left out.
    """

    symptom: ClassVar[str] = "encoder_constant"
    needs: ClassVar[tuple[str, ...]] = ("encoder_constant_fraction", SCORE)
    stagnant_only: ClassVar[bool] = True
    causes: ClassVar[tuple[str, ...]] = (
        "updates too large for the network: all of its rectifiers are off",
        "pixels so large or so small that the first layer saturates or rounds them away",
        "an observation whose changes are lost in its size, such as 1 in 1e8",
    )
    remedy: ClassVar[Remedy] = (
        lower("lr", 1e-4, "lower {} and train anew: such an encoder does not recover"),
        put("grad_clip", 0.5, "clip with {}"),
        "give images as bytes (uint8), which are divided by 255, or as floats between 0 and 1",
        "subtract the usual value from numbers that vary little compared with their size",
    )

    rows: Annotated[int, AtLeastOne] = 9
    """Number of last iterations, all of which must be sick: three measurements, one in four."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when all features of a part were constant in all recent rows."""
        constant = history.recent("encoder_constant_fraction", self.rows)
        if constant.size < self.rows or constant.min() < 1:
            return None
        of_all = history.recent("feature_constant_fraction", self.rows)
        blind = of_all.size == self.rows and of_all.min() >= 1
        which = "the encoder" if blind else "an encoder of a part of the observation"
        return self.report(
            "stop" if blind else "warn",
            history.find_onset(history.series("encoder_constant_fraction") >= 1, self.rows),
            f"all features of {which} were the same for every row in the last {self.rows} "
            "iterations, though the observation changes, and the score has not improved",
        )
