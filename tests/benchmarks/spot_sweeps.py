# pyright: basic, reportArgumentType=false
"""A sweep on nodes that come and go as recorded spot instances did, on a simulated clock.

The scheduler is a real one, called as Tune's controller calls it; see ``benchmarks.spot``.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

ITERATIONS, ITERATION_S = 100, 20.0
START_S = 30.0
"""Starting a trial on a node, with its process, its imports and its checkpoint."""
MOST_DAYS = 3650
"""Simulated days after which a sweep counts as one that never ends."""


@dataclass(frozen=True)
class Trace:
    """A recorded number of spot instances."""

    counts: np.ndarray
    """``[ticks]``: instances that are up."""
    gap_s: float
    """Seconds of a tick."""

    @property
    def hazard(self) -> float:
        """Interruptions in an hour of an instance that is up."""
        interruptions = np.maximum(-np.diff(self.counts), 0).sum()
        return float(interruptions * 3600 / (self.counts.sum() * self.gap_s))

    def follow(self, rng: np.random.Generator) -> Iterator[tuple[float, bool]]:
        """Yield when one of the instances comes or goes, and whether it is up; first at 0."""
        up = self.counts > rng.integers(self.counts.max())
        up = np.roll(up, -int(rng.integers(len(up))))
        yield 0.0, bool(up[0])
        changes = np.flatnonzero(up != np.roll(up, 1))
        for lap in itertools.count() if changes.size else ():
            for tick in changes[changes > 0] if lap == 0 else changes:
                # Seen at a tick, it has happened since the one before.
                yield (lap * len(up) + int(tick) - rng.random()) * self.gap_s, bool(up[tick])


ON_DEMAND = Trace(np.ones(1, int), 3600.0)


@dataclass(eq=False)
class SpotTrial:
    """What schedulers ask of a trial of Tune, and its recorded scores."""

    trial_id: str
    scores: Sequence[float]
    """One for each iteration."""
    status: str = TuneTrial.PENDING
    reached: int = 0
    """Iterations so far."""
    saved: int = 0
    """Iterations in its last checkpoint."""
    ended: tuple[float, float] = (math.nan, math.nan)
    """When it ended, and the seconds of nodes that had been paid for by then."""

    @property
    def config(self) -> dict[str, Any]:
        return {"plan": {"trial": self.trial_id}}

    def is_finished(self) -> bool:
        return self.status == TuneTrial.TERMINATED

    def should_recover(self) -> bool:
        """Return whether Tune starts it again: preemptions are no failures."""
        return True


@dataclass(eq=False)
class Node:
    """An instance, and the trial on it."""

    changes: Iterator[tuple[float, bool]]
    trial: SpotTrial | None = None
    begun_s: float = 0.0
    """When the start of its trial began."""
    saved_s: float = 0.0
    """What its trial has done since then is lost with the node."""
    turn: int = 0
    """Counts the trials: an iteration that ends after its trial has left is none."""


@dataclass(eq=False)
class Sweep:
    """A sweep on nodes that come and go, with as much of Tune's controller as schedulers need."""

    trials: Sequence[SpotTrial]
    scheduler: FIFOScheduler
    nodes: Sequence[Node]
    interval: int
    """Iterations between checkpoints."""
    losses: list[float] = field(default_factory=list)
    """Seconds that each interruption cost: at most an interval and a start."""
    busy_s: float = 0.0
    """Of nodes with a trial."""
    paid_s: float = 0.0
    """Of nodes that are up."""
    starts: int = 0
    """Of new and promoted trials."""
    now: float = 0.0

    def __post_init__(self) -> None:
        self.new, self.preempted = deque(self.trials), deque[SpotTrial]()
        self.free: dict[Node, None] = {}
        self.num_live, self.num_up = len(self.trials), 0
        self.events: list[tuple[float, int, Node, Any]] = []
        self._order = itertools.count()

    def run(self) -> None:
        """Simulate until every trial has ended.

        Raises:
            RuntimeError: the nodes are never up for long enough.
        """
        for trial in self.trials:
            self.scheduler.on_trial_add(self, trial)
        for node in self.nodes:
            self._await_change(node)
        while self.num_live:
            now, _, node, event = heapq.heappop(self.events)
            if now > MOST_DAYS * 86400:
                raise RuntimeError(f"{self.num_live} trials have not ended: the nodes fail often.")
            self.paid_s += self.num_up * (now - self.now)
            self.now = now
            if isinstance(event, bool):
                self._change(node, event)
            elif event == node.turn:
                self._report(node)
            self._fill()

    def get_trials(self) -> list[SpotTrial]:
        """Return no trial, so that Tune's scheduler chooses none: the queues are kept here."""
        return []

    def stop_trial(self, trial: SpotTrial) -> None:
        trial.status, trial.ended = TuneTrial.TERMINATED, (self.now, self.paid_s)
        self.num_live -= 1

    def _push(self, at: float, node: Node, event: bool | int) -> None:
        heapq.heappush(self.events, (at, next(self._order), node, event))

    def _await_change(self, node: Node) -> None:
        if (change := next(node.changes, None)) is not None:
            self._push(change[0], node, change[1])

    def _change(self, node: Node, is_up: bool) -> None:
        """Let a node come or go; each trace begins with a change at 0."""
        if is_up:
            self.free[node] = None
            self.num_up += 1
        elif self.now > 0:
            self.num_up -= 1
            if node.trial is not None:
                self._preempt(node, node.trial)
            del self.free[node]
        self._await_change(node)

    def _preempt(self, node: Node, trial: SpotTrial) -> None:
        # In training, what is repeated and the start; in a start, the part of it that was made.
        is_training = self.now >= node.begun_s + START_S
        loss = self.now - node.saved_s + START_S if is_training else self.now - node.begun_s
        self.losses.append(loss)
        self._leave(node)
        trial.reached = trial.saved
        trial.status = TuneTrial.ERROR
        self.scheduler.on_trial_error(self, trial)
        trial.status = TuneTrial.PENDING
        self.scheduler.on_trial_add(self, trial)
        self.preempted.append(trial)

    def _leave(self, node: Node) -> None:
        self.busy_s += self.now - node.begun_s
        node.trial = None
        node.turn += 1
        self.free[node] = None

    def _report(self, node: Node) -> None:
        """Report an iteration to the scheduler, and do what it decides."""
        trial = node.trial
        assert trial is not None
        trial.reached += 1
        score = trial.scores[trial.reached - 1]
        result = {"trial": trial.trial_id, "iteration": trial.reached, "score": score}
        result["metrics"] = "{}"
        if trial.reached == ITERATIONS:
            decision = TrialScheduler.STOP
            self.scheduler.on_trial_complete(self, trial, result)
        else:
            decision = self.scheduler.on_trial_result(self, trial, result)
        if decision == TrialScheduler.CONTINUE:
            if trial.reached % self.interval == 0:
                trial.saved, node.saved_s = trial.reached, self.now
            self._push(self.now + ITERATION_S, node, node.turn)
            return
        trial.saved = trial.reached  # a trial that pauses or ends writes a checkpoint
        self._leave(node)
        if decision == TrialScheduler.STOP:
            self.stop_trial(trial)
        else:
            trial.status = TuneTrial.PAUSED

    def _fill(self) -> None:
        """Start trials on the free nodes; Tune asks the scheduler whether there are any or not."""
        while True:
            promoted: Any = self.scheduler.choose_trial_to_run(self)
            if promoted is not None:
                promoted.status = TuneTrial.PENDING
            if not self.free:
                return
            if promoted is None and self.preempted:
                trial = self.preempted.popleft()
            elif promoted is not None or self.new:
                trial = promoted or self.new.popleft()
                self.starts += 1
            else:
                return
            node = next(iter(self.free))
            del self.free[node]
            trial.status, node.trial = TuneTrial.RUNNING, trial
            node.begun_s, node.saved_s = self.now, self.now + START_S
            self._push(node.saved_s + ITERATION_S, node, node.turn)
