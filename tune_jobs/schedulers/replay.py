"""Recorded trials run again under a way of stopping, on a simulated clock."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rungwise.run_log.events import ResultRow
from rungwise.run_log.score_noise import NoiseSource
from tune_jobs.schedulers.brackets import UNKNOWN_NOISE, make_brackets


class RecordedTrial(Protocol):
    """A trial with all its results; a :class:`TrialOutcome` is one."""

    @property
    def id(self) -> str:
        """Unique among the trials."""
        ...

    @property
    def results(self) -> Sequence[ResultRow]:
        """In their order."""
        ...


class StoppingWay(Protocol):
    """A way of stopping trials."""

    def goes_on(self, trial: RecordedTrial, index: int) -> bool:
        """Return whether a trial continues after its result ``index``; else its worker is free."""
        ...

    def called(self) -> str | None:
        """Return a paused trial that continues now; None if there is none."""
        ...


@dataclass(frozen=True)
class Replay:
    """The cost of a sweep under a way of stopping."""

    iterations: int
    """Results of all trials together."""
    wall_s: float
    reached: dict[str, int]
    """Results of each trial."""


def replay_trials(trials: Iterable[RecordedTrial], way: StoppingWay, workers: int) -> Replay:
    """Run recorded trials again in this order, each result at its own pace.

    Args:
        trials: asked for the next one when a worker is free, so that it may depend on results.
        way: what ends and pauses them.
        workers: trials that run at the same time.
    """
    waiting = iter(trials)
    started: dict[str, RecordedTrial] = {}
    running: list[tuple[float, str, int]] = []
    reached: dict[str, int] = {}
    wall = 0.0

    def begin(name: str) -> None:
        rows, index = started[name].results, reached[name]
        took = rows[index].seconds - (rows[index - 1].seconds if index else 0.0)
        heapq.heappush(running, (wall + took, name, index))

    while True:
        while len(running) < workers:
            if (name := way.called()) is not None:
                begin(name)
            elif (trial := next(waiting, None)) is not None:
                started[trial.id], reached[trial.id] = trial, 0
                begin(trial.id)
            else:
                break
        if not running:
            return Replay(sum(reached.values()), wall, reached)
        wall, name, index = heapq.heappop(running)
        reached[name] = index + 1
        if way.goes_on(started[name], index):
            begin(name)


class ReplayedHalving:
    """Successive halving, preceded by the health rules if their verdict is given.

    Args:
        trials: all that will be replayed, in their order.
        mode: whether a smaller or a larger score is better.
        iterations: the budget of a trial.
        grace: iterations before the first rung.
        factor: reduction factor.
        number: brackets.
        sick: index of the result after which the health rules would end a trial.
        noise: where the noise of scores is read from.
    """

    def __init__(
        self,
        trials: Sequence[RecordedTrial],
        mode: str,
        iterations: int,
        grace: int,
        factor: int,
        number: int = 1,
        sick: dict[str, int] | None = None,
        noise: NoiseSource = UNKNOWN_NOISE,
    ) -> None:
        levels = [grace * factor**k for k in range(20) if grace * factor**k < iterations]
        names = [trial.id for trial in trials]
        self.brackets = make_brackets(names, levels, mode, factor, number, noise=noise)
        self.sick = sick or {}

    def goes_on(self, trial: RecordedTrial, index: int) -> bool:
        """Return whether it runs on now."""
        row = trial.results[index]
        if index + 1 == len(trial.results) or self.sick.get(trial.id) == index:
            self.brackets.by_trial[trial.id].remove_trial(trial.id)
            return False
        verdict = self.brackets.report(trial.id, row.iteration, row.score, row.metrics)
        return verdict is None or verdict.kind == "promote"

    def called(self) -> str | None:
        """Return a trial that waited at a rung and is promoted."""
        for rungs in self.brackets:
            rungs.end_hopeless()
            if (name := rungs.find_promotable()) is not None:
                rungs.promote(name)
                return name
        return None
