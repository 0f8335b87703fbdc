"""Probes ``conformance`` and ``determinism``: Gymnasium's rules, and reproducible seeds."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from algos.rollouts.env_factory import make_vector_env
from envs.agents import PREFIX, check_appearances
from envs.checking.env_checker import examine
from envs.validation import InputError
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import Episode, EpisodePlan, play_plans

AGENTS_FRACTION = 0.25
"""Fraction of the time in which each agent of a game of several must appear."""
SEEDS = 8
"""Number of seeds whose episodes are played twice."""
BROKEN = frozenset(
    {
        *("cannot_be_made", "raises", "reset_returns", "step_returns", "mask_invalid"),
        "reward_is_vector",
    }
)
"""Violations after which no other probe can run."""


def probe_conformance(target: CheckTarget, seconds: float) -> ProbeResult:
    """Run Gymnasium's own checker, then random episodes (``envs.checking.env_checker``)."""
    outcome = ProbeResult()
    is_game = target.env.startswith(f"{PREFIX}:")
    for_agents_s = AGENTS_FRACTION * seconds if is_game else 0.0
    report = examine(target.make_bare_env, seconds=seconds - for_agents_s, clock=target.clock)
    outcome.figures["violations"] = sum(v.severity != "note" for v in report.violations)
    outcome.not_judged = dict(report.cut_short)
    for violation in report.violations:
        outcome.add_finding(
            violation.rule, violation.severity, violation.sentence, violation.step or 0
        )
    if is_game and not any(violation.rule in BROKEN for violation in report.violations):
        _check_agents(target, for_agents_s, outcome)
    return outcome


def _check_agents(target: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Add a finding if an agent of a game never appears: examining it, one agent alone was seen."""
    try:
        with closing(make_vector_env(target.env, target.env_kwargs, 1)) as env:
            check_appearances(env, seconds, target.clock)
    except InputError as error:
        outcome.add_finding("cannot_start", "stop", str(error))


def probe_determinism(target: CheckTarget, seconds: float) -> ProbeResult:
    """Play whole episodes twice with the same seeds and actions: they must be equal."""
    outcome = ProbeResult()
    if target.nondeterministic:
        outcome.not_judged["same_seed"] = "the environment is registered as nondeterministic"
        return outcome
    plans = [EpisodePlan(seed, seed) for seed in range(SEEDS)]
    # Half of the time for the first pass; the second then plays as many episodes.
    first = play_plans(target, plans, seconds / 2)
    # In the reverse order: what a reset keeps of the previous episode then differs.
    second = play_plans(target, plans[: len(first)][::-1], seconds)
    pairs = list(zip(reversed(first), second, strict=False))
    steps = [step for one, two in pairs if (step := _find_difference(one, two)) is not None]
    outcome.figures = {"episodes_twice": len(pairs), "differing": len(steps)}
    if steps:
        outcome.add_finding(
            "same_seed",
            "warn",
            f"{len(steps)} of {len(pairs)} episodes went differently when they were played again "
            f"from the same seed with the same actions (seen first after {min(steps)} steps)",
        )
    return outcome


def _find_difference(one: Episode, two: Episode) -> int | None:
    """Return the first step at which two episodes differ; None if they agree up to the shorter."""
    both = min(len(one.rewards), len(two.rewards))
    left, right = np.array(one.rewards[:both]), np.array(two.rewards[:both])
    differ = (left != right) & ~(np.isnan(left) & np.isnan(right))
    found = [int(differ.argmax()) + 1] if differ.any() else []
    keys = zip(one.observation_keys, two.observation_keys, strict=False)
    found += [step for step, (left, right) in enumerate(keys) if left != right][:1]
    # Of different lengths, one ran out of time, or they ended at different steps.
    if len(one.rewards) != len(two.rewards) and one.end and two.end:
        found.append(both)
    return min(found, default=None)
