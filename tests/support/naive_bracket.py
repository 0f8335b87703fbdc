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
        finite = [entry for entry in self.seen[rung] if math.isfinite(entry.score)]
        return sorted(finite, key=lambda entry: (-entry.stage, self.sign * entry.score))

    def rank(self, rung, trial):
        names = [entry.trial for entry in self.ranked(rung)]
        return names.index(trial) + 1 if trial in names else len(self.seen[rung])

    def decide(self, kind, rung, trial, allowed, *, compared=True):
        cut = self.ranked(rung)[:allowed][-1].trial if compared else None
        rank, of = self.rank(rung, trial), len(self.seen[rung])
        return (kind, self.levels[rung], rank, of, allowed, cut)

    def enter(self, iteration, entry):
        reached = [i for i, level in enumerate(self.levels) if level <= iteration]
        if entry.trial not in self.heading or self.heading[entry.trial] not in reached:
            return None
        rung = reached[-1]
        if entry.score is None:
            self.heading[entry.trial] = rung
            return None
        del self.heading[entry.trial]
        self.seen[rung].append(entry)
        if not math.isfinite(entry.score):
            return self.decide("stop", rung, entry.trial, 0, compared=False)
        if self.pauses:
            self.waiting[entry.trial] = rung
            return self.decide("pause", rung, entry.trial, self.allowed(rung), compared=False)
        allowed = math.ceil(len(self.seen[rung]) / self.factor)
        if self.rank(rung, entry.trial) > allowed and not self.is_noise(rung, entry.trial, allowed):
            return self.decide("stop", rung, entry.trial, allowed)
        self.heading[entry.trial] = rung + 1
        return self.decide("promote", rung, entry.trial, allowed)

    def expected(self, rung):
        """How many more can reach a rung: those on their way, and those that wait below."""
        coming = sum(index == rung for index in self.heading.values())
        return coming + (self.can_pass(rung - 1) if rung else 0)

    def can_pass(self, rung):
        waiting, coming = self.list_waiting(rung), self.expected(rung)
        scores = [(entry.stage, entry.score) for entry in self.ranked(rung)]
        noisy = len(set(scores)) < len(scores) or any(entry.error for entry in self.ranked(rung))
        most = max(1, (len(self.seen[rung]) + coming) // self.factor)
        return coming + len(waiting) if noisy else min(most, coming + len(waiting))

    def allowed(self, rung):
        share = len(self.seen[rung]) // self.factor
        return share if self.expected(rung) else max(1, share)

    def list_waiting(self, rung):
        """Those that wait at a rung, the best first."""
        return [entry for entry in self.ranked(rung) if self.waiting.get(entry.trial) == rung]

    def is_noise(self, rung, trial, allowed):
        (entry,) = [entry for entry in self.seen[rung] if entry.trial == trial]
        cut = self.ranked(rung)[:allowed][-1]
        errors = [entry.error, cut.error]
        if 0 in errors:  # the other error is the best guess
            errors = [max(error or 0 for error in errors)] * 2
        noise = math.hypot(*(error or 0 for error in errors))
        return entry.stage == cut.stage and self.sign * (entry.score - cut.score) <= 1.001 * noise

    def find_promotable(self):
        for rung in reversed(range(len(self.levels))):
            for entry in self.list_waiting(rung):
                allowed = self.allowed(rung)
                within = self.rank(rung, entry.trial) <= allowed
                if within or (
                    not self.expected(rung) and self.is_noise(rung, entry.trial, allowed)
                ):
                    return entry.trial
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
            for entry in reversed(self.list_waiting(rung)):
                below = self.rank(rung, entry.trial) > allowed
                if below and not self.is_noise(rung, entry.trial, allowed):
                    del self.waiting[entry.trial]
                    ends.append((entry.trial, self.decide("stop", rung, entry.trial, allowed)))
        return ends
