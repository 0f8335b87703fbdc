"""Probe ``episodes``: do episodes end?"""

from __future__ import annotations

import numpy as np

from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.playing import STEPS
from tune_jobs.health.check.random_play import sample
from tune_jobs.health.check.subject import Subject

REMEDY = (
    "Return terminated=True where the task is over, and register the environment with "
    "`max_episode_steps`; where it goes on for ever on purpose a time limit still gives a return "
    "to judge by."
)


def episodes(subject: Subject, seconds: float) -> Outcome:
    """Whether random play ends by the task itself, by a time limit, or not at all."""
    outcome = Outcome()
    played = sample(subject, seconds).episodes
    lengths = np.array([len(e.rewards) for e in played])
    ended = [e for e in played if e.end]
    limit = _limit(subject)
    outcome.figures = {
        "episodes": len(ended),
        "steps": int(lengths.sum()),
        "length_mean": float(np.mean([len(e.rewards) for e in ended])) if ended else None,
        "length_max": int(lengths.max()),
        "terminated_share": _share([e.end == "terminated" for e in ended]),
        "truncated_share": _share([e.end == "truncated" for e in ended]),
        "time_limit": limit,
    }
    if ended:
        return outcome
    if lengths.max() < STEPS:
        outcome.not_judged["no_episode_ends"] = (
            f"there was time for {lengths.max()} steps of one episode only"
        )
        return outcome
    known = f"; its time limit of {limit} steps will end them" if limit else ", nor has it a limit"
    outcome.find(
        "no_episode_ends",
        "note" if limit else "warn",
        f"none of {len(played)} episodes of random play ended within {STEPS} steps{known}: until "
        "one ends there is no return, and nothing to compare trials by",
        REMEDY,
    )
    return outcome


def _limit(subject: Subject) -> int | None:
    env = subject.make()
    env.close()
    return env.spec.max_episode_steps if env.spec else None


def _share(values: list[bool]) -> float | None:
    return float(np.mean(values)) if values else None
