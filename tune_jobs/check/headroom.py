"""Probe ``headroom``: is there anything to learn, and is a simple policy already optimal?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from algos.actions.values import has_bounds
from algos.rollouts.episodes import play_episodes
from envs.contract import counter_rng
from tune_jobs.check.action_box import judge_box
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.random_play import report_rare_rewards
from tune_jobs.check.rollouts import (
    STEPS,
    Episode,
    EpisodePlan,
    compute_key,
    play_plans,
    to_named_arrays,
)
from tune_jobs.check.statistics import compute_paired_gap

EPISODES, MAX_EPISODES = 64, 512
"""Number of seeds per policy: in batched worlds, and at most in other environments."""
MAX_ACTIONS = 6
"""Maximum number of constant actions that are tried."""
MAX_NAMED = 6
"""Parts of an action up to which its name lists them."""
ERRORS = 3.0
"""Standard errors above which two means differ."""
FEWEST, FEWEST_EQUAL = 8, 36
"""Episodes of each policy from which means are compared, and from which they may be called equal:
then a difference of half a standard deviation would be seen."""

Array = np.ndarray[Any, Any]


def probe_headroom(target: CheckTarget, seconds: float) -> ProbeResult:
    """Play random actions, simple policies and a planner, if any, on the same seeds."""
    outcome = ProbeResult()
    play = _play_baselines if target.world else partial(_play_constants, outcome=outcome)
    returns_by_rule, is_cut = play(target, seconds)
    least = min(len(returns) for returns in returns_by_rule.values())
    # The same seeds for all, so that the differences are paired and the luck of the start cancels.
    returns_by_rule = {name: returns[:least] for name, returns in returns_by_rule.items()}
    finite = np.isfinite(list(returns_by_rule.values())).all(0)
    returns_by_rule = {name: returns[finite] for name, returns in returns_by_rule.items()}
    played, least = least, int(finite.sum())
    chance, outcome.figures = returns_by_rule["random"], {"episodes": least}
    gaps: dict[str, float] = {}
    # Also where nothing else can be played: it is the one return of random play that is shown.
    for name, returns in returns_by_rule.items() if least > 1 else ():
        gaps[name] = compute_paired_gap(chance, returns)
        outcome.figures[name] = {
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std()),
            "above_random": gaps[name],
        }
    if not target.world and len(returns_by_rule) < 2:
        _explain_missing_constants(target.spaces[1], outcome)
        return outcome
    # The policies may differ in how often they fail, and the seeds that are left do not show that.
    if least < played:
        outcome.not_judged["no_headroom_seen"] = (
            f"on {played - least} of {played} seeds a policy had a return that is not a finite "
            "number; the figures leave these out"
        )
        return outcome
    if least < FEWEST or len(returns_by_rule) < 2:
        outcome.not_judged["no_headroom_seen"] = (
            f"there was time for {least} episodes of each of {len(returns_by_rule)} policies"
        )
        return outcome
    best = max(returns_by_rule, key=lambda name: float(returns_by_rule[name].mean()))
    outcome.figures["best"] = best
    rules = "the simple policies of the family" if target.world else "a constant action"
    means = ", ".join(f"{name} {returns.mean():.4g}" for name, returns in returns_by_rule.items())
    if is_cut:
        outcome.figures["most_steps"] = STEPS
        means += f"; of the first {STEPS} steps of an episode"
    # In both directions: a policy that is much worse than chance shows that actions matter.
    if all(abs(gap) < ERRORS for gap in gaps.values()):
        if least < FEWEST_EQUAL:
            outcome.not_judged["no_headroom_seen"] = (
                f"{least} episodes of each policy show no difference ({means}), but it takes "
                f"{FEWEST_EQUAL} to say that there is none"
            )
            return outcome
        outcome.add_finding(
            "no_headroom_seen",
            "note",
            f"on the same {least} seeds {rules} and random play show no clear difference ({means})",
        )
    elif best != "random" and not target.world and gaps[best] > ERRORS:
        outcome.add_finding(
            "constant_action_beats_random",
            "note",
            f"one constant action ({best}) brings more than random play on the same {least} seeds "
            f"({means})",
        )
        constant = list_constant_actions(target.spaces[1]).get(best.removeprefix("always "))
        judge_box(target, constant, seconds / 3, outcome)
    return outcome


def _explain_missing_constants(space: spaces.Space[Any], outcome: ProbeResult) -> None:
    """Say why no action of a space can be repeated."""
    is_unbounded = _has_unbounded_part(space)
    kind = "without bounds" if is_unbounded else "of this kind"
    outcome.not_judged["no_headroom_seen"] = (
        f"there is nothing to compare random play with: an action {kind} has no ends or middle to "
        "repeat"
    )
    if is_unbounded:
        outcome.add_finding(
            "action_unbounded",
            "note",
            f"{space} has values without bounds: a policy draws them around 0, at a scale of about "
            "1 or less at first, and values of another size are hardly tried",
        )


def _has_unbounded_part(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return any(map(_has_unbounded_part, parts))
    return isinstance(space, spaces.Box) and not has_bounds(space)


def _play_baselines(target: CheckTarget, seconds: float) -> tuple[dict[str, Array], bool]:
    """Return the returns [N] of each baseline of the world, and that none was cut off."""
    world: Any = target.world
    agents = {"random": world.baselines["random"]} if "random" in world.baselines else {}
    agents |= world.baselines
    deadline = target.clock() + seconds
    keys = counter_rng.make_keys(0, EPISODES)
    returns_by_rule: dict[str, Array] = {}
    for name, agent in agents.items():
        returns = np.zeros(EPISODES)

        def act(state: object, observation: object, number: int, agent: Any = agent) -> Any:
            return agent(world, state, counter_rng.fold(keys, number + 2**20))

        for step in play_episodes(world.reset(keys), world.step, act, STEPS):
            returns += np.where(step.running, step.moved.reward, 0)
            if not step.left:
                returns_by_rule[name] = returns
            elif target.clock() > deadline:
                break
    if "random" not in returns_by_rule:
        plans = [EpisodePlan(seed, 4 * seed) for seed in range(EPISODES)]
        returns_by_rule["random"] = np.array(
            [e.episode_return for e in play_plans(target, plans, seconds)]
        )
    return returns_by_rule, False


def _play_constants(
    target: CheckTarget, seconds: float, outcome: ProbeResult
) -> tuple[dict[str, Array], bool]:
    """Return the returns [N] of random play and of constant actions, and if any were cut off."""
    actions = list_constant_actions(target.spaces[1])
    # Divided evenly, because the shortest series limits the pairs.
    seconds_each = seconds / (len(actions) + 1)
    plans = [EpisodePlan(seed, 4 * seed) for seed in range(MAX_EPISODES)]
    returns_by_rule: dict[str, Array] = {}
    is_cut, every = False, list[Episode]()
    for name, action in {"random": None, **{f"always {n}": a for n, a in actions.items()}}.items():
        episodes = play_plans(target, plans, seconds_each, constant=action)
        every += episodes
        played = [e for e in episodes if e.end or len(e.rewards) >= STEPS]
        if action is not None and (share := _measure_share(played, action)) < 1:
            name += f" in the {share:.0%} of steps where it is legal and random actions in others"
        returns_by_rule[name] = np.array([e.episode_return for e in played])
        is_cut |= not all(e.end for e in played)
    report_rare_rewards(every, outcome)
    return returns_by_rule, is_cut


def _measure_share(episodes: Sequence[Episode], action: object) -> float:
    """Return the share of the steps in which an action was taken; 1 where there are none."""
    key = compute_key(to_named_arrays(action))
    taken = [k == key for episode in episodes for k in episode.action_keys]
    return float(np.mean(taken)) if taken else 1.0


def list_constant_actions(space: spaces.Space[Any]) -> dict[str, Any]:
    """Return a few actions by name: all of a short list, the ends and the middle of a range.

    Of several parts, combinations of those of each. Empty where a part has no bounds.
    """
    if isinstance(space, spaces.Discrete):
        first = int(space.start)
        return {str(first + n): np.int64(first + n) for n in _spread(int(space.n))}
    if isinstance(space, spaces.Box) and has_bounds(space):
        # As floats, because the sum of two bytes may be no byte.
        middle = (space.low.astype(np.float64) + space.high) / 2
        ends = {"lowest": space.low, "middle": middle, "highest": space.high}
        return {name: np.asarray(v, space.dtype) for name, v in ends.items()}
    if isinstance(space, spaces.MultiBinary):
        return {f"all {bit}": np.full(space.shape, bit, space.dtype) for bit in (0, 1)}
    if isinstance(space, spaces.MultiDiscrete):
        numbers = zip(space.nvec.flat, space.start.flat, strict=True)
        parts = [("", spaces.Discrete(int(n), start=int(start))) for n, start in numbers]
        return _combine(parts, lambda values: np.reshape(values, space.shape).astype(space.dtype))
    if isinstance(space, spaces.Tuple):
        return _combine([("", part) for part in space.spaces], tuple)
    if isinstance(space, spaces.Dict):
        parts = list(space.spaces.items())
        return _combine(parts, lambda values: dict(zip(space.spaces, values, strict=True)))
    return {}


def _combine(
    parts: Sequence[tuple[str, spaces.Space[Any]]], join: Callable[[list[Any]], Any]
) -> dict[str, Any]:
    """Return an even sample of the combinations of the constant actions of named parts."""
    options = [
        [(f"{label} {name}".strip(), value) for name, value in list_constant_actions(part).items()]
        for label, part in parts
    ]
    actions: dict[str, Any] = {}
    for number in _spread(math.prod(map(len, options))):
        rest, chosen = number, list[tuple[str, Any]]()
        # The digits of the number, in a base for each part: the count of its options.
        for part in reversed(options):
            rest, digit = divmod(rest, len(part))
            chosen.insert(0, part[digit])
        words = ", ".join(name for name, _ in chosen)
        short = len(parts) <= MAX_NAMED
        name = f"({words})" if short else f"combination {len(actions) + 1}"
        actions[name] = join([value for _, value in chosen])
    return actions


def _spread(count: int) -> list[int]:
    """Return numbers below a count, evenly spread: all of a few, both ends of many."""
    most = min(count, MAX_ACTIONS)
    return [(count - 1) * i // max(most - 1, 1) for i in range(most)]
