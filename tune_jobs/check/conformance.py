"""Probe ``conformance``: does the environment keep Gymnasium's rules, and its promise of a seed?"""

from __future__ import annotations

from envs.action_masks import FORMS
from envs.checking.env_checker import examine
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.rollouts import Episode, EpisodePlan, play_episodes

EPISODES, STEPS = 200, 20_000
"""How much random play looks for broken rules at most."""
SEEDS = 8
"""Starts from which episodes are lived through twice."""
BROKEN = frozenset({"cannot_be_made", "raises", "reset_returns", "step_returns"})
"""Violations after which nothing else can be tried."""


def probe_conformance(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Gymnasium's own checker, then random episodes (``envs.checking.env_checker``)."""
    outcome = ProbeResult()
    found = examine(subject.make_env, EPISODES, STEPS, seconds)
    outcome.figures["violations"] = sum(v.severity != "note" for v in found.violations)
    outcome.not_judged = dict(found.cut_short)
    for violation in found.violations:
        outcome.add_finding(
            violation.rule, violation.severity, violation.sentence, violation.step or 0
        )
    if not any(violation.rule in BROKEN for violation in found.violations):
        _mask(subject, outcome)
    return outcome


def _mask(subject: CheckTarget, outcome: ProbeResult) -> None:
    """What a mask that no policy reads means for training."""
    form, raised = subject.unread_mask, subject.illegal_raises
    if raised is not None:
        outcome.add_finding(raised.rule, "stop", raised.sentence, raised.step or 0)
    elif form is not None:
        outcome.add_finding(
            "mask_unread",
            "note",
            f"the environment says which actions are legal by {FORMS[form]}, which no policy here "
            "reads; it takes illegal actions without raising, so that training is possible",
        )


def probe_determinism(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Whole episodes twice from the same seeds with the same actions: they must be the same."""
    outcome = ProbeResult()
    if subject.nondeterministic:
        outcome.not_judged["same_seed"] = "the environment is registered as nondeterministic"
        return outcome
    plans = [EpisodePlan(seed, seed) for seed in range(SEEDS)]
    first = play_episodes(subject, plans, seconds / 2)
    second = play_episodes(subject, plans[: len(first)], seconds)
    pairs = list(zip(first, second, strict=False))
    steps = [step for one, two in pairs if (step := _difference(one, two)) is not None]
    outcome.figures = {"episodes_twice": len(pairs), "differing": len(steps)}
    if steps:
        outcome.add_finding(
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
    return both if one.observation_checksum != two.observation_checksum else None
