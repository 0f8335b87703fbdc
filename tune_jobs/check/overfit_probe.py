"""Probe ``overfit``: does the algorithm get better at a handful of starts within seconds?"""

from __future__ import annotations

import math
import time
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData

from algos.learning.learner import PROGRESS
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.gradients import choose_rollout_length
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import EpisodePlan, play_episodes
from tune_jobs.check.statistics import welch

LR = 1e-3
"""Learning rate: quicker than the default, as the problem is small."""
ERRORS = 3.0
"""Standard errors by which the last third must beat random play."""
CLEAR = 6.0
"""Standard errors after which nothing more needs to be seen."""
ENOUGH = 8
"""Episodes that the last third must have."""
ID = "RungwiseFixedStarts-v0"
"""The subject's environment with few starts: the tiny problem that must be learnable."""
STARTS = 4
"""Seeds that episodes begin with."""


def probe_overfit(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Train until the time is up; compare the last third's episodes with random play."""
    outcome = ProbeResult()
    if why := subject.explain_staged_training():
        outcome.not_judged["not_learnt_quickly"] = why
        return outcome
    started = time.monotonic()
    fixed = subject.world is None and "starts" in subject.offered_needs
    chance = _random(subject, seconds / 10, fixed)
    copies = 64 if subject.world is not None else 8
    length = choose_rollout_length(subject, seconds / 4, copies, 128)
    settings = subject.make_small_settings(copies, length, lr=LR)
    found = _train(subject, settings, fixed, started + seconds, chance)
    last = _last_third(found)
    errors = welch(chance, last)
    outcome.figures = {
        "starts": STARTS if fixed else None,
        "seconds": time.monotonic() - started,
        "iterations": len(found),
        "steps": len(found) * settings.rows_per_iteration,
        "return_random": float(chance.mean()) if chance.size else None,
        "return_last": float(last.mean()) if last.size else None,
        "standard_errors": errors,
    }
    if min(len(last), len(chance)) < ENOUGH:
        outcome.not_judged["not_learnt_quickly"] = (
            f"too few episodes ended in {seconds:.0f} s ({len(last)} at the end of training, "
            f"{len(chance)} of random play; {ENOUGH} are needed)"
        )
    elif errors < ERRORS:
        outcome.add_finding(
            "not_learnt_quickly",
            "note",
            f"{len(found)} iterations of {subject.algo} ({seconds:.0f} s) brought a return of "
            f"{last.mean():.4g}, random play {chance.mean():.4g}: {errors:.1f} standard errors "
            f"above it{', although there were only 4 starts' if fixed else ''}",
        )
    return outcome


def _random(subject: CheckTarget, seconds: float, fixed: bool) -> Any:
    """Returns of uniform play, from the same starts if they are fixed."""
    # Seeds of actions that are multiples of four: a new action in each step.
    plans = [EpisodePlan(i % STARTS if fixed else i, 4 * i) for i in range(64)]
    return np.array([e.episode_return for e in play_episodes(subject, plans, seconds) if e.end])


def _last_third(found: list[Any]) -> Any:
    return np.concatenate([np.zeros(0), *found[-math.ceil(len(found) / 3) :]])


def _train(
    subject: CheckTarget, settings: Any, fixed: bool, deadline: float, chance: Any
) -> list[Any]:
    """Returns of the episodes that ended in each iteration."""
    config = subject.make_config(settings)
    if fixed:
        config = subject.make_config(
            settings, ID, {"env": subject.env, "env_kwargs": subject.env_kwargs}
        )
    runner = subject.make_runner(config)
    try:
        made: Any = gymnasium.make(config.env, **config.env_config)
        learner = config.build_learner(env=made)
        made.close()
        found: list[Any] = []
        while time.monotonic() < deadline:
            module: Any = learner.module[DEFAULT_MODULE_ID]
            runner.module.set_state(module.get_state())
            rows, statistics = runner.sample()
            found.append(statistics["episodes"].get("episode_return", np.zeros(0)))
            rows, _ = subject.algorithm.objective_class(settings).preprocess_batch(rows)
            if len(rows):
                learner.update(training_data=TrainingData(batch=rows), timesteps={PROGRESS: 1e-3})
            last = _last_third(found)
            if len(found) > 5 and len(last) >= ENOUGH and welch(chance, last) > CLEAR:
                break
    finally:
        runner.stop()
    return found


class FixedStarts(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every episode has one of the seeds 0 to ``starts`` - 1, drawn from the seed it is given."""

    def __init__(self, env: gymnasium.Env[Any, Any], starts: int) -> None:
        super().__init__(env)
        self.starts, self.next_start = starts, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The next start in turn."""
        self.next_start = (self.next_start + 1 if seed is None else seed) % self.starts
        return self.env.reset(seed=self.next_start, options=options)


def make_fixed_starts(env: str, env_kwargs: dict[str, Any], starts: int = STARTS) -> FixedStarts:
    """The environment of that id with fixed starts."""
    return FixedStarts(gymnasium.make(env, **env_kwargs), starts)


gymnasium.register(
    ID, entry_point=f"{__name__}:make_fixed_starts", disable_env_checker=True, order_enforce=False
)
