"""Probe ``overfit``: does the algorithm improve on a few starts within seconds?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import PROGRESS
from algos.rollouts.env_factory import find_env_spec
from algos.settings.training import TrainingSettings
from envs.contract.pytree import Array
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.gradient_probe import choose_rollout_length
from tune_jobs.check.rollouts import EpisodePlan, play_plans
from tune_jobs.check.statistics import compute_welch_gap

LR = 1e-3
"""Learning rate: higher than the default, as the problem is small."""
ERRORS = 3.0
"""Standard errors by which the last third must exceed random play."""
CLEAR_ERRORS = 6.0
"""Standard errors at which training ends early."""
MIN_EPISODES = 8
"""Minimum number of episodes in the last third."""
BALANCED = 1e-6
"""Share of the size of all returns up to which their sum is a rounding error."""
ID = "RungwiseFixedStarts-v0"
"""The target's environment with few starts: a small problem that must be learnable."""
STARTS = 4
"""Number of seeds that episodes start from."""


def probe_overfit(target: CheckTarget, seconds: float) -> ProbeResult:
    """Train until the time is up and compare the last third's episodes with random play."""
    outcome = ProbeResult()
    target.validate_settings(target.make_small_settings())
    if why := target.explain_staged_training():
        outcome.not_judged["not_learnt_quickly"] = why
        return outcome
    started = target.clock()
    # The starts can be few only where the seed decides them and copies are made one at a time.
    fixed = target.world is None and "starts" in target.offered_needs
    # Before the training, which ends early once it is clearly better than this.
    chance = _play_randomly(target, seconds / 10, fixed)
    copies = 64 if target.world is not None else 8
    length = choose_rollout_length(target, seconds / 4, copies, 128)
    settings = target.make_small_settings(copies, length, lr=LR)
    returns, weights = _train(target, settings, fixed, started + seconds, chance)
    last = _join_last_third(returns)
    # Welch's form, as a policy in training and random play differ in their variance.
    errors = compute_welch_gap(chance, last)
    if fixed and errors >= ERRORS:  # else nothing was learnt that other starts could confirm
        fresh = _play_other_starts(target, settings, weights, seconds / 10)
        outcome.figures["fresh_errors"] = compute_welch_gap(
            _play_randomly(target, seconds / 10, fixed=False), fresh
        )
    outcome.figures |= {
        "starts": STARTS if fixed else None,
        "seconds": target.clock() - started,
        "iterations": len(returns),
        "steps": len(returns) * settings.rows_per_iteration,
        "return_random": float(chance.mean()) if chance.size else None,
        "return_last": float(last.mean()) if last.size else None,
        "standard_errors": errors,
    }
    if _is_zero_sum(target, returns):
        outcome.not_judged["not_learnt_quickly"] = (
            "what one agent of a zero-sum game wins another loses: their mean return cannot rise"
        )
    elif not math.isfinite(errors):
        outcome.not_judged["not_learnt_quickly"] = "a return was not a finite number"
    # The error of a mean of a few episodes is itself too uncertain for a verdict.
    elif min(len(last), len(chance)) < MIN_EPISODES:
        outcome.not_judged["not_learnt_quickly"] = (
            f"too few episodes ended in {seconds:.0f} s ({len(last)} at the end of training, "
            f"{len(chance)} of random play; {MIN_EPISODES} are needed)"
        )
    elif fixed and np.ptp(np.concatenate([chance, *returns])) == 0:
        outcome.add_finding(
            "not_learnt_quickly",
            "note",
            f"every episode from the same {STARTS} starts returned {chance.mean():.4g}, in random "
            f"play and in {len(returns)} iterations of {target.algo}",
            remedy="Other starts may show more: these few give nothing to learn from.",
        )
    # Only a note: many healthy tasks need more than some seconds.
    elif errors < ERRORS:
        outcome.add_finding(
            "not_learnt_quickly",
            "note",
            f"{len(returns)} iterations of {target.algo} ({seconds:.0f} s) brought a return of "
            f"{last.mean():.4g}, {errors:.1f} standard errors above random play"
            f"{' from the same 4 starts' if fixed else ''}",
        )
    return outcome


