"""Probes ``conformance`` and ``determinism``: Gymnasium's rules, and reproducible seeds."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from algos.rollouts.env_factory import explain_wrong_kind, make_vector_env
from envs.adapters.time_limit import list_layers
from envs.checking.env_checker import examine
from envs.contract.agents import GAMES_TO_APPEAR, PREFIX, check_appearances
from rungwise.validation import InputError
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.random_agents import flatten_observation
from tune_jobs.check.rollouts import Episode, EpisodePlan, ObservationSample, play_plans

AGENTS_FRACTION = 0.25
"""Fraction of the time in which each agent of a game of several must appear."""
SEEDS = 8
"""Number of seeds whose episodes are played twice."""
FEWEST_SCALED, SCALED_FRACTION = 40, 0.9
"""Rewards that differ in size alone, and their fraction, from which they are in moving units."""
BROKEN = frozenset(
    {
        *("cannot_be_made", "raises", "reset_returns", "step_returns", "mask_invalid"),
        *("reward_is_vector", "vector_environment"),
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
        rule, why = violation.rule, violation.sentence
        if rule == "cannot_be_made":
            why = explain_wrong_kind(target.env, target.env_kwargs) or why
            rule = "vector_environment" if " copies (" in why else rule
        outcome.add_finding(rule, violation.severity, why, violation.step or 0)
    if is_game and not any(violation.rule in BROKEN for violation in report.violations):
        _check_agents(target, for_agents_s, outcome)
    return outcome


def _check_agents(target: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Add a finding if an agent never appears or never leaves: examining it, one alone was seen."""
    try:
        with closing(make_vector_env(target.env, target.env_kwargs, 1)) as env:
            check_appearances(env, seconds, target.clock, GAMES_TO_APPEAR)
            inner: Any = env.unwrapped
    except InputError as error:
        outcome.add_finding("cannot_start", "stop", str(error))
        return
    if inner.kept:
        is_stuck = not inner.finished and inner.kept.issuperset(inner.games[0].agents)
        outcome.add_finding(
            "agent_kept",
            "stop" if is_stuck else "warn",
            f"{' and '.join(sorted(map(str, inner.kept)))} stayed in `agents` after their end"
            + "; all had ended, and no new game began" * is_stuck,
        )


def probe_determinism(target: CheckTarget, seconds: float) -> ProbeResult:
    """Play whole episodes twice with the same seeds and actions: they must be equal."""
    outcome = ProbeResult()
    with closing(target.make_bare_env()) as env:
        # The attribute of Gymnasium's NormalizeReward and NormalizeObservation.
        scales = [e for e in list_layers(env) if getattr(e, "update_running_mean", False)]
    if scales:
        names = " and ".join(type(layer).__name__ for layer in scales)
        outcome.add_finding("moving_units", "warn", f"the wrapper {names} scales by past values")
        return outcome
    if target.nondeterministic:
        outcome.not_judged["same_seed"] = "the environment is registered as nondeterministic"
        return outcome
    plans = [EpisodePlan(seed, seed) for seed in range(SEEDS)]
    # Half of the time for the first pass; the second then plays as many episodes.
    first = play_plans(target, plans, seconds / 2)
    # In the reverse order: what a reset keeps of the previous episode then differs.
    second = play_plans(target, plans[: len(first)][::-1], seconds)
    pairs = list(zip(reversed(first), second, strict=False))
    steps = [step for pair in pairs if (step := _find_difference(*pair)) is not None]
    outcome.figures = {"episodes_twice": len(pairs), "differing": len(steps)}
    if steps:
        evidence = (
            f"{len(steps)} of {len(pairs)} episodes went differently when they were played again "
            f"from the same seed with the same actions (seen first after {min(steps)} steps)"
        )
        if _are_scaled(pairs):
            outcome.add_finding("moving_units", "warn", f"{evidence}, by the size of rewards alone")
        elif resumed := _describe_resumed(target, plans, seconds / 4):
            outcome.add_finding("reset_keeps_state", "warn", evidence + resumed)
        else:
            outcome.add_finding("same_seed", "warn", evidence)
    return outcome


def _are_scaled(pairs: list[tuple[Episode, Episode]]) -> bool:
    """Return whether only the rewards differ, nearly all of them, and by their size alone."""
    if any(first.observation_keys != second.observation_keys for first, second in pairs):
        return False
    a, b = (np.concatenate([e.rewards for e in side]) for side in zip(*pairs, strict=True))
    paid, scaled = (a != 0) | (b != 0), (a != b) & (np.sign(a) == np.sign(b))
    return bool(scaled.sum() >= max(FEWEST_SCALED, SCALED_FRACTION * paid.sum()))


def _describe_resumed(target: CheckTarget, plans: list[EpisodePlan], seconds: float) -> str:
    """Describe resets that show the last observation before them; empty if they do not."""
    sample = ObservationSample()
    play_plans(target, plans, seconds, 1, sample)
    rows = [flatten_observation(columns) for columns in sample.rows]
    # Copies of a batch are not reset in turn, and of large observations not all are kept.
    if target.world or len(rows) != 2 * len(plans) or len({row.shape for row in rows}) > 1:
        return ""
    firsts, lasts = np.array(rows).reshape(len(plans), 2, -1).swapaxes(0, 1)
    # An entry that never differs from the first start may be the same in every step.
    resumed = (firsts[1:] == lasts[:-1]).all(0) & (firsts != firsts[0]).any(0)
    more = f"; {resumed.sum()} of {len(resumed)} entries of observations stayed over each reset"
    return more * bool(resumed.any())


def _find_difference(first: Episode, second: Episode) -> int | None:
    """Return the first step at which two episodes differ; None if they agree up to the shorter."""
    both = min(len(first.rewards), len(second.rewards))
    a, b = np.array(first.rewards[:both]), np.array(second.rewards[:both])
    differ = (a != b) & ~(np.isnan(a) & np.isnan(b))
    steps = [int(differ.argmax()) + 1] if differ.any() else []
    keys = zip(first.observation_keys, second.observation_keys, strict=False)
    steps += [step for step, (a, b) in enumerate(keys) if a != b][:1]
    # Where their lengths differ, one ran out of time, or they ended at different steps.
    if len(first.rewards) != len(second.rewards) and first.end and second.end:
        steps.append(both)
    return min(steps, default=None)
