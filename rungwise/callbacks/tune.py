"""A stopper of Ray Tune, for trainables of any kind."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Any

from ray.tune import Stopper

from rungwise.judging.watch import TimeLimit, Watch


class HealthStopper(Stopper):
    """Judges the results of each trial by themselves, and ends those that a finding calls for.

    Args:
        options: those of :class:`Watch`.
    """

    def __init__(self, **options: Any) -> None:
        Watch(**options)  # Wrong options are refused before any trial starts.
        # One process judges all trials.
        make_watch = partial(Watch, **{"time_limit": TimeLimit(), **options})
        self.watches: defaultdict[str, Watch] = defaultdict(make_watch)
        """The watch of each trial, by its id."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether to end the trial at this result."""
        self.watches[trial_id].feed(result)
        return self.watches[trial_id].should_stop

    def stop_all(self) -> bool:
        """Return that no finding in one trial ends the others."""
        return False