def has_learnt(figures: Mapping[str, Any]) -> bool:
    """Return whether the figures of this probe show that a short training has improved."""
    errors = figures.get("standard_errors")
    return errors is not None and errors >= ERRORS


def has_generalised(figures: Mapping[str, Any]) -> bool:
    """Return whether what was learnt helps from other starts, too: it is not their noise."""
    return has_learnt(figures) and figures.get("fresh_errors", math.inf) >= ERRORS


def _is_zero_sum(target: CheckTarget, returns: list[Any]) -> bool:
    """Return whether the returns of the agents of a game, in any iteration, sum to zero."""
    played = np.concatenate([np.zeros(0), *returns])
    size = float(np.abs(played).sum())
    return bool(target.agents > 1 and size and abs(played.sum()) <= BALANCED * size)


def _play_randomly(target: CheckTarget, seconds: float, fixed: bool) -> Any:
    """Return the returns of uniform play, from the same starts if they are fixed."""
    # Seeds of actions that are multiples of four: a new action in each step.
    plans = [EpisodePlan(i % STARTS if fixed else i, 4 * i) for i in range(64)]
    return np.array([e.episode_return for e in play_plans(target, plans, seconds) if e.end])


def _play_other_starts(
    target: CheckTarget, settings: TrainingSettings, weights: Mapping[str, Array], seconds: float
) -> Array:
    """Return the returns of the learnt policy from any start."""
    runner = target.make_runner(target.make_config(settings))
    deadline = target.clock() + seconds
    returns = [np.zeros(0)]
    try:
        runner.module.set_state(weights)
        while target.clock() < deadline and sum(map(len, returns)) < 64:
            returns.append(runner.sample()[1]["episodes"].get("episode_return", np.zeros(0)))
    finally:
        runner.stop()
    return np.concatenate(returns)


def _join_last_third(returns: list[Any]) -> Any:
    return np.concatenate([np.zeros(0), *returns[-math.ceil(len(returns) / 3) :]])


def _train(
    target: CheckTarget, settings: TrainingSettings, fixed: bool, deadline: float, chance: Array
) -> tuple[list[Any], Any]:
    """Train; return the returns of the episodes that ended in each iteration, and the weights."""
    config = target.make_config(settings)
    if fixed:
        config = target.make_config(
            settings, ID, {"env": target.env, "env_kwargs": target.env_kwargs}
        )
    runner = target.make_runner(config)
    try:
        learner = config.build_learner(spaces=runner.get_spaces())
        returns: list[Any] = []
        while target.clock() < deadline:
            module: Any = learner.module[DEFAULT_MODULE_ID]
            # On-policy: each rollout must come from the weights of the last update.
            runner.module.set_state(module.get_state())
            rows, statistics = runner.sample()
            returns.append(statistics["episodes"].get("episode_return", np.zeros(0)))
            rows, _ = target.algorithm.objective_class(settings).preprocess_batch(rows)
            # Preprocessing may leave no row, for example where all groups have equal returns.
            if len(rows):
                learner.update(training_data=TrainingData(batch=rows), timesteps={PROGRESS: 1e-3})
            last = _join_last_third(returns)
            if (
                # Few iterations are too early to end: their last third is one or two lucky batches.
                len(returns) > 5
                and len(last) >= MIN_EPISODES
                and compute_welch_gap(chance, last) > CLEAR_ERRORS
            ):
                break
    finally:
        runner.stop()
    return returns, learner.module[DEFAULT_MODULE_ID].get_state()


class FixedStarts(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Starts every episode with one of the seeds 0 to ``starts`` - 1."""

    def __init__(self, env: gymnasium.Env[Any, Any], starts: int) -> None:
        super().__init__(env)
        self.starts, self.next_start = starts, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset to the next start, or to the one of the given seed."""
        self.next_start = (self.next_start + 1 if seed is None else seed) % self.starts
        return self.env.reset(seed=self.next_start, options=options)


def make_fixed_starts(env: str, env_kwargs: dict[str, Any], starts: int = STARTS) -> FixedStarts:
    """Return the environment of this id with fixed starts."""
    return FixedStarts(gymnasium.make(find_env_spec(env), **env_kwargs), starts)


gymnasium.register(
    ID, entry_point=f"{__name__}:make_fixed_starts", disable_env_checker=True, order_enforce=False
)
