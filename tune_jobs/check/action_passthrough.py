"""Probe ``actions``: are the stored actions those that the environment received?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.gradient_probe import choose_rollout_length
from tune_jobs.check.rollouts import to_named_arrays


def probe_actions(target: CheckTarget, seconds: float) -> ProbeResult:
    """Collect a rollout and compare its action columns with what reached ``step``."""
    outcome = ProbeResult()
    # Two copies, to notice actions that reach the wrong copy.
    length = choose_rollout_length(target, seconds, copies=2, most=32)
    runner = target.make_runner(target.make_config(target.make_small_settings(2, length)))
    received: list[dict[str, Any]] = []
    try:
        _record_actions(runner.env, received)
        # The rollout itself: an algorithm's rows may be pairs or whole episodes.
        rollout, _ = runner.collect(length)
    finally:
        runner.stop()
    head = runner.module.head
    stored = {name: rollout.columns[name] for name in head.columns}
    differing = sum(
        not _are_equal(
            to_named_arrays(head.to_env_action({name: part[t] for name, part in stored.items()})),
            given,
        )
        for t, given in enumerate(received)
    )
    outcome.figures = {"steps": len(received), "altered": differing}
    if differing:
        outcome.add_finding(
            "action_altered",
            "stop",
            f"in {differing} of {len(received)} steps the environment received other actions than "
            "those stored for training",
        )
    return outcome


def _record_actions(env: Any, received: list[dict[str, Any]]) -> None:
    """Record every batched action as close to the environments as possible."""
    # Wrappers of the vector environment may alter actions, so the innermost step is recorded.
    singles = getattr(env.unwrapped, "envs", None)
    if not singles:
        step = env.step

        def recording_step(action: object) -> Any:
            # A copy, because an environment may change the array or reuse it.
            received.append({name: part.copy() for name, part in to_named_arrays(action).items()})
            return step(action)

        env.step = recording_step
        return
    for index, single in enumerate(singles):
        single.step = _wrap_step(single.step, index, len(singles), received)


def _wrap_step(
    step: Callable[[Any], Any], index: int, count: int, received: list[dict[str, Any]]
) -> Callable[[Any], Any]:
    def recording_step(action: object) -> Any:
        parts = to_named_arrays(action)
        if index == 0:
            received.append({n: np.empty((count, *p.shape), p.dtype) for n, p in parts.items()})
        for name, part in parts.items():
            received[-1][name][index] = part
        return step(action)

    return recording_step


def _are_equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
