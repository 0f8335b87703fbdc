"""Probes ``episodes``, ``observations`` and ``rewards``: what random play shows.

Do episodes end? Is there something to see, in numbers that a network can take? Is anything paid,
and in what units?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from algos.models.base import MASK
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import STEPS, Episode, sample_random_play

SEEN_LARGE = 100.0
"""Entries of observations beyond this are large: ten times what RLExplorer allows."""
ENOUGH = 8
"""Episodes of random play without a reward after which that is remarkable."""
LARGE, HUGE = 1e3, 1e5
"""Returns of this size are remarkable; of that size the value function drowns (measured)."""
SMALL = 1e-3
"""Returns smaller than this are hardly noticed beside the entropy bonus."""


def probe_episodes(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Whether random play ends by the task itself, by a time limit, or not at all."""
    outcome = ProbeResult()
    played = sample_random_play(subject, seconds).episodes
    lengths = np.array([len(e.rewards) for e in played])
    ended = [e for e in played if e.end]
    limit = _limit(subject)
    outcome.figures = {
        "episodes": len(ended),
        "steps": int(lengths.sum()),
        "steps_per_second": sample_random_play(subject, seconds).steps_per_s,
        "length_mean": float(np.mean([len(e.rewards) for e in ended])) if ended else None,
        "length_max": int(lengths.max()),
        "terminated_fraction": _share([e.end == "terminated" for e in ended]),
        "truncated_fraction": _share([e.end == "truncated" for e in ended]),
        "time_limit": limit,
    }
    if ended:
        return outcome
    if lengths.max() < STEPS:
        outcome.not_judged["no_episode_ends"] = (
            f"there was time for {lengths.max()} steps of one episode only"
        )
        return outcome
    known = f"; its time limit of {limit} steps will end them" if limit else ", nor has it a limit"
    outcome.add_finding(
        "no_episode_ends",
        "note" if limit else "warn",
        f"none of {len(played)} episodes of random play ended within {STEPS} steps{known}: until "
        "one ends there is no return, and nothing to compare trials by",
    )
    return outcome


def _limit(subject: CheckTarget) -> int | None:
    env = subject.make_env()
    env.close()
    return env.spec.max_episode_steps if env.spec else None


def _share(values: list[bool]) -> float | None:
    return float(np.mean(values)) if values else None


def probe_observations(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Whether anything changes, and how large the entries are."""
    outcome = ProbeResult()
    played = sample_random_play(subject, seconds)
    seen = played.observations
    table = {name: _matrix(seen, name) for name in seen[0] if name != MASK}
    if not all(np.issubdtype(part.dtype, np.number) for part in table.values()):
        outcome.not_judged["observation_constant"] = "not all that is observed is a number"
        return outcome
    constant = np.concatenate([np.ptp(part, axis=0) == 0 for part in table.values()])
    scaled = [part for part in table.values() if np.issubdtype(part.dtype, np.floating)]
    spreads = np.concatenate([part.std(0) for part in scaled]) if scaled else np.zeros(0)
    largest = max((float(np.abs(part).max()) for part in scaled), default=None)
    moving = spreads[spreads > 0]
    outcome.figures = {
        "observations": len(seen),
        "entries": len(constant),
        "constant_fraction": float(constant.mean()),
        "abs_max": largest,
        "std_min": float(moving.min()) if moving.size else None,
        "std_max": float(moving.max()) if moving.size else None,
    }
    if constant.all() and len(seen) > 1:
        bandit = all(len(episode.rewards) == 1 for episode in played.episodes)
        outcome.add_finding(
            "observation_constant",
            "note" if bandit else "warn",
            f"all {len(constant)} entries were the same in {len(seen)} observations of random play",
        )
    if largest is not None and largest > SEEN_LARGE:
        outcome.add_finding(
            "observation_scale", "note", f"observations reach {largest:.3g} in size"
        )
    return outcome


def _matrix(seen: list[Mapping[str, Any]], name: str) -> np.ndarray[Any, Any]:
    found = np.stack([np.asarray(columns[name]).reshape(-1) for columns in seen])
    return found.astype(np.int8) if found.dtype == np.bool_ else found


def probe_rewards(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Range and scale of the rewards of random play."""
    outcome = ProbeResult()
    played = sample_random_play(subject, seconds).episodes
    paid = RewardSummary(played)
    outcome.figures = paid.figures()
    if paid.constant is not None and len(played) < ENOUGH:
        symptom = "constant_reward" if paid.constant else "zero_reward"
        outcome.not_judged[symptom] = (
            f"no reward but {paid.constant:g} was met, but there was time for {len(played)} "
            f"episodes only; {ENOUGH} are needed"
        )
        return outcome
    if paid.constant is not None:
        _nothing(outcome, paid)
        return outcome
    sizes = np.abs(paid.returns[paid.returns != 0])
    size = float(np.median(sizes)) if sizes.size else 1.0
    if size > LARGE or size < SMALL:
        outcome.add_finding(
            "reward_scale",
            "note" if SMALL <= size <= HUGE else "warn",
            f"the return of random play is {size:.3g} in size (median of those that are not 0)",
        )
    return outcome


class RewardSummary:
    """What episodes brought."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.each = np.array([r for e in episodes for r in e.rewards])
        self.returns = np.array([e.episode_return for e in episodes])
        lengths = {len(e.rewards) for e in episodes}
        same = self.each.size > 0 and np.ptp(self.each) == 0
        one = bool(same and (self.each[0] == 0 or len(lengths) == 1))
        self.constant: float | None = float(self.each[0]) if one else None
        """The only reward there was, where not even the lengths of episodes tell them apart."""

    def figures(self) -> dict[str, Any]:
        """Numbers about rewards and returns."""
        each, returns = self.each, self.returns
        return {
            "reward_min": float(each.min()),
            "reward_max": float(each.max()),
            "reward_mean": float(each.mean()),
            "reward_std": float(each.std()),
            "zero_fraction": float((each == 0).mean()),
            "distinct": len(np.unique(each)),
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "return_min": float(returns.min()),
            "return_max": float(returns.max()),
        }


def _nothing(outcome: ProbeResult, paid: RewardSummary) -> None:
    """Every reward was the same."""
    count = f"{len(paid.each)} steps of {len(paid.returns)} episodes of random play"
    if paid.constant == 0:
        outcome.add_finding("zero_reward", "warn", f"no reward was met: it was 0 in all {count}")
    else:
        outcome.add_finding(
            "constant_reward",
            "warn",
            f"the reward was {paid.constant:g} in all {count}, which all had the same length: "
            "nothing tells a good episode from a bad one",
        )
