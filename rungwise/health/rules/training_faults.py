"""Rules for non-finite numbers, and for runs without an episode or an update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from rungwise.formatting import count
from rungwise.health.finding import Finding, Severity
from rungwise.health.history import History
from rungwise.health.improvement import BoolArray, FloatArray, keep_finite
from rungwise.health.metric_table import Row, as_number
from rungwise.health.remedy import Remedy, limit, lower
from rungwise.health.rule import Rule
from rungwise.validation import AtLeastOne, Fraction

WATCHED = ("policy_loss", "value_loss", "entropy", "kl", "grad_norm")
"""Metrics checked in rows without a count of non-finite numbers, as in logs of other tools."""
UNTRAINED = 0.2
"""Fraction of the budget in which a metric that has had no number yet may be NaN."""
SKIPPED = 16
"""Gradients in a row that mixed precision may find too large and skip, until it has found its
scale (PyTorch's begins at 2^16 and halves): a NaN or Inf of ``grad_norm`` counts where no number
follows as many."""
EPISODE_METRICS = ("return_mean", "return_mean_100", "episode_length")
"""Metrics that are logged only of finished episodes."""


@dataclass(frozen=True)
class NotFinite(Rule):
    """Any non-finite number ends the run at once: parameters do not recover from NaN.

    Explained variance is not checked: it is NaN whenever all returns are equal (28 of 37 rows of
    one healthy run). Neither is a metric that a row lacks (an empty cell of a log), nor a NaN
    return in an iteration in which no episode finished: where those are not counted, one without a
    length of episodes. A metric that has had no number yet may be NaN for a fifth of the budget.
    The norm of a gradient is NaN or infinite in each update that mixed precision skips.
    """

    symptom = "not_finite"
    title = "NaN or Inf in an observation, reward, loss, gradient or parameter"
    needs = ()
    can_recover = False
    ignores_patience = True
    stops_rising = True
    nan_policy = (
        "NaN is the finding. The rule needs no particular metric: it checks those that were logged"
    )
    causes = (
        "NaN or Inf in an observation or reward of the environment",
        "a division by zero or logarithm of zero in a custom loss or network",
        "a learning rate so high that the parameters overflow",
    )
    remedy = (
        "run `rungwise check ENV` on the environment first",
        lower("lr", 1e-4, "if the environment is clean lower {}"),
        limit("grad_clip", 0.5, "clip with {}"),
    )

    def judge(self, history: History) -> Finding | None:
        """Return a stop at the first row with a non-finite number."""
        # Most rows of a long run are sound: only those that may not be are looked at.
        suspects = set(np.flatnonzero(history.series("nonfinite") > 0).tolist())
        suspects.update(history.table.find_odd_rows((*WATCHED, "return_mean")))
        if not suspects:
            return None
        begins = {name: _find_begin(history, name) for name in WATCHED}
        counts = {
            index: _count_nonfinite(
                history.rows[index], [name for name, begin in begins.items() if index >= begin]
            )
            for index in sorted(suspects)
        }
        first = next((index for index, (amount, _) in counts.items() if amount), None)
        if first is None:
            return None
        amount = sum(amount for amount, _ in counts.values())
        since = history.iteration(first)
        return self.report(
            "stop",
            since,
            f"{count(amount, 'non-finite number')}, the first in {counts[first][1]}, in iteration "
            f"{since}",
        )


def _find_begin(history: History, name: str) -> int:
    """Return the row from which a NaN of this metric counts.

    Trainers with a replay buffer log NaN as the loss until they learn: what precedes the first
    number says nothing, for a fifth of the budget.
    """
    values = history.series(name)
    if name == "grad_norm":
        lasting = find_lasting(values, SKIPPED)
        return int(np.argmax(lasting)) if lasting.any() else len(history)
    if np.isfinite(values).any():
        return int(np.argmax(np.isfinite(values) | np.isinf(values)))
    waits = history.budget_fraction_used < UNTRAINED and not np.isinf(values).any()
    return len(history) if waits else 0


def find_lasting(column: FloatArray, least: int = 1) -> BoolArray:
    """Return which values of a column [R] that are not finite stay so to the end.

    They must be at least ``least``, and more in a row than ever were between two numbers, where
    they are a log's rhythm; and more than there were before the first one, until as many numbers
    have shown that these are none.
    """
    numbers = np.flatnonzero(np.isfinite(column))
    lasting = np.zeros(column.size, dtype=np.bool_)
    if not numbers.size:
        return lasting
    first = numbers[0] + 2 - numbers.size
    if column.size - 1 - numbers[-1] >= max(*np.diff(numbers), first, least, 1):
        lasting[numbers[-1] + 1 :] = True
    return lasting


def _count_nonfinite(row: Row, names: Sequence[str]) -> tuple[int, str]:
    """Return how many numbers of this row are not finite, and where the first of them is.

    Args:
        row: of the history.
        names: metrics that are looked at where it has no count of its own.
    """
    counted = as_number(row.get("nonfinite"))
    if math.isfinite(counted):  # counted where they arose, which the means of this row may hide
        return int(counted), str(row.get("nonfinite_where") or "a place that was not recorded")
    places = [
        f"{name} ({value})"
        for name in names
        if isinstance(value := row.get(name), float) and not math.isfinite(value)
    ]
    # A NaN return is the usual value of a row in which no episode finished.
    mean = as_number(row.get("return_mean", 0.0))
    lengths = as_number(row.get("episode_length"))
    finished = as_number(row.get("episodes", 0 if math.isnan(lengths) else 1)) > 0
    if math.isinf(mean) or (math.isnan(mean) and finished):
        places.append(f"return_mean ({mean})")
    return len(places), places[0] if places else ""


@dataclass(frozen=True)
class NoEpisodeEnds(Rule):
    """An agent learns but no episode has ended, or none ends any more, so there is no return.

    Episodes may be long or, in a continuing task, never end on purpose. So what is known of their
    limit decides: before it the finding is a note, and an episode that has ended clears the run.
    Without a known limit it is a note until one has lasted for ``long`` steps, then a warning: such
    an episode may still be cut off (one of 60,000 steps was, in healthy runs). A stop is left for
    episodes that last ``overdue`` times as long as their own limit, which nothing applies.
    An improving score of another kind clears the run. A log of another tool without any return
    gives a warning: no episode ended, or the return was not recorded. Where it counts no steps, the
    losses of a value say that an agent learns.

    Where early episodes were short, and without a known limit none has ended for ``rows`` rows, it
    warns: an agent that is paid less the longer an episode lasts may have learnt to hold on,
    because it discounts what its score does not.
    """

    symptom = "no_episode_ends"
    title = "No episode ends"
    needs = ("env_steps",)
    stand_ins: ClassVar = {"env_steps": "value_loss"}
    can_recover = False
    silent_checks = 1  # an episode that has ended is no value near a threshold
    nan_policy = "a NaN number of episodes counts as zero"
    causes = (
        "the environment returns neither terminated nor truncated",
        "a time limit longer than the run, or none",
        "a policy that holds on for ever, in a task that only a failure ends",
        "the return is recorded under an unknown name",
    )
    remedy = (
        "return terminated at the goal and give the environment a time limit "
        "(gymnasium.register(..., max_episode_steps=1000))",
        "in a continuing task choose a `metric` that needs no finished episode",
    )

    rows: Annotated[int, AtLeastOne] = 10
    long: Annotated[int, AtLeastOne] = 1000
    """Steps of an unfinished episode from which it warns: a usual time limit."""
    endless: Annotated[int, AtLeastOne] = 27_000
    """Steps of an unfinished episode before which it never asks for a stop: Atari's time limit."""
    longer: Annotated[float, AtLeastOne] = 4.0
    """How many times as long as those that ended an episode must have lasted since."""
    overdue: Annotated[float, AtLeastOne] = 2.0
    """How many times its known limit an episode has lasted when it asks for a stop."""
    stop_from: Annotated[float, Fraction] = 0.1
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def is_disproved(self, history: History) -> bool:
        """Return whether an episode has ended since."""
        return super().is_disproved(history) or _has_any_episode_ended(history)

    def judge(self, history: History) -> Finding | None:
        """Return a finding when the steps increase and no episode ends."""
        if history.progress.improved:
            return None
        if _has_any_episode_ended(history):
            return self._judge_last_rows(history)
        steps = history.recent("env_steps", len(history))
        if not steps.any():  # not counted
            if not history.has(self.stand_ins["env_steps"]):
                return None
            reached = ""
        elif steps[-1] > steps[0]:
            reached = f" and {steps[-1]:,.0f} steps"
        else:  # the run is stuck or not started, which is another fault
            return None
        # NaN where the trainer does not log them: the comparisons of the severity are then false,
        # and the finding is a warning.
        longest, limit = history.latest("running_length_max"), history.latest("time_limit")
        length = f"; one has lasted for {longest:,.0f} steps" if np.isfinite(longest) else ""
        of_limit = f", and their limit is {limit:,.0f}" if np.isfinite(limit) else ""
        return self.report(
            self._choose_severity(history, longest, limit),
            history.iteration(0),
            f"no episode has finished in {len(history)} iterations{reached}{length}{of_limit}",
        )

    def _judge_last_rows(self, history: History) -> Finding | None:
        """Return a finding when episodes without a limit ended once, and none does any more."""
        ended = np.flatnonzero(history.series("episodes") > 0)
        since = int(ended[-1]) + 1 if ended.size else len(history)
        longest, limit = history.latest("running_length_max"), history.latest("time_limit")
        lengths = keep_finite(history.series("episode_length"))
        if len(history) - since < self.rows or not lengths.size or np.isfinite(limit):
            return None
        if not longest >= max(self.long, self.longer * lengths.max()):
            return None
        return self.report(
            "warn",
            history.iteration(since),
            f"no episode has finished in the last {len(history) - since} iterations; one has "
            f"lasted for {longest:,.0f} steps, those that finished for {lengths.mean():,.0f}, and "
            "the return of an episode without an end depends on how long it is watched",
        )

    def _choose_severity(self, history: History, longest: float, limit: float) -> Severity:
        overdue = longest >= max(self.endless, self.overdue * limit)
        if overdue and np.isfinite(limit) and history.budget_fraction_used >= self.stop_from:
            return "stop"
        return "note" if longest < self.long or longest <= limit else "warn"

    def choose_remedy(self, history: History) -> Remedy:
        """Return what makes episodes end within the run, where they have a limit."""
        longest, limit = history.latest("running_length_max"), history.latest("time_limit")
        if np.isnan(limit) or longest > limit:
            return self.remedy
        if longest / history.budget_fraction_used >= limit:
            return (f"wait until the limit of {limit:,.0f} steps ends the first episodes",)
        return (
            f"let each copy of the environment take the {limit:,.0f} steps of an episode: fewer "
            "copies or more `steps`",
        )


def _has_any_episode_ended(history: History) -> bool:
    """Return whether an episode has ended, or whether that is unknown."""
    if any(history.has(name) for name in EPISODE_METRICS):
        return True
    episodes = history.recent("episodes", len(history))
    if not episodes.size:
        return history.has(history.score)  # a score that is not made of returns
    return bool(episodes.sum() > 0)


@dataclass(frozen=True)
class NoUpdates(Rule):
    """The number of optimiser steps has been zero in every row.

    Agents with a replay memory fill it first, for 1,000 to 50,000 steps by their defaults: so the
    rule asks for a stop only from half of the budget.
    """

    symptom = "no_updates"
    title = "Environment steps are taken but the optimiser never runs"
    needs = ("updates",)
    can_recover = False
    silence_disproves = True
    causes = (
        "learning starts after more steps than the run has",
        "a batch larger than what is ever collected",
        "a training step that is skipped, or never called",
    )
    remedy = (
        "begin to learn after at most a tenth of the steps (in SB3 learning_starts)",
        "check that a batch is no larger than what is collected by then",
    )

    rows: Annotated[int, AtLeastOne] = 8
    budget_fraction: Annotated[float, Fraction] = 0.2
    stop_from: Annotated[float, Fraction] = 0.5
    """Fraction of the budget from which it asks for a stop instead of a warning."""

    def judge(self, history: History) -> Finding | None:
        """Return a finding when there has been no update."""
        updates = history.recent("updates", len(history))
        # A missing count is no evidence: many trainers do not log it.
        if updates.size == 0 or np.any(updates > 0):
            return None
        return self.report(
            "stop" if history.budget_fraction_used >= self.stop_from else "warn",
            history.iteration(0),
            f"no update in {len(history)} iterations",
        )
