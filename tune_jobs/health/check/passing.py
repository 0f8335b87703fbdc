"""Probe ``actions``: is what is stored to be learnt from what the environment was given?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tune_jobs.health.check.gradients import length_of
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.sampling import flat
from tune_jobs.health.check.subject import Subject


def actions(subject: Subject, seconds: float) -> Outcome:
    """Collect a rollout and compare its action columns with what reached ``step``."""
    outcome = Outcome()
    length = length_of(subject, seconds, copies=2, most=32)
    runner = subject.runner(subject.config(subject.small(2, length)))
    got: list[dict[str, Any]] = []
    try:
        _listen(runner.env, got)
        # The rollout itself: an algorithm's rows may be pairs or whole episodes.
        if "starts" in runner.needs:
            rollout, _ = runner._groups(None, runner.settings.group_size)
        else:
            rollout, _ = runner._rollout(length)
    finally:
        runner.stop()
    head = runner.module.head
    stored = {name: rollout.columns[name] for name in head.columns}
    differing = sum(
        not _same(flat(head.env_action({name: part[t] for name, part in stored.items()})), given)
        for t, given in enumerate(got)
    )
    outcome.figures = {"steps": len(got), "altered": differing}
    if differing:
        outcome.find(
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
            got.append({name: part.copy() for name, part in flat(action).items()})
            return step(action)

        env.step = noted
        return
    for place, single in enumerate(singles):
        single.step = _noting(single.step, place, len(singles), got)


def _noting(step: Any, place: int, count: int, got: list[dict[str, Any]]) -> Any:
    def noted(action: Any) -> Any:
        parts = flat(action)
        if place == 0:
            got.append({n: np.empty((count, *p.shape), p.dtype) for n, p in parts.items()})
        for name, part in parts.items():
            got[-1][name][place] = part
        return step(action)

    return noted


def _same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
