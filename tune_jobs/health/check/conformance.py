"""Probe ``conformance``: does the environment keep Gymnasium's rules, and its promise of a seed?"""

from __future__ import annotations

from envs.checking import conformance
from tune_jobs.health.check.episode import Episode, Plan
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.playing import play
from tune_jobs.health.check.subject import Subject
from tune_jobs.health.finding import Finding

SEEDS = 8
"""Starts from which episodes are lived through twice."""


def rules(subject: Subject, seconds: float) -> Outcome:
    """Gymnasium's own checker, then random episodes (``envs.checking``)."""
    outcome = Outcome()
    violations = conformance(subject.make, seconds=seconds)
    outcome.figures["violations"] = len(violations)
    remedy = "Mend the environment before training."
    outcome.findings = [
        Finding(v.rule, "stop", v.step or 0, v.sentence, remedy) for v in violations
    ]
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
            "Draw every random number from self.np_random after super().reset(seed=seed); look for "
            "np.random, random, a set's order, and state that reset() does not start anew.",
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
