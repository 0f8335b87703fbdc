# pyright: basic
"""A bracket of successive halving as lists of scores, from which everything is counted anew."""

import math
from typing import NamedTuple


class Seen(NamedTuple):
    trial: str
    score: float
    error: float | None = None
    stage: float = 0.0


class NaiveBracket:
    """Decisions are tuples of kind, rung, rank, number seen, number promoted and last of those."""

    def __init__(self, levels, mode, factor, trials, pauses=True):
        self.levels, self.factor, self.pauses = levels, factor, pauses
        self.sign = -1 if mode == "max" else 1
        self.seen = [[] for _ in levels]
        self.heading, self.waiting = dict.fromkeys(trials, 0), {}

    def leave(self, trial):
        self.heading.pop(trial, None)
        self.waiting.pop(trial, None)

    def ranked(self, rung):
        finite = [one for one in self.seen[rung] if math.isfinite(one.score)]
        return sorted(finite, key=lambda one: (-one.stage, self.sign * one.score))

    def rank(self, rung, trial):
        names = [one.trial for one in self.ranked(rung)]
        return names.index(trial) + 1 if trial in names else len(self.seen[rung])

    def decide(self, kind, rung, trial, allowed, *, compared=True):
        cut = self.ranked(rung)[:allowed][-1].trial if compared else None
        rank, of = self.rank(rung, trial), len(self.seen[rung])
        return (kind, self.levels[rung], rank, of, allowed, cut)

    def enter(self, iteration, one):
        reached = [i for i, level in enumerate(self.levels) if level <= iteration]
        if one.trial not in self.heading or self.heading[one.trial] not in reached:
            return None
        rung = reached[-1]
        if one.score is None:
            self.heading[one.trial] = rung
            return None
        del self.heading[one.trial]
        self.seen[rung].append(one)
        if not math.isfinite(one.score):
            return self.decide("stop", rung, one.trial, 0, compared=False)
        if self.pauses:
            self.waiting[one.trial] = rung
            return self.decide("pause", rung, one.trial, self.allowed(rung), compared=False)
        allowed = math.ceil(len(self.seen[rung]) / self.factor)
        if self.rank(rung, one.trial) > allowed and not self.is_noise(rung, one.trial, allowed):
            return self.decide("stop", rung, one.trial, allowed)
        self.heading[one.trial] = rung + 1
        return self.decide("promote", rung, one.trial, allowed)

    def expected(self, rung):
        """How many more can reach a rung: those on their way, and those that wait below."""
        coming = sum(index == rung for index in self.heading.values())
        return coming + (self.can_pass(rung - 1) if rung else 0)

    def can_pass(self, rung):
        waiting, coming = self.list_waiting(rung), self.expected(rung)
        scores = [(one.stage, one.score) for one in self.ranked(rung)]
        noisy = len(set(scores)) < len(scores) or any(one.error for one in self.ranked(rung))
        most = max(1, (len(self.seen[rung]) + coming) // self.factor)
        return coming + len(waiting) if noisy else min(most, coming + len(waiting))

    def allowed(self, rung):
        share = len(self.seen[rung]) // self.factor
        return share if self.expected(rung) else max(1, share)

    def list_waiting(self, rung):
        """Those that wait at a rung, the best first."""
        return [one for one in self.ranked(rung) if self.waiting.get(one.trial) == rung]

    def is_noise(self, rung, trial, allowed):
        (one,) = [one for one in self.seen[rung] if one.trial == trial]
        cut = self.ranked(rung)[:allowed][-1]
        errors = [one.error, cut.error]
        if 0 in errors:  # what is known of the other one
            errors = [max(error or 0 for error in errors)] * 2
        noise = math.hypot(*(error or 0 for error in errors))
        return one.stage == cut.stage and self.sign * (one.score - cut.score) <= 1.001 * noise

    def find_promotable(self):
        for rung in reversed(range(len(self.levels))):
            for one in self.list_waiting(rung):
                allowed = self.allowed(rung)
                within = self.rank(rung, one.trial) <= allowed
                if within or (not self.expected(rung) and self.is_noise(rung, one.trial, allowed)):
                    return one.trial
        return None

    def promote(self, trial):
        rung = self.waiting.pop(trial)
        allowed = self.allowed(rung)
        self.heading[trial] = rung + 1
        return self.decide("promote", rung, trial, allowed)

    def end_hopeless(self):
        ends = []
        for rung in range(len(self.levels)):
            allowed = max(1, (len(self.seen[rung]) + self.expected(rung)) // self.factor)
            for one in reversed(self.list_waiting(rung)):
                below = self.rank(rung, one.trial) > allowed
                if below and not self.is_noise(rung, one.trial, allowed):
                    del self.waiting[one.trial]
                    ends.append((one.trial, self.decide("stop", rung, one.trial, allowed)))
        return ends
