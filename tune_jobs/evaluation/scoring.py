"""The metric that a job is scored by, and the score of an agent from what its iterations measured.

An iteration may finish hundreds of episodes, two, or none: its own mean is then as noisy as two
episodes are, and trials that are compared by it are compared by luck. So the means of trailing
iterations are pooled, each weighted by its episodes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rungwise.logs.names.name_matching import match_metrics
from rungwise.metrics import HELD_OUT, INFO_METRICS, METRICS
from rungwise.run_log.trial_outcome import POOLED, read_stage
from rungwise.validation import InputError, unknown_name_error
from tune_jobs.jobs.job import Job

FEWEST = 20
"""Finished episodes below which a score is not given: it would rank trials by luck."""
RETURN = "return_mean"
EPISODE_MEANS = frozenset({RETURN, "episode_length", *INFO_METRICS.values()})
"""Metrics of the catalogue that are means over the episodes that finished in an iteration."""


def resolve_metric(job: Job) -> tuple[str, Any]:
    """Return the metric and mode of a job, filled in from the environment where they are empty.

    Raises:
        InputError: a metric that is never reported, or one whose mode is not known.
    """
    if job.is_program:
        return _resolve_program_metric(job)
    from tune_jobs.evaluation.evaluation_world import make_world  # late: a program needs no torch

    # Before a run, not in its trials: a misspelt metric would give every trial no score at all.
    world = make_world(job.env, job.env_kwargs)
    metric = job.metric or (world.score_metric if world else "return_mean")
    known = {*METRICS, *(world.episode_metrics if world else ())}
    if metric.startswith(HELD_OUT) and not job.held_out_interval:
        raise InputError(
            f"metric={metric} is measured on held-out seeds, but held_out_interval is 0: set it to "
            "the iterations between two held-out evaluations, such as 5."
        )
    seen = metric.removeprefix(HELD_OUT)
    if seen != metric:
        # A held-out evaluation measures episodes only, so losses and the like are not among it.
        known = {"return_mean"} if world is None else set(world.episode_metrics)
    if seen not in known:
        raise unknown_name_error("metric", metric, known, f"for {job.env}")
    if job.mode:
        return metric, job.mode
    if world and seen == world.score_metric:
        return metric, world.score_mode
    if seen.startswith("return"):
        return metric, "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def _resolve_program_metric(job: Job) -> tuple[str, Any]:
    """Return the metric and mode of a job whose trials are programs: any name in their logs."""
    metric = job.metric or "return_mean"
    known = match_metrics([metric], job.program.rename).get(metric)
    if job.mode or (known.name if known else metric).startswith("return"):
        return metric, job.mode or "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def is_episode_mean(metric: str) -> bool:
    """Return whether a job's metric is a mean over the episodes that finished in an iteration.

    A metric that is not in the catalogue is one of the environment's own episode metrics
    (``resolve_metric`` has refused all others), except for those of held-out episodes.
    """
    # Held-out metrics are means over a fixed number of episodes and need no pooling.
    if metric.startswith(HELD_OUT):
        return False
    return metric in EPISODE_MEANS or metric not in METRICS


class RecentEpisodes:
    """The last finished episodes of one agent, as the means and counts of trailing iterations.

    Args:
        iterations: what :attr:`iterations` of an earlier object held.
    """

    def __init__(self, iterations: Iterable[tuple[float, int]] = ()) -> None:
        self.iterations: list[tuple[float, int]] = [(mean, n) for mean, n in iterations]
        """Mean and number of the episodes of each iteration kept, the oldest first."""

    @property
    def episodes(self) -> int:
        """How many episodes are pooled."""
        return sum(n for _, n in self.iterations)

    def add(self, mean: float, episodes: int) -> None:
        """Add the episodes of an iteration; drop iterations that the last 100 do not need."""
        # Whole iterations only: single returns are not reported, and a mean cannot be split.
        self.iterations.append((mean, episodes))
        while self.episodes - self.iterations[0][1] >= POOLED:
            del self.iterations[0]

    def mean(self, fewest: int = FEWEST, unfinished: tuple[float, int] = (0.0, 0)) -> float | None:
        """Return the mean over the pooled episodes; None if there are fewer than ``fewest``.

        Args:
            fewest: finished episodes that it needs.
            unfinished: mean return so far, and number, of long episodes that have not ended.
        """
        if self.episodes < max(fewest, 1):
            return None
        counted = [*self.iterations, unfinished]
        return math.fsum(mean * n for mean, n in counted) / sum(n for _, n in counted)


class AgentScore:
    """The score of one agent: what it is made of, from its metrics of each iteration.

    Args:
        metric: the job's.
        iterations: the job's budget.
        episodes: what :attr:`RecentEpisodes.iterations` of an earlier object held.
        rewards: what :attr:`rewards` of an earlier object held.
        stage: what :attr:`stage` of an earlier object was.
    """

    def __init__(
        self,
        metric: str,
        iterations: int,
        episodes: Iterable[tuple[float, int]] = (),
        rewards: Iterable[float] = (),
        stage: float = 0.0,
    ) -> None:
        self.stage = stage
        """The stage of a curriculum that the episodes are of."""
        self.metric, self.episodes = metric, RecentEpisodes(episodes)
        self.rewards = deque(rewards, maxlen=max(1, iterations // 10))
        """Mean reward of a step in each iteration of the last tenth, the oldest first."""
        self.scored_reward: float | None = None
        """The mean reward per step that scored it; None where episodes did."""

    def measure(self, metrics: Mapping[str, Any], over: bool) -> float | None:
        """Return the score that an iteration measured, if it measured one.

        Args:
            metrics: the metrics of the iteration.
            over: whether the budget is used up.
        """
        measured = metrics.get(self.metric)
        known = read_stage(self.metric, metrics)
        if known is not None and known != self.stage:
            # Episodes of an easier stage would hide what the policy scores at this one.
            self.stage, self.episodes = known, RecentEpisodes()
            self.rewards.clear()
        # An episode with a reward that is not finite may end in a later iteration than that.
        if metrics["nonfinite"] or (measured is not None and not math.isfinite(measured)):
            return math.nan
        if not is_episode_mean(self.metric):
            return None if measured is None else float(measured)
        if "reward_mean" in metrics:
            self.rewards.append(metrics["reward_mean"])
        unfinished = self._get_unfinished(metrics)
        if measured is not None:
            self.episodes.add(float(measured), metrics["episodes"])
        elif not unfinished[1] and not over:
            return None
        if not over:
            return self.episodes.mean(FEWEST, unfinished)
        # At the end of the budget no more episodes follow, so a single one is enough.
        score = self.episodes.mean(1, unfinished)
        return self._estimate_return(metrics) if score is None else score

    def _get_unfinished(self, metrics: Mapping[str, Any]) -> tuple[float, int]:
        """Return mean and number of the unfinished episodes that count."""
        # Their returns are known so far; of what else an episode is measured by nothing is.
        if self.metric != RETURN:
            return 0.0, 0
        return metrics.get("unfinished_return_mean", 0.0), metrics.get("unfinished_episodes", 0)

    def _estimate_return(self, metrics: Mapping[str, Any]) -> float | None:
        """Return what a whole episode would return at the mean reward per step.

        In the unit of a return, so that trials with and without finished episodes can be compared:
        an episode lasts until its limit, where that is known, else at least as long as the longest
        has lasted so far.
        """
        steps = metrics.get("time_limit") or metrics.get("running_length_max")
        if self.metric != RETURN or not self.rewards or not steps:
            return None
        self.scored_reward = math.fsum(self.rewards) / len(self.rewards)
        return self.scored_reward * steps


def merge_scores(scores: Sequence[float | None], over: bool) -> float | None:
    """Return the mean score of a trial's agents; None while any of them is undecided.

    When the budget is ``over`` those that have a score decide.
    """
    known = [score for score in scores if score is not None]
    # A mean over some of the seeds would compare unlike things. A diverged seed (NaN) decides at
    # once: whatever the others still score, the mean stays NaN.
    undecided = len(known) < len(scores) and not over and not any(map(math.isnan, known))
    return float(np.mean(known)) if known and not undecided else None
