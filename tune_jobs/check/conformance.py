"""Probes ``conformance`` and ``determinism``: Gymnasium's rules, and reproducible seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import closing

import numpy as np

from algos.rollouts.env_factory import make_vector_env
from envs.agents import PREFIX, check_appearances
from envs.checking.agent_ends import find_kept_agent
from envs.checking.env_checker import examine
from envs.checking.running_scale import list_running_scales
from envs.validation import InputError
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.rollouts import Array, Episode, EpisodePlan, play_plans

AGENTS_FRACTION = 0.25
"""Fraction of the time in which each agent of a game of several must appear."""
SEEDS = 8
"""Number of seeds whose episodes are played twice."""
FEWEST_RESETS = 5
"""Resets from which it is said that they reset nothing."""
FEWEST_PAID, SCALED_FRACTION = 40, 0.9
"""Rewards, and the fraction of them that differ in size alone, that show a running scale."""
FRESH = 2
"""New copies in which the first episode is played again."""
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
        outcome.add_finding(
            violation.rule, violation.severity, violation.sentence, violation.step or 0
        )
    if is_game and not any(violation.rule in BROKEN for violation in report.violations):
        _check_agents(target, for_agents_s, outcome)
    return outcome


def _check_agents(target: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Examine all agents of a game: what was examined before is what one of them sees.

    Does each appear, and does it leave the game at its end?
    """
    try:
        with closing(make_vector_env(target.env, target.env_kwargs, 1)) as env:
            check_appearances(env, seconds / 2, target.clock)
    except InputError as error:
        outcome.add_finding("cannot_start", "stop", str(error))
        return
    with closing(target.make_bare_env()) as view:
        kept = find_kept_agent(view, seconds / 2, target.clock)
    if kept:
        outcome.add_finding(kept.rule, kept.severity, kept.sentence, kept.step or 0)


def probe_determinism(target: CheckTarget, seconds: float) -> ProbeResult:
    """Play whole episodes twice with the same seeds and actions: they must be equal."""
    outcome = ProbeResult()
    with closing(make_vector_env(target.env, target.env_kwargs, 1)) as env:
        scales = list_running_scales(env)
    if target.nondeterministic and not scales:
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
    if scales or (steps and _are_scaled(pairs)):
        _report_running_scale(scales, pairs, outcome)
    elif steps and (resumed := _describe_resumed(first)):
        outcome.add_finding("reset_keeps_state", "warn", resumed)
    elif steps:
        outcome.add_finding(
            "same_seed",
            "warn",
            f"{len(steps)} of {len(pairs)} episodes went differently when they were played again "
            f"from the same seed with the same actions (seen first after {min(steps)} steps)"
            f"{_blame_reset(target, first, pairs)}",
        )
    return outcome


def _report_running_scale(
    scales: list[str], pairs: list[tuple[Episode, Episode]], outcome: ProbeResult
) -> None:
    """Add the finding that rewards or observations are in units that move."""
    who = f"the wrapper {' and '.join(scales)}" if scales else "it"
    seen = next(
        (
            f": the same action from the same seed was paid {one.rewards[n]:.4g} at first and "
            f"{two.rewards[n]:.4g} after other episodes (step {n + 1})"
            for one, two in reversed(pairs)
            for n in range(min(len(one.rewards), len(two.rewards)))
            if one.rewards[n] != two.rewards[n]
        ),
        "",
    )
    what = "observations" if scales == ["NormalizeObservation"] else "rewards"
    outcome.add_finding(
        "moving_units", "warn", f"{who} scales {what} by what was seen so far{seen}"
    )


def _are_scaled(pairs: list[tuple[Episode, Episode]]) -> bool:
    """Return whether only the rewards differ, nearly all of them, and by their size alone."""
    if any(one.observation_keys != two.observation_keys for one, two in pairs):
        return False
    both = [(np.array(one.rewards), np.array(two.rewards)) for one, two in pairs]
    left, right = (np.concatenate(side) for side in zip(*both, strict=True))
    paid = (left != 0) | (right != 0)
    differ = (np.sign(left) == np.sign(right)) & (left != right)
    return bool(paid.sum() >= FEWEST_PAID and differ[paid].mean() >= SCALED_FRACTION)


def _describe_resumed(episodes: list[Episode]) -> str:
    """Describe resets that show the end of the episode before; empty if they do not."""
    first = _flatten(episodes[0].first)
    joints = [(_flatten(a.last), _flatten(b.first)) for a, b in itertools.pairwise(episodes)]
    if len(joints) < FEWEST_RESETS or any(part.shape != first.shape for j in joints for part in j):
        return ""
    lasts, starts = np.array(joints).swapaxes(0, 1)
    # An entry that never differs from the first start may be the same in every step.
    resumed = (lasts == starts).all(0) & (starts != first).any(0)
    if not resumed.any():
        return ""
    entry = int(resumed.argmax())
    return (
        f"in {len(joints)} of {len(joints)} resets the first observation continued the episode "
        f"before: {resumed.sum()} of {len(resumed)} entries were those of its last step, such as "
        f"{starts[-1][entry]}, where the first episode began at {first[entry]}"
    )


def _flatten(columns: Mapping[str, Array]) -> Array:
    return np.concatenate([np.ravel(part) for part in columns.values()])


def _blame_reset(
    target: CheckTarget, first: list[Episode], pairs: list[tuple[Episode, Episode]]
) -> str:
    """Return that a reset keeps something, if an episode differs only after others."""
    if len(first) < 2 or len(pairs) < len(first) or _find_difference(*pairs[-1]) is None:
        return ""
    again = [play_plans(target, [EpisodePlan(0, 0)])[0] for _ in range(FRESH)]
    if any(_find_difference(first[0], one) is not None for one in again):
        return ""
    return (
        f"; in {FRESH} new copies the first of them did not. reset() keeps something of earlier "
        "episodes, such as a part of the state or a generator that its seed does not reach"
    )


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
