"""The scores at one rung of successive halving, and what their noise explains."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import NamedTuple

NOISE = 1.0
"""Standard errors of a difference up to which it ends no trial: noise may explain it."""
ROUNDING = 1e-3
"""Share of them that is no difference: two successes in thousands and none differ by just one."""


class Key(NamedTuple):
    """Rank of a trial: the lower, the better."""

    stage: float
    """Minus the stage of a curriculum: scores of two stages do not compare."""
    score: float
    """With the sign that makes low good."""
    arrival: int
    """Its number among those seen here."""


class Rung:
    """The scores seen at one rung, and the trials that wait there.

    Args:
        iteration: of the rung.
        mode: ``min`` or ``max``.
    """

    def __init__(self, iteration: int, mode: str) -> None:
        self.iteration, self.mode = iteration, mode
        self._sign = -1.0 if mode == "max" else 1.0
        self.keys: dict[str, Key] = {}
        """By trial, of all that have reached the rung."""
        self.order: list[Key] = []
        """The keys of the finite scores, the best first."""
        self.waiting: list[tuple[Key, str]] = []
        """The trials that wait, the best first."""
        self.errors: list[float | None] = []
        """The standard errors of the scores, in order of arrival; None where not known."""
        self.has_noise = False
        """Whether noise or a tie may explain that a trial is below the cut."""

    def enter(
        self, trial: str, score: float, error: float | None = None, stage: float = 0.0
    ) -> None:
        """Add a trial; it waits, unless its score is not finite."""
        # The order of arrival makes the ranking strict where scores are equal. It decides which of
        # them is promoted first, and ends none: see `is_explained`.
        key = self.keys[trial] = Key(-stage, self._sign * score, len(self.keys))
        self.errors.append(error)
        # NaN compares false with every number, so inside a sorted list it would break the binary
        # search. A diverged trial counts among those seen and is never compared.
        if math.isfinite(score):
            index = bisect_left(self.order, key)
            tied = index > 0 and self.order[index - 1][:2] == key[:2]
            self.has_noise = self.has_noise or tied or bool(error)
            self.order.insert(index, key)
            insort(self.waiting, (key, trial))

    def wait_again(self, trial: str) -> None:
        """Let a trial wait that had left the rung."""
        insort(self.waiting, (self.keys[trial], trial))

    def remove_waiting(self, trial: str) -> None:
        """Remove a trial from those that wait; its score stays."""
        # Its score stays in `order`: later trials must beat those that have been promoted, too.
        del self.waiting[bisect_left(self.waiting, (self.keys[trial], trial))]

    def rank(self, trial: str) -> int:
        """Return a trial's rank among all seen here, from 1; a non-finite score comes last."""
        key = self.keys[trial]
        return 1 + bisect_left(self.order, key) if math.isfinite(key.score) else len(self.keys)

    def score(self, trial: str) -> float:
        """Return the score with which a trial reached the rung."""
        return self._sign * self.keys[trial].score

    def error(self, trial: str) -> float | None:
        """Return the standard error of that score; None where it is not known."""
        return self.errors[self.keys[trial].arrival]

    def cut(self, allowed: int) -> float:
        """Return the score of the last of the best ``allowed`` trials."""
        return self._sign * self._find_cut(allowed).score

    def _find_cut(self, allowed: int) -> Key:
        return self.order[min(allowed, len(self.order)) - 1]

    def is_explained(self, trial: str, allowed: int) -> bool:
        """Return whether noise, or a tie, explains how far a trial is from the best ``allowed``."""
        key, cut = self.keys[trial], self._find_cut(allowed)
        ours, theirs = self.errors[key.arrival], self.errors[cut.arrival]
        # Episodes that were all alike, as without one success in thousands, show no noise where
        # there is some: what is known of the other trial is the best guess.
        ours, theirs = (theirs if ours == 0 else ours), (ours if theirs == 0 else theirs)
        noise = math.hypot(ours or 0.0, theirs or 0.0)
        return key.stage == cut.stage and key.score - cut.score <= (NOISE + ROUNDING) * noise

    def list_outside(self, allowed: int) -> list[str]:
        """Return the waiting trials that are not among the best ``allowed``, the worst first."""
        first = bisect_left(self.waiting, self._find_cut(allowed), key=lambda pair: pair[0])
        if first < len(self.waiting) and self.waiting[first][0] == self._find_cut(allowed):
            first += 1
        return [trial for _, trial in reversed(self.waiting[first:])]

    def describe(self, trial: str, allowed: int, of: int) -> str:
        """Compare a trial's score, a mean of its later ones, with the cut for the best."""
        score, cut = self.score(trial), self.cut(allowed)
        stage, cut_stage = -self.keys[trial].stage, -self._find_cut(allowed).stage
        if stage != cut_stage:
            of_stages = f"stage {stage:g} is below stage {cut_stage:g}"
            return f"{of_stages}, the cut for {describe_best(allowed)} of {of}"
        if score == cut:
            return f"mean {score:.4g} equals the cut for {describe_best(allowed)} of {of}"
        side = "below" if self.mode == "max" else "above"
        return f"mean {score:.4g} is {side} {cut:.4g}, the cut for {describe_best(allowed)} of {of}"

    def describe_noise(self, trial: str, allowed: int) -> str:
        """Compare the difference to the cut with the noise; empty where none is known."""
        key, cut = self.keys[trial], self._find_cut(allowed)
        errors = self.errors[key.arrival], self.errors[cut.arrival]
        if not any(errors) or key.stage != cut.stage or key.score == cut.score:
            return ""
        word = "no more" if self.is_explained(trial, allowed) else "more"
        known = " and ".join("unknown" if error is None else f"{error:.2g}" for error in errors)
        limit = f"{NOISE:g} standard error of the difference"
        return f", by {word} than {limit} (standard errors {known})"


def describe_best(number: int) -> str:
    """Return ``the best`` or ``the best 3``."""
    return "the best" if number == 1 else f"the best {number}"
