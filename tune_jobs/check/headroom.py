"""Probe ``headroom``: is there anything to learn, and does a simple rule already win?"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from gymnasium import spaces

from envs import counter_rng
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import STEPS, EpisodePlan, play_episodes
from tune_jobs.check.statistics import ROUNDING

EPISODES, SINGLE = 64, 512
"""Seeds that every rule plays: in our worlds, all at once, and of other environments, at most."""
MOST = 6
"""Constant actions that are tried."""
ERRORS = 3.0
"""Standard errors that make a difference."""

Array = np.ndarray[Any, Any]


def probe_headroom(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Random play, simple rules and, where a family has one, its planner, on the same seeds."""
    outcome = ProbeResult()
    found = _rules_of_family(subject, seconds) if subject.world else _constants(subject, seconds)
    least = min(len(returns) for returns in found.values())
    found = {name: returns[:least] for name, returns in found.items()}
    if least < 8 or len(found) < 2:
        outcome.not_judged["no_headroom_seen"] = (
            f"there was time for {least} episodes of each of {len(found)} rules"
        )
        return outcome
    chance = found["random"]
    outcome.figures = {"episodes": least} | {
        name: {"return_mean": float(r.mean()), "return_std": float(r.std()), "above_random": gap}
        for name, r in found.items()
        for gap in [_gap(r, chance)]
    }
    best = max(found, key=lambda name: float(found[name].mean()))
    outcome.figures["best"] = best
    gaps = {name: _gap(returns, chance) for name, returns in found.items() if name != "random"}
    rules = "the family's simple rules" if subject.world else "a constant action"
    if all(abs(gap) < ERRORS for gap in gaps.values()):
        outcome.add_finding(
            "no_headroom_seen",
            "note",
            f"on the same {least} seeds {rules} and random play bring the same return "
            f"({_list(found)})",
        )
    elif best != "random" and not subject.world and gaps[best] > ERRORS:
        outcome.add_finding(
            "constant_action_beats_random",
            "note",
            f"always doing the same ({best}) brings more than random play on the same {least} "
            f"seeds ({_list(found)})",
        )
    return outcome


def _rules_of_family(subject: CheckTarget, seconds: float) -> dict[str, Array]:
    """Returns [N] by agent of the world."""
    world: Any = subject.world
    agents = {"random": world.baselines["random"]} if "random" in world.baselines else {}
    agents |= world.baselines
    deadline = time.monotonic() + seconds
    found: dict[str, Array] = {}
    for name, agent in agents.items():
        keys = counter_rng.make_keys(0, EPISODES)
        state, _ = world.reset(keys)
        returns, ended = np.zeros(EPISODES), np.zeros(EPISODES, bool)
        for step in range(STEPS):
            moved = world.step(state, agent(world, state, counter_rng.fold(keys, step + 2**20)))
            returns += np.where(ended, 0, moved.reward)
            ended |= moved.terminated | moved.truncated
            state = moved.state
            if ended.all() or time.monotonic() > deadline:
                break
        if ended.all():
            found[name] = returns
    if "random" not in found:
        plans = [EpisodePlan(seed, 4 * seed) for seed in range(EPISODES)]
        found["random"] = np.array(
            [e.episode_return for e in play_episodes(subject, plans, seconds)]
        )
    return found


def _constants(subject: CheckTarget, seconds: float) -> dict[str, Array]:
    """Returns [N] of random play and of doing the same in every step."""
    made = subject.make_env()
    space = made.action_space
    made.close()
    fixed = _fixed(space)
    share = seconds / (len(fixed) + 1)
    plans = [EpisodePlan(seed, 4 * seed) for seed in range(SINGLE)]
    found = {"random": _returns(subject, plans, share, None)}
    for name, action in fixed.items():
        found[name] = _returns(subject, plans, share, action)
    return found


def _returns(subject: CheckTarget, plans: list[EpisodePlan], seconds: float, action: Any) -> Array:
    episodes = play_episodes(subject, plans, seconds, constant=action)
    return np.array([e.episode_return for e in episodes if e.end or len(e.rewards) >= STEPS])


def _fixed(space: spaces.Space[Any]) -> dict[str, Any]:
    """A few actions by name: every one of a short list; the ends and the middle of a range."""
    if isinstance(space, spaces.Discrete):
        numbers = np.unique(np.linspace(0, int(space.n) - 1, MOST).astype(int))
        return {f"always {n + int(space.start)}": np.int64(n + int(space.start)) for n in numbers}
    if isinstance(space, spaces.Box) and space.is_bounded():
        ends = {"lowest": space.low, "middle": (space.low + space.high) / 2, "highest": space.high}
        return {f"always {name}": np.asarray(v, space.dtype) for name, v in ends.items()}
    return {}


def _gap(returns: Array, chance: Array) -> float:
    """Standard errors of the mean difference, seed by seed."""
    difference = returns - chance
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    tiny = ROUNDING * max(float(np.abs(chance).max()), 1.0)
    return (
        float(difference.mean() / max(error, tiny))
        if np.ptp(difference) or error
        else (0.0 if abs(difference.mean()) <= tiny else float(np.sign(difference.mean())) * 1e6)
    )


def _list(found: dict[str, Array]) -> str:
    return ", ".join(f"{name} {returns.mean():.4g}" for name, returns in found.items())
