"""Probe ``conformance``: does the environment keep Gymnasium's rules, and its promise of a seed?"""

from __future__ import annotations

from envs.checking import examine
from envs.masks import FORMS
from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.playing import Episode, Plan, play
from tune_jobs.health.check.subject import Subject

EPISODES, STEPS = 200, 20_000
"""How much random play looks for broken rules at most."""
SEEDS = 8
"""Starts from which episodes are lived through twice."""
BROKEN = frozenset({"cannot_be_made", "raises", "reset_returns", "step_returns"})
"""Violations after which nothing else can be tried."""


def rules(subject: Subject, seconds: float) -> Outcome:
    """Gymnasium's own checker, then random episodes (``envs.checking``)."""
    outcome = Outcome()
    found = examine(subject.make, EPISODES, STEPS, seconds)
    outcome.figures["violations"] = sum(v.severity != "note" for v in found.violations)
    outcome.not_judged = dict(found.cut_short)
    for violation in found.violations:
        outcome.find(violation.rule, violation.severity, violation.sentence, violation.step or 0)
    if not any(violation.rule in BROKEN for violation in found.violations):
        _mask(subject, outcome)
    return outcome


def _mask(subject: Subject, outcome: Outcome) -> None:
    """What a mask that no policy reads means for training."""
    form, raised = subject.unread_mask, subject.illegal_raises
    if raised is not None:
        outcome.find(raised.rule, "stop", raised.sentence, raised.step or 0)
    elif form is not None:
        outcome.find(
            "mask_unread",
            "note",
            f"the environment says which actions are legal by {FORMS[form]}, which no policy here "
            "reads; it takes illegal actions without raising, so that training is possible",
        )


def determinism(subject: Subject, seconds: float) -> Outcome:
    """Whole episodes twice from the same seeds with the same actions: they must be the same."""
    outcome = Outcome()
    if subject.nondeterministic:
        outcome.not_judged["same_seed"] = "the environment is registered as nondeterministic"
        return outcome
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
