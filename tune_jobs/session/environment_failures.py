"""Failures of a user's environment that a trial survives.

An exception of an environment is one of the user's code. It may come once in thousands of steps, so
training continues with new environments; where it always comes, the trial soon ends and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from algos.algorithm import ColumnAlgorithm
from algos.rollouts.environment_fault import EnvironmentFault
from algos.rollouts.watchdog import Watchdog
from tune_jobs.session.rllib_agent import RLlibAgent


class EnvironmentFailures:
    """The failures in a row of the environments of one trial.

    Args:
        allowed: failures in a row after which training continues (`max_failures`).
    """

    def __init__(self, allowed: int) -> None:
        self.allowed, self.count = allowed, 0
        self._unreported: list[str] = []

    def survive(
        self, agent: ColumnAlgorithm | RLlibAgent, call: Callable[[], Any], watchdog: Watchdog
    ) -> Any:
        """Return what the call returns; repeat it with new environments where they have failed.

        Nothing that was learnt is lost: an iteration learns only from a complete collection.

        Raises:
            EnvironmentFault: they failed once more than is allowed, or under RLlib, where an
                iteration cannot be repeated.
        """
        self.count = 0
        while True:
            try:
                with watchdog.watch():
                    if self.count and isinstance(agent, ColumnAlgorithm):
                        agent.renew_environments()
                    return call()
            except EnvironmentFault as error:
                self.count += 1
                if isinstance(agent, RLlibAgent) or self.count > self.allowed:
                    raise
                self._unreported.append(str(error))

    def take_unreported(self) -> list[str]:
        """Return what each failure survived since the last call said."""
        failures, self._unreported = self._unreported, []
        return failures
