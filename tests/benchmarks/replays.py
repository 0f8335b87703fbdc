# pyright: basic
"""Recorded trials run again under a way of stopping, on a simulated clock."""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from tune_jobs.health.score_noise import NoiseSource
from tune_jobs.schedulers.successive_halving import UNKNOWN_NOISE, make_brackets


class Recorded(Protocol):
    """A trial with all its results; a :class:`TrialOutcome` is one."""

    @property
    def id(self) -> str: ...
    @property
    def results(self) -> Sequence[Any]:
        """With ``iteration``, ``score``, ``seconds`` and ``metrics`` each."""
        ...


class Way(Protocol):
    """A way of stopping."""

    def goes_on(self, trial: Recorded, place: int) -> bool:
        """Return whether a trial continues after its result at ``place``; else a worker is free."""
        ...

    def called(self) -> str | None:
        """Return a paused trial that continues now; None if there is none."""
        ...


@dataclass
class Replay:
    """The cost of a sweep under a way of stopping."""

    iterations: int
    wall_s: float
    reached: dict[str, int]
    """Iterations of each trial."""


def replay(trials: Iterable[Recorded], way: Way, workers: int) -> Replay:
    """Run recorded trials again in this order, each result at its own pace.

    ``trials`` is asked for the next one when a worker is free, so that it may depend on results.
    """
    waiting = iter(trials)
    known: dict[str, Recorded] = {}
    running: list[tuple[float, str, int]] = []
    reached: dict[str, int] = {}
    wall = 0.0

    def begin(name: str) -> None:
        rows, place = known[name].results, reached[name]
        took = rows[place].seconds - (rows[place - 1].seconds if place else 0.0)
        heapq.heappush(running, (wall + took, name, place))

    while True:
        while len(running) < workers:
            if (name := way.called()) is not None:
                begin(name)
            elif (trial := next(waiting, None)) is not None:
                known[trial.id], reached[trial.id] = trial, 0
                begin(trial.id)
            else:
                break
        if not running:
            return Replay(sum(reached.values()), wall, reached)
        wall, name, place = heapq.heappop(running)
        reached[name] = place + 1
        if way.goes_on(known[name], place):
            begin(name)


class Nothing:
    """Every trial to its end."""

    def goes_on(self, trial: Recorded, place: int) -> bool:
        return place + 1 < len(trial.results)

    def called(self) -> None:
        return None


class Stock(Nothing):
    """Ray's own ASHA."""

    def __init__(self, mode: str, iterations: int, grace: int, factor: int) -> None:
        self.scheduler = AsyncHyperBandScheduler(
            time_attr="iteration",
            metric="score",
            mode=mode,
            max_t=iterations,
            grace_period=grace,
            reduction_factor=factor,
        )
        self.known: dict[str, SimpleNamespace] = {}

    def goes_on(self, trial: Recorded, place: int) -> bool:
        if trial.id not in self.known:
            self.known[trial.id] = SimpleNamespace(trial_id=trial.id)
            self.scheduler.on_trial_add(None, self.known[trial.id])  # type: ignore[arg-type]
        row = trial.results[place]
        score = math.nan if row.score is None else row.score
        result = {"iteration": row.iteration, "score": score}
        said = self.scheduler.on_trial_result(None, self.known[trial.id], result)  # type: ignore[arg-type]
        return super().goes_on(trial, place) and said == TrialScheduler.CONTINUE


class Ours:
    """Successive halving, preceded by the health rules if their verdict is given.

    ``sick`` has the place of the result after which the rules would end a trial.
    """

    def __init__(
        self,
        trials: list[Recorded],
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
        self.of = {name: rungs for rungs in self.brackets for name in rungs.next_rung_index}
        self.sick = sick or {}

    def goes_on(self, trial: Recorded, place: int) -> bool:
        rungs, row = self.of[trial.id], trial.results[place]
        if place + 1 == len(trial.results) or self.sick.get(trial.id) == place:
            rungs.remove_trial(trial.id)
            return False
        decision = rungs.report_score(trial.id, row.iteration, row.score, row.metrics)
        if decision is not None and rungs.find_promotable() == trial.id:
            decision = rungs.promote(trial.id)
        return decision is None or (decision.keep and not decision.waits)

    def called(self) -> str | None:
        for rungs in self.brackets:
            rungs.end_hopeless()
            if (name := rungs.find_promotable()) is not None:
                rungs.promote(name)
                return name
        return None
