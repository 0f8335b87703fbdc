# pyright: basic, reportArgumentType=false
"""Which trials wait at a rung, continue and end, beside a list of scores."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from naive_bracket import NaiveBracket, Seen

from tune_jobs.schedulers.successive_halving import Bracket

LEVELS = (1, 3, 9)
# Few different values, so that ties and differences of exactly the noise occur.
scores = st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-3, 3)
errors = st.none() | st.sampled_from([0.0, 0.5]) | st.floats(0, 2)
stages = st.sampled_from([0.0, 0.0, 0.0, 1.0])


def figures(verdict):
    """A decision as the naive bracket has it."""
    cut = verdict.cut and verdict.cut.trial
    return (verdict.kind, verdict.rung, verdict.rank, verdict.of, verdict.allowed, cut)


class HalvingMachine(RuleBasedStateMachine):
    """A sweep in which anything may happen next, and whose trials all end at last."""

    @initialize(
        count=st.integers(1, 9), mode=st.sampled_from(["min", "max"]),
        factor=st.integers(2, 4), pauses=st.sampled_from([True, True, False]), noisy=st.booleans(),
    )  # fmt: skip
    def start(self, count, mode, factor, pauses, noisy):
        self.names = [f"{i:02d}" for i in range(count)]
        self.bracket = Bracket(LEVELS, mode, factor, self.names, pauses=pauses)
        self.hopeless, self.noisy = [], noisy
        self.naive = NaiveBracket(LEVELS, mode, factor, self.names, pauses)

    def report(self, iteration, *seen):
        one = Seen(*seen)
        verdict = self.bracket.enter_rung(one.trial, iteration, *one[1:])
        assert (verdict and figures(verdict)) == self.naive.enter(iteration, one)
        if verdict:
            assert verdict.entry[1:] == (one.trial, iteration, *one[1:])

    @rule(data=st.data(), score=scores, error=errors, stage=stages)
    def enter_next_rung(self, data, score, error, stage):
        running = [t for t, index in self.naive.heading.items() if index < len(LEVELS)]
        if running:
            trial = data.draw(st.sampled_from(running))
            level = LEVELS[self.naive.heading[trial]]
            self.report(level, trial, score, error if self.noisy else None, stage)

    @rule(data=st.data(), iteration=st.integers(0, 12), score=st.none() | scores)
    def report_at_any_iteration(self, data, iteration, score):
        self.report(iteration, data.draw(st.sampled_from([*self.names, "unknown"])), score)

    @rule(data=st.data(), score=st.sampled_from([math.nan, math.inf, -math.inf]))
    def diverge(self, data, score):
        self.report(9, data.draw(st.sampled_from(self.names)), score)

    @rule(data=st.data())
    def leave(self, data):
        trial = data.draw(st.sampled_from([*self.names, "unknown"]))
        self.bracket.remove_trial(trial)
        self.naive.leave(trial)

    @precondition(lambda self: self.naive.find_promotable())
    @rule()
    def promote(self):
        trial = self.naive.find_promotable()
        assert figures(self.bracket.promote(trial)) == self.naive.promote(trial)

    @rule()
    def end_hopeless(self):
        ends = [(end.entry.trial, figures(end)) for end in self.bracket.end_hopeless()]
        assert ends == self.naive.end_hopeless()
        self.hopeless += [(LEVELS.index(decision[1]), trial) for trial, decision in ends]

    @invariant()
    def agrees(self):
        assert self.bracket.next_rung_index == self.naive.heading
        assert self.bracket.waiting_rung_index == self.naive.waiting
        assert self.bracket.find_promotable() == self.naive.find_promotable()
        assert self.bracket._count_expected() == [self.naive.expected(i) for i in range(3)]

    def teardown(self):
        """Report for every trial until all have ended, and count who had ended wrongly."""
        for _ in range(9 * 2 * (len(LEVELS) + 1)):
            if self.naive.find_promotable():
                self.promote()
                continue
            for trial, index in [*self.naive.heading.items()][:1]:
                if index < len(LEVELS):
                    self.report(LEVELS[index], trial, float(trial))
                else:
                    self.bracket.remove_trial(trial)
                    self.naive.leave(trial)
            self.end_hopeless()
            self.agrees()
        assert not self.bracket.next_rung_index and not self.bracket.waiting_rung_index
        for rung, trial in self.hopeless:
            promoted = max(1, len(self.naive.seen[rung]) // self.naive.factor)
            assert self.naive.rank(rung, trial) > promoted, "one of the best was ended"


TestHalving = HalvingMachine.TestCase
TestHalving.settings = settings(max_examples=100, stateful_step_count=30, derandomize=True)
