"""Rules for lost workers and for iterations that take longer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from rungwise.health.finding import Finding
from rungwise.health.history import History
from rungwise.health.improvement import FloatArray, keep_finite, quantile
from rungwise.health.remedy import increase
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Positive


@dataclass(frozen=True)
class Hung(Rule):
    """A worker was lost: training continues with the others, slower, and may lose it again.

    A single loss gives a warning. A loss in every iteration means that the environment causes it,
    and the run makes almost no progress. The limit is a choice, not a measurement.
    """

    symptom = "hung"
    title = "Rollout workers die or hang, and RLlib replaces them silently"
    needs = ("runners_lost",)
    can_recover = False
    stops_rising = True
    nan_policy = "a row without the count is a row without remote workers"
    causes = (
        "a step or reset of the environment that never returns",
        "an environment that kills its own process",
        "too little memory for the workers",
    )
    remedy = (
        "fix the environment where it hangs",
        increase("hang_limit_s", 120, "if its steps may take that long raise {}"),
    )

    always: Annotated[int, AtLeastOne] = 5
    """Consecutive iterations with a loss from which it asks for a stop."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the last iteration lost a worker."""
        lost = history.series("runners_lost")
        # Only the newest row: a worker that was replaced and stayed alive needs no warning.
        if not lost[-1] > 0:
            return None
        run = 1
        # Losses in a row point to the environment; scattered ones are more often the machine.
        while run < lost.size and lost[-1 - run] > 0:
            run += 1
        where = str(history.rows[-1].get("runners_lost_why") or "it was killed or ended itself")
        return self.report(
            "stop" if run >= self.always else "warn",
            history.iteration(lost.size - run),
            f"{lost[-1]:.0f} rollout workers lost in {run} iterations in a row: {where}",
        )


@dataclass(frozen=True)
class SlowerIterations(Rule):
    """Iterations of the same work take twice as long as before, and stay so.

    The lower quartile of the last rows is compared with that of all rows before them, so that a
    slow iteration now and then (an evaluation, a checkpoint) says nothing. The work is that of an
    environment step, or of a step of an episode where those are not counted: completions that grow
    longer take longer. A note, because other programs on the machine slow a healthy run down, too.
    """

    symptom = "slower_iterations"
    title = "Iterations take twice as long as before"
    needs = ("iteration_s",)
    highest = "note"
    warm_up = "`rows` rows to compare and as many before them, without the first"
    causes = (
        "another program on the machine, or a device that is too hot",
        "memory that grows until it is swapped: buffers, logs, environments that keep episodes",
        "a reward, tool or environment that waits for a slow service",
    )
    remedy = (
        "look at the memory of the process and at what else runs on the machine",
        "compare the seconds of collecting and of learning, and time the reward by itself",
    )

    factor: Annotated[float, Positive] = 2.0
    """How many times as long iterations must take."""
    rows: Annotated[int, AtLeastOne] = 10
    """Number of last iterations that are compared with those before."""

    def judge(self, history: History) -> Finding | None:
        """Return a note when the last iterations are slower than those before."""
        history = history.since_learning  # random steps before the first update are quick
        seconds = _count_seconds(history)
        before, late = keep_finite(seconds[1 : -self.rows]), keep_finite(seconds[-self.rows :])
        if min(before.size, late.size) < self.rows:
            return None
        usual, now = quantile(before, 0.25), quantile(late, 0.25)
        if not now > self.factor * usual > 0:
            return None
        since = history.find_onset(seconds > self.factor * usual, self.rows)
        return self.report(
            "note",
            since,
            f"since iteration {since} an iteration takes {now / usual:.1f} times as long as before "
            "for the same number of steps",
        )


def _count_seconds(history: History) -> FloatArray:
    """Return the seconds [R] of an iteration, by the steps that it took where these are known."""
    seconds, steps = history.series("iteration_s"), history.series("env_steps")
    if np.isfinite(steps).any():
        return seconds / np.diff(steps, prepend=math.nan)
    # A row of a log may hold several iterations, whose seconds are added up.
    iterations = np.array([float(history.iteration(index)) for index in range(len(history))])
    per_iteration = seconds / np.diff(iterations, prepend=iterations[:1] - 1)
    lengths = history.series("episode_length")
    return per_iteration / lengths if np.isfinite(lengths).any() else per_iteration
