"""Samples of remote runners, some of which may be busy, dead or restarting.

RLlib's EnvRunnerGroup holds the runners and restarts dead ones; these functions call it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from algos.rollouts.environment_fault import EnvironmentFault
from envs.contract.batched import BatchedVectorEnv

SYNC_TIMEOUT_S = 60.0
RESTART_S = 120.0
"""Time that a runner may take to restart where no other is left."""
AFTER_FAILURES = 2**16
"""From here on are the numbers, as many again, of starts after a failure of the environment: no
resume starts there, and they are within the bits that a recording has for an iteration."""
MAX_LOSSES = 3
"""Times that all runners may be lost in one iteration; more often is no accident."""


def collect_samples(group: Any, sample_kwargs: dict[str, Any]) -> list[Any]:
    """Sample on each healthy runner, or on the driver's own if there are no remote ones.

    Each sample is ``(rows, statistics)``, or the EnvironmentFault that was raised.
    ``sample_kwargs`` are arguments of the runner's ``sample``.
    """
    if not group.num_remote_env_runners():
        return [_sample_or_return_fault(group.local_env_runner, **sample_kwargs)]
    return group.foreach_env_runner(
        partial(_sample_or_return_fault, **sample_kwargs), local_env_runner=False
    )


def wait_for_restart(group: Any, restore: Callable[[Any], Any], losses: int) -> None:
    """Wait until one of the remote runners, all of which are lost, is back.

    Args:
        group: the runners.
        restore: takes back those that have been started again.
        losses: how often that has happened in this iteration, this time included.

    Raises:
        RuntimeError: too often, or none came back.
    """
    deadline = time.monotonic() + RESTART_S
    while losses <= MAX_LOSSES and time.monotonic() < deadline:
        restore(group)
        if group.num_healthy_remote_workers():
            return
        time.sleep(0.2)  # a call of a runner that is being started fails at once
    raise RuntimeError(
        f"All rollout workers died {losses} times in one iteration, or none restarted within "
        f"{RESTART_S:.0f} s: see the workers' logs."
    )


def reseed_runners(group: Any, iteration: int, ids: list[int] | None = None) -> None:
    """Give runners new randomness, from the iteration they begin at.

    Remote runners are not part of a checkpoint, and a restarted one has no state: without new
    randomness they would repeat their first episodes. The trial's own runner is, but for the state
    of environments other than our worlds, which matters unless each iteration begins by seeds.

    Args:
        group: the runners.
        iteration: iterations that are done.
        ids: remote runners that were restarted; None: all runners, after a restore.
    """
    local: Any = group.local_env_runner
    if ids is None and local is not None and local.env is not None:
        kept = isinstance(local.env, BatchedVectorEnv) or "starts" in local.needs
        if not kept:
            local.reseed(restored_at=iteration)
    group.foreach_env_runner(
        "reseed",
        kwargs={"restored_at": iteration},
        local_env_runner=False,
        remote_worker_ids=ids,
        timeout_seconds=SYNC_TIMEOUT_S,
    )


def renew_environments(group: Any) -> None:
    """Make the environments of all runners that collect anew, with new randomness, after a failure.

    Args:
        group: the runners.

    Raises:
        EnvironmentFault: they fail again while they are made.
    """
    remote = bool(group.num_remote_env_runners())
    # At random: a resume goes back to the same iteration and knows of no failure after it, and
    # episodes that have just failed must not be played again.
    start = AFTER_FAILURES + secrets.randbelow(AFTER_FAILURES)
    faults = group.foreach_env_runner(
        partial(_reseed_or_return_fault, restored_at=start),
        local_env_runner=not remote,
        timeout_seconds=SYNC_TIMEOUT_S,
    )
    for fault in faults:
        if fault is not None:
            raise fault


def _reseed_or_return_fault(runner: Any, restored_at: int) -> EnvironmentFault | None:
    """Start anew; return an environment's own failure as a value, which RLlib would swallow."""
    try:
        runner.reseed(restored_at)
    except EnvironmentFault as fault:
        return fault
    return None


def _sample_or_return_fault(runner: Any, **sample_kwargs: Any) -> Any:
    """Sample; return an environment's own failure as a value, which RLlib would swallow."""
    try:
        return runner.sample(**sample_kwargs)
    except EnvironmentFault as fault:
        return fault
