"""The scores at one rung of successive halving, and what their noise explains."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort

from tune_jobs.schedulers.verdict import Entry, Kind, Verdict

NOISE = 1.0
"""Standard errors of a difference up to which it ends no trial: noise may explain it."""
ROUNDING = 1e-3
"""Share of them that is no difference: two successes in thousands and none differ by just one."""


class Rung:
    """The scores seen at one rung, and the trials that wait there.

    Args:
        iteration: of the rung.
        mode: ``min`` or ``max``.
        bracket: number of its bracket; 0 where there is only one.
    """

    def __init__(self, iteration: int, mode: str, bracket: int = 0) -> None:
        self.iteration, self.bracket = iteration, bracket
        self._sign = -1.0 if mode == "max" else 1.0
        self.entries: dict[str, Entry] = {}
        """Entry of each trial that has reached the rung."""
        self.order: list[Entry] = []
        """Those with a finite score, the best first."""
        self.waiting: list[Entry] = []
        """Those that wait, the best first."""
        self.has_noise = False
        """Whether noise or a tie may explain that a trial is below the cut."""

    def enter(
        self, trial: str, iteration: int, score: float, error: float | None, stage: float
    ) -> None:
        """Add a trial; it waits, unless its score is not finite."""
        # The order of arrival makes the ranking strict where scores are equal. It decides which of
        # them is promoted first, and ends none: see `is_explained`.
        key = (-stage, self._sign * score, len(self.entries))
        entry = self.entries[trial] = Entry(key, trial, iteration, score, error, stage)
        # NaN compares false with every number, so inside a sorted list it would break the binary
        # search. A diverged trial counts among those seen and is never compared.
        if math.isfinite(score):
            index = bisect_left(self.order, entry)
            tied = index > 0 and self.order[index - 1].key[:2] == key[:2]
            self.has_noise = self.has_noise or tied or bool(error)
            self.order.insert(index, entry)
            self.wait(trial)

    def wait(self, trial: str) -> None:
        """Let a trial wait that has entered the rung."""
        insort(self.waiting, self.entries[trial])

    def remove_waiting(self, trial: str) -> None:
        """Remove a trial from those that wait; its score stays."""
        # Its score stays in `order`: later trials must beat those that have been promoted, too.
        del self.waiting[bisect_left(self.waiting, self.entries[trial])]

    def rank(self, trial: str) -> int:
        """Return a trial's rank among all seen here, from 1; a non-finite score comes last."""
        entry = self.entries[trial]
        if math.isfinite(entry.score):
            return 1 + bisect_left(self.order, entry)
        return len(self.entries)

    def find_cut(self, allowed: int) -> Entry:
        """Return the last of the best ``allowed`` trials."""
        return self.order[min(allowed, len(self.order)) - 1]

    def is_explained(self, trial: str, allowed: int) -> bool:
        """Return whether noise, or a tie, explains how far a trial is from the best ``allowed``."""
        entry, cut = self.entries[trial], self.find_cut(allowed)
        # Episodes that were all alike, as without one success in thousands, show no noise where
        # there is some: what is known of the other trial is the best guess.
        entry_error = cut.error if entry.error == 0 else entry.error
        cut_error = entry.error if cut.error == 0 else cut.error
        noise = math.hypot(entry_error or 0.0, cut_error or 0.0)
        difference = entry.key[1] - cut.key[1]
        return entry.stage == cut.stage and difference <= (NOISE + ROUNDING) * noise

    def list_outside(self, allowed: int) -> list[str]:
        """Return the waiting trials that are not among the best ``allowed``, the worst first."""
        first = bisect_right(self.waiting, self.find_cut(allowed))
        return [entry.trial for entry in reversed(self.waiting[first:])]

    def judge(self, kind: Kind, trial: str, allowed: int, expected: int = 0) -> Verdict:
        """Return a decision about a trial, with the figures behind it."""
        entry = self.entries[trial]
        is_compared = kind in ("promote", "stop") and math.isfinite(entry.score)
        cut = self.find_cut(allowed) if is_compared else None
        rank, of = self.rank(trial), len(self.entries)
        return Verdict(kind, self.bracket, self.iteration, rank, of, expected, allowed, entry, cut)
