"""Random play that several probes look at."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from tune_jobs.health.check.acting import Array, Scale, vector
from tune_jobs.health.check.episode import Episode, Plan
from tune_jobs.health.check.playing import play
from tune_jobs.health.check.subject import Subject


@dataclasses.dataclass
class Sample:
    """Episodes, what was seen in them, and how fast that went."""

    episodes: list[Episode]
    observed: list[Mapping[str, Array]]
    """Observation columns of one copy each."""
    speed: float
    """Steps in a second."""

    @cached_property
    def scale(self) -> Scale | None:
        """Mean and standard deviation of each entry observed; None if not all are numbers."""
        seen = np.stack([vector(columns) for columns in self.observed])
        if not np.issubdtype(seen.dtype, np.number):
            return None
        seen = seen.astype(np.float64)
        std = seen.std(0)
        return seen.mean(0), np.where(std > 0, std, 1.0)


def sample(subject: Subject, seconds: float) -> Sample:
    """Random play from as many starts as there is time for; played once for all probes."""
    if "sample" not in subject.shared:
        observed: list[Mapping[str, Array]] = []
        plans = [Plan(seed, seed) for seed in range(256)]
        started = time.monotonic()
        episodes = play(subject, plans[:1], seconds / 4, kept=observed)
        episodes += play(subject, plans[1:], seconds * 3 / 4, kept=observed)
        steps = sum(len(episode.rewards) for episode in episodes)
        speed = steps / (time.monotonic() - started)
        subject.shared["sample"] = Sample(episodes, observed, speed)
    return subject.shared["sample"]
