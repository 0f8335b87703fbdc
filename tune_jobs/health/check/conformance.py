"""Probe ``conformance``: does the environment keep Gymnasium's rules, and its promise of a seed?"""

from __future__ import annotations

from envs.checking import conformance
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.playing import Episode, Plan, play
from tune_jobs.health.check.subject import Subject

SEEDS = 8
"""Starts from which episodes are lived through twice."""


def rules(subject: Subject, seconds: float) -> Outcome:
    """Gymnasium's own checker, then random episodes (``envs.checking``)."""
    outcome = Outcome()
    violations = conformance(subject.make, seconds=seconds)
    outcome.figures["violations"] = len(violations)
    for violation in violations:
        outcome.find(violation.rule, "stop", violation.sentence, violation.step or 0)
    return outcome


def determinism(subject: Subject, seconds: float) -> Outcome:
    """Whole episodes twice from the same seeds with the same actions: they must be the same."""
    outcome = Outcome()
    plans = [Plan(seed, seed) for seed in range(SEEDS)]
    first = play(subject, plans, seconds / 2)
    second = play(subject, plans[: len(first)], seconds)
    pairs = list(zip(first, second, strict=False))
    steps = [step for one, two in pairs if (step := _difference(one, two)) is not None]
    outcome.figures = {"episodes_twice": len(pairs), "differing": len(steps)}
    if steps:
        outcome.find(
            "same_seed",
            "stop",
            f"{len(steps)} of {len(pairs)} episodes went differently when they were played again "
            f"from the same seed with the same actions (seen first after {min(steps)} steps)",
        )
    return outcome


def _difference(one: Episode, two: Episode) -> int | None:
    """The step at which two episodes are seen to differ; None if they agree as far as they go."""
    both = min(len(one.rewards), len(two.rewards))
    for step in range(both):
        if one.rewards[step] != two.rewards[step]:
            return step + 1
    longer = len(one.rewards) != len(two.rewards)
    if longer:  # one was left for want of time, or they ended at different steps
        return both if one.end and two.end else None
    return both if one.seen != two.seen else None
