"""Rare rewards that dwarf all others: a fault, or a penalty out of proportion."""

from __future__ import annotations

import numpy as np

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import PLAYED, PlayedRewards
from tune_jobs.formatting import count

FEWEST_STEPS, FEWEST_PAID = 1000, 100
"""Steps, and steps with a reward, from which a reward may be called rare."""
USUAL = 0.99
"""Quantile of the sizes of the rewards up to which they are usual."""
TIMES_USUAL, TIMES_RETURN = 300.0, 10.0
"""How many times a rare reward exceeds the usual size, and any return without one."""
SMALLEST = 1e3
"""Rewards below this size are an ordinary prize or penalty where each step pays little."""


def report_rare_rewards(target: CheckTarget, outcome: ProbeResult) -> None:
    """Add a finding for rewards of all play so far that dwarf all others, if there are any."""
    played: list[PlayedRewards] = target.probe_cache.get(PLAYED, [])
    every = np.concatenate([one.rewards for one in played]) if played else np.zeros(0)
    sizes = np.abs(every[np.isfinite(every) & (every != 0)])
    if len(every) < FEWEST_STEPS or len(sizes) < FEWEST_PAID:
        return
    least = max(TIMES_USUAL * float(np.quantile(sizes, USUAL)), SMALLEST)
    is_rare = np.abs(every) > least
    rest = [one for one in played if not (np.abs(one.rewards) > least).any()]
    usual_return = max((abs(float(one.rewards.sum())) for one in rest), default=np.inf)
    # A prize at the end of the task is its goal, however rarely random play gets there.
    rare = [
        (float(reward), step + 1)
        for one in played
        for step, reward in enumerate(one.rewards)
        if abs(reward) > least
        and not (reward > 0 and one.is_terminated and step == len(one.rewards) - 1)
    ]
    if not rare or 2 * len(rest) < len(played):
        return
    largest, step = max(rare, key=lambda one: abs(one[0]))
    if abs(largest) < TIMES_RETURN * usual_return:
        return
    others = every[~is_rare]
    outcome.add_finding(
        "rare_reward",
        "warn",
        f"{count(len(rare), 'reward')} of {largest:g}{' and the like' * (len(rare) > 1)} in "
        f"{len(every):,} steps of play (at step {step} of an episode); the others lie between "
        f"{others.min():.4g} and {others.max():.4g}",
    )
