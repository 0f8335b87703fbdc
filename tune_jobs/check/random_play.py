"""Probes ``episodes``, ``observations`` and ``rewards``: statistics of random play.

Do episodes end? Are there observations that a network can use? Rewards, and at what scale?
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any

import numpy as np

from algos.models.base import MASK, describe_column, get_column_spaces
from algos.models.encoders import describe_encoders, list_images
from algos.models.normaliser import make_observation_normaliser
from envs.adapters.time_limit import find_time_limit
from envs.checking.env_checker import FEW_STEPS
from rungwise.formatting import count
from rungwise.health.rules.value_function import STANDARDISED
from rungwise.validation import InputError
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import STEPS, Episode, sample_random_play

LARGE_ENTRY = 100.0
"""Size above which an entry of an observation is large: ten times what RLExplorer allows."""
MIN_EPISODES = 8
"""Number of episodes of random play without a reward that gives a finding."""
LARGE_RETURN, HUGE_RETURN = 1e3, 1e5
"""Sizes of a return from which it is noted, and from which the value function fails (measured)."""
SMALL_RETURN = 1e-3
"""Size of a return below which it is lost next to the entropy bonus."""
FEWEST_PAID = 100
"""Steps with a reward from which one may be called rare."""
TIMES_USUAL, TIMES_RETURN, SMALLEST = 300.0, 10.0, 1e3
"""How many times a rare reward exceeds 99 % of the others and any return without one, and the size
up to which it is an ordinary prize or penalty where each step pays little."""


def probe_episodes(target: CheckTarget, seconds: float) -> ProbeResult:
    """Measure whether random play ends by the task, by a time limit, or not at all."""
    outcome = ProbeResult()
    played = sample_random_play(target, seconds).episodes
    lengths = np.array([len(e.rewards) for e in played])
    ended = [e for e in played if e.end]
    with closing(target.make_env()) as env:
        limit = find_time_limit(env)
    outcome.figures = {
        "episodes": len(ended),
        "steps": int(lengths.sum()),
        "steps_per_second": sample_random_play(target, seconds).steps_per_s,
        "length_mean": float(np.mean([len(e.rewards) for e in ended])) if ended else None,
        "length_max": int(lengths.max()),
        "terminated_fraction": _mean_or_none([e.end == "terminated" for e in ended]),
        "truncated_fraction": _mean_or_none([e.end == "truncated" for e in ended]),
        "time_limit": limit,
    }
    if ended:
        if limit is None and _is_paid_to_end(played):
            outcome.add_finding(
                "paid_to_end",
                "note",
                f"no reward was above 0 in {int(lengths.sum())} steps, no time limit is known, and "
                f"each of the {len(ended)} episodes that ended was ended by the task",
            )
        return outcome
    # Slow environments: silence after few steps does not show that episodes never end.
    if lengths.max() < STEPS:
        outcome.not_judged["no_episode_ends"] = (
            f"there was time for {lengths.max()} steps of one episode only"
        )
        return outcome
    # An attribute of that name that ends nothing is no limit.
    limit = limit if limit and limit > STEPS else None
    hint = (
        f"; its time limit of {limit} steps will end them"
        if limit
        else ", the most that are played here, and no limit is known; later steps may end them"
    )
    outcome.add_finding(
        "no_episode_ends",
        "note",  # an environment that cuts its episodes off later need not say so
        f"none of {len(played)} episodes of random play ended within {STEPS} steps{hint}: until "
        "one ends there is no return to compare trials by",
        remedy=f"Let each copy of the environment take at least {limit} steps: fewer copies "
        "(`num_envs`), or more `steps`."
        if limit
        else "",
    )
    return outcome


def _is_paid_to_end(played: list[Episode]) -> bool:
    """Return whether an episode can return more only by being shorter."""
    rewards = np.array([reward for episode in played for reward in episode.rewards])
    return (
        len({len(episode.rewards) for episode in played if episode.end}) > 1
        and all(episode.end != "truncated" for episode in played)
        and float(rewards.max()) <= 0
        # A cost of the end alone is saved by no length.
        and float((rewards < 0).mean()) >= 0.5
    )


def _mean_or_none(values: list[bool]) -> float | None:
    return float(np.mean(values)) if values else None


def probe_observations(target: CheckTarget, seconds: float) -> ProbeResult:
    """Measure whether the observations change and how large their entries are."""
    outcome = ProbeResult()
    encoders = _judge_images(target, outcome)
    played = sample_random_play(target, seconds)
    rows = played.observations
    table = {name: _stack_entries(rows, name) for name in rows[0] if name != MASK}
    if not all(np.issubdtype(part.dtype, np.number) for part in table.values()):
        outcome.not_judged["observation_constant"] = "not all observations are numbers"
        return outcome
    # Exact equality: an entry that moves a little may still carry what the policy needs.
    constant = np.concatenate([~played.moved[name].reshape(-1) for name in table])
    # Integers are left out: a code or an index has no scale.
    scaled = [part for part in table.values() if np.issubdtype(part.dtype, np.floating)]
    spreads = np.concatenate([part.std(0) for part in scaled]) if scaled else np.zeros(0)
    largest = max((float(np.abs(part).max()) for part in scaled), default=None)
    moving = spreads[spreads > 0]
    outcome.figures = {
        "observations": len(rows),
        "entries": len(constant),
        "constant_fraction": float(constant.mean()),
        "abs_max": largest,
        "std_min": float(moving.min()) if moving.size else None,
        "std_max": float(moving.max()) if moving.size else None,
    } | encoders
    lengths = [len(episode.rewards) for episode in played.episodes]
    is_left = max(lengths) < STEPS and not any(episode.end for episode in played.episodes)
    if constant.all() and (is_left or sum(lengths) < FEW_STEPS):
        outcome.not_judged["observation_constant"] = (
            f"there was time for {sum(lengths)} steps of random play only"
        )
    elif constant.all():
        # In an episode of one step only the observation of the start is acted on.
        bandit = all(length == 1 for length in lengths)
        outcome.add_finding(
            "observation_constant",
            "note" if bandit else "warn",
            f"all {len(constant)} entries were the same in {len(rows)} observations of random play",
        )
    elif played.episodes[1:]:
        for name, part in table.items():
            if not played.moved[name].any():
                outcome.add_finding(
                    "part_constant",
                    "note",
                    f"{describe_column(name)} ({count(part.shape[1], 'entry', 'entries')}) was the "
                    f"same in {len(rows):,} observations of {len(played.episodes)} episodes of "
                    "random play",
                )
    raw = [part for name, part in table.items() if name not in _list_normalised(target)]
    raw = [float(np.abs(part).max()) for part in raw if np.issubdtype(part.dtype, np.floating)]
    if max(raw, default=0.0) > LARGE_ENTRY:
        outcome.add_finding(
            "observation_scale",
            "note",
            f"observations reach {max(raw):.3g} in size, and are not normalised",
        )
    return outcome


def _list_normalised(target: CheckTarget) -> Collection[str]:
    """Return the columns of the observation that the policy normalises."""
    settings: Any = target.settings
    columns = {n: s for n, s in get_column_spaces(target.spaces[0]).items() if n != MASK}
    try:
        normaliser = make_observation_normaliser(settings.normalise_observations, columns, False)
    except InputError:  # nothing can be normalised, which making the policy reports
        return ()
    return normaliser.names if normaliser else ()


def _judge_images(target: CheckTarget, outcome: ProbeResult) -> dict[str, str]:
    """Return the figure that says how images are read; add a finding if it is as vectors."""
    settings: Any = target.settings
    if target.other or settings.model not in ("auto", "mlp"):
        return {}
    space = target.spaces[0]
    try:
        images = list_images(space)
        if not images:
            return {}
        encoders = "; ".join(describe_encoders(space, settings.model_config))
    except InputError:  # a part that no policy can read, which making the policy reports
        return {}
    if settings.model == "auto":
        return {"encoders": encoders}
    shapes = [part.shape or () for part in images.values()]
    sizes = " and ".join(" x ".join(map(str, shape)) for shape in shapes)
    outcome.add_finding(
        "image_flattened",
        "note",
        f"the observation shows images ({sizes}), which model 'mlp' reads as "
        f"{sum(map(math.prod, shapes)):,} unrelated numbers. With model 'auto': {encoders}",
    )
    return {}


def _stack_entries(observations: list[Mapping[str, Any]], name: str) -> np.ndarray[Any, Any]:
    entries = np.stack([np.asarray(columns[name]).reshape(-1) for columns in observations])
    # NumPy cannot subtract booleans, which the range of an entry needs.
    return entries.astype(np.int8) if entries.dtype == np.bool_ else entries


def probe_rewards(target: CheckTarget, seconds: float) -> ProbeResult:
    """Measure the range and scale of the rewards of random play."""
    outcome = ProbeResult()
    played = sample_random_play(target, seconds).episodes
    rewards = RewardSummary(played)
    outcome.figures = rewards.summarise()
    # The probe of conformance plays fewer steps, each with an action of its own.
    if broken := int((~np.isfinite(rewards.each)).sum()):
        outcome.add_finding(
            "reward_finite",
            "stop",
            f"{broken} of {len(rewards.each)} rewards of random play were not finite numbers",
        )
        return outcome
    # Episodes that were left may be paid at their end, and their length is that of the check.
    ended = sum(bool(episode.end) for episode in played)
    if rewards.constant is not None and ended < MIN_EPISODES:
        symptom = "constant_reward" if rewards.constant else "zero_reward"
        outcome.not_judged[symptom] = (
            f"no reward but {rewards.constant:g} was seen, but only {ended} episodes ended in the "
            f"time and within {STEPS} steps; {MIN_EPISODES} are needed"
        )
        return outcome
    if rewards.constant is not None:
        _report_constant(outcome, rewards)
        return outcome
    report_rare_rewards(played, outcome)
    if all(getattr(target.settings, name, False) is True for name in STANDARDISED):
        return outcome  # a factor of the rewards changes nothing
    # Without zeros: where rewards are rare, the median of all returns would be 0.
    sizes = np.abs(rewards.returns[rewards.returns != 0])
    size = float(np.median(sizes)) if sizes.size else 1.0
    if size > LARGE_RETURN or size < SMALL_RETURN:
        outcome.add_finding(
            "reward_scale",
            "note" if SMALL_RETURN <= size <= HUGE_RETURN else "warn",
            f"returns of random play are of the order of {10 ** round(math.log10(size)):.0e}",
        )
    return outcome


def report_rare_rewards(episodes: list[Episode], outcome: ProbeResult) -> None:
    """Add a finding for rewards that dwarf all others, if there are any."""
    every = np.array([reward for episode in episodes for reward in episode.rewards])
    sizes = np.abs(every[np.isfinite(every) & (every != 0)])
    if len(sizes) < FEWEST_PAID:
        return
    most = float(np.quantile(sizes, 0.99))
    least = max(TIMES_USUAL * most, SMALLEST)
    # A prize at the end of the task is its goal, however rarely random play gets there.
    prizes = [e.rewards[-1] for e in episodes if e.end == "terminated" and e.rewards[-1] > 0]
    rare = every[(np.abs(every) > least) & ~np.isin(every, prizes)]
    usual = [abs(e.episode_return) for e in episodes if np.abs(e.rewards).max() <= least]
    largest = max(rare, key=abs, default=0.0)
    if 2 * len(usual) >= len(episodes) and abs(largest) > TIMES_RETURN * max(usual):
        outcome.add_finding(
            "rare_reward",
            "warn",
            f"a reward of {largest:g} in {len(every):,} steps of play, in which 99 % of rewards "
            f"are at most {most:.4g} in size",
        )


class RewardSummary:
    """Rewards and returns of episodes."""

    def __init__(self, episodes: list[Episode]) -> None:
        self.each = np.array([r for e in episodes for r in e.rewards])
        self.returns = np.array([e.episode_return for e in episodes])
        lengths = {len(e.rewards) for e in episodes}
        same = self.each.size > 0 and np.ptp(self.each) == 0
        # A constant reward per step is no fault where episodes differ in length (CartPole pays 1
        # per step): the return then differs.
        is_constant = bool(same and (self.each[0] == 0 or len(lengths) == 1))
        self.constant: float | None = float(self.each[0]) if is_constant else None
        """The only reward seen, if the lengths of the episodes do not differ either."""

    def summarise(self) -> dict[str, Any]:
        """Return statistics of the finite rewards, none if there is no such reward.

        The return of random play is that of the probe ``headroom``, whose actions are uniform:
        these episodes repeat actions, too, to get further than those do.
        """
        each = self.each[np.isfinite(self.each)]
        if not each.size:
            return {}
        return {
            "reward_min": float(each.min()),
            "reward_max": float(each.max()),
            "reward_mean": float(each.mean()),
            "reward_std": float(each.std()),
            "zero_fraction": float((each == 0).mean()),
            "distinct": len(np.unique(each)),
        }


def _report_constant(outcome: ProbeResult, rewards: RewardSummary) -> None:
    """Add the finding for rewards that are all equal."""
    count = f"{len(rewards.each)} steps of {len(rewards.returns)} episodes of random play"
    if rewards.constant == 0:
        outcome.add_finding("zero_reward", "warn", f"no step had a reward: it was 0 in all {count}")
    else:
        outcome.add_finding(
            "constant_reward",
            "warn",
            f"the reward was {rewards.constant:g} in all {count}, which all had the same length: "
            "no episode is better than another",
        )
