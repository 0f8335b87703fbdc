"""Probe ``actions``: is what is stored to be learnt from what the environment was given?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_jobs.check.action_sampler import to_named_arrays
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.gradients import choose_rollout_length
from tune_jobs.check.probe_result import ProbeResult


def probe_actions(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Collect a rollout and compare its action columns with what reached ``step``."""
    outcome = ProbeResult()
    length = choose_rollout_length(subject, seconds, copies=2, most=32)
    runner = subject.make_runner(subject.make_config(subject.make_small_settings(2, length)))
    got: list[dict[str, Any]] = []
    try:
        _listen(runner.env, got)
        # The rollout itself: an algorithm's rows may be pairs or whole episodes.
        rollout, _ = runner.collect(length)
    finally:
        runner.stop()
    head = runner.module.head
    stored = {name: rollout.columns[name] for name in head.columns}
    differing = sum(
        not _same(
            to_named_arrays(head.to_env_action({name: part[t] for name, part in stored.items()})),
            given,
        )
        for t, given in enumerate(got)
    )
    outcome.figures = {"steps": len(got), "altered": differing}
    if differing:
        outcome.add_finding(
            "action_altered",
            "stop",
            f"in {differing} of {len(got)} steps the environment was given other actions than the "
            "ones that are stored to be learnt from",
        )
    return outcome


def _listen(env: Any, got: list[dict[str, Any]]) -> None:
    """Note every batched action on its way in: as near to the environments as can be reached."""
    singles = getattr(env.unwrapped, "envs", None)
    if not singles:
        step = env.step

        def noted(action: Any) -> Any:
            got.append({name: part.copy() for name, part in to_named_arrays(action).items()})
            return step(action)

        env.step = noted
        return
    for place, single in enumerate(singles):
        single.step = _wrap_step(single.step, place, len(singles), got)


def _wrap_step(step: Any, place: int, count: int, got: list[dict[str, Any]]) -> Any:
    def noted(action: Any) -> Any:
        parts = to_named_arrays(action)
        if place == 0:
            got.append({n: np.empty((count, *p.shape), p.dtype) for n, p in parts.items()})
        for name, part in parts.items():
            got[-1][name][place] = part
        return step(action)

    return noted


def _same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
