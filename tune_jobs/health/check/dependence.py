"""Probe ``dependence``: does it matter for the reward what is done?

From each of S starts (seeds) two ways to act are played twice each. If acting matters, plays of the
same actions are more alike than plays of different ones (``statistics.paired``). Twice:

* ``repeated``: everything else alike. Where the environment keeps its seed the two plays of the
  same actions are equal, and one start from which different actions were worth a different return
  is proof; if there is none among many starts that paid something, the reward is blind.
* ``fresh_noise``: after the start the randomness is drawn anew for each play, and the ways to act
  are rules drawn at random (what is done depends on what is seen, as chance is by now part of what
  is seen). A reward that a coin decides differs between actions that meet different tosses; here it
  is no more alike for the same rule. How large an effect would have been found is part of the
  answer.
"""

from __future__ import annotations

import time

import numpy as np

from tune_jobs.health.check.outcome import Outcome
from tune_jobs.health.check.pairing import (
    ENOUGH,
    LEVEL,
    NEGLIGIBLE,
    figures,
    immediate,
    informed,
    looks,
)
from tune_jobs.health.check.playing import Episode, sample
from tune_jobs.health.check.random_play import Paid
from tune_jobs.health.check.statistics import Pairs
from tune_jobs.health.check.subject import Subject

SYMPTOM = "reward_blind_to_action"


def dependence(subject: Subject, seconds: float) -> Outcome:
    """Play, and judge; see the module's docstring."""
    outcome = Outcome()
    started = time.monotonic()
    played, pairs = looks(subject, seconds / 2, fresh=False)
    if not played:
        outcome.not_judged[SYMPTOM] = "no episode could be played four times in the time"
        return outcome
    four = [episode for start in played for episode in start]
    paid = Paid(four)
    outcome.figures = {"repeated": figures(pairs), "starts_paid": informed(played)}
    outcome.figures["observations_follow"] = _follow(played)
    outcome.figures["ended_share"] = float(np.mean([bool(e.end) for e in four]))
    if subject.world is not None:
        tried = immediate(subject.world)
        outcome.figures |= {name: figures(found) for name, found in tried.items()}
    if paid.constant is not None:
        outcome.not_judged[SYMPTOM] = (
            f"no reward but {paid.constant:g} was met in {len(four)} episodes"
        )
        return outcome
    if pairs.noisy == 0 and pairs.differing:
        left = seconds - (time.monotonic() - started)
        _with_fresh_noise(subject, left, outcome)
    elif pairs.noisy and pairs.p <= LEVEL:
        pass  # it differs by itself, but more with what is done
    elif informed(played) < ENOUGH:
        outcome.not_judged[SYMPTOM] = (
            f"only {informed(played)} of {len(played)} starts paid something; {ENOUGH} are needed"
        )
    elif outcome.figures["ended_share"] < 0.5:
        outcome.not_judged[SYMPTOM] = "most episodes were too long to be played to their end"
    elif pairs.noisy and pairs.detectable > 3 * NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _powerless(pairs)
    else:
        outcome.find(SYMPTOM, "stop", _evidence(pairs, outcome))
    return outcome


def _with_fresh_noise(subject: Subject, seconds: float, outcome: Outcome) -> None:
    """Whether the difference that the actions make is more than other luck."""
    if sample(subject, seconds).scale is None:
        outcome.not_judged[SYMPTOM] = "not all that is observed is a number"
        return
    _, pairs = looks(subject, seconds, fresh=True)
    outcome.figures["fresh_noise"] = figures(pairs)
    if pairs.p <= LEVEL or (pairs.noisy == 0 and pairs.differing):
        return
    if pairs.detectable > NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _powerless(pairs)
        return
    outcome.find(
        SYMPTOM,
        "warn",
        f"different ways to act from one start meet different rewards, but no more than the same "
        f"way with other luck does: they explain {pairs.share:.1%} of the variance of the return "
        f"(p = {pairs.p:.2g}, {pairs.starts} starts, four plays each; {pairs.detectable:.0%} would "
        "have been found)",
    )


def _follow(starts: list[list[Episode]]) -> float | None:
    """Share of starts from which different actions led to different observations."""
    return float(np.mean([s[0].seen != s[2].seen for s in starts])) if starts else None


def _evidence(pairs: Pairs, outcome: Outcome) -> str:
    if pairs.noisy:
        told = f"the actions explain {pairs.share:.1%} of its variance, p = {pairs.p:.2g}"
    else:
        told = "the return is exactly the same"
    follow = outcome.figures["observations_follow"]
    seen = "nor do the observations" if not follow else "though the observations do"
    return (
        f"the reward does not depend on the actions ({seen}): from {pairs.starts} starts, "
        f"{outcome.figures['starts_paid']} of which paid something, two ways to act were played "
        f"twice each and {told}"
    )


def _powerless(pairs: Pairs) -> str:
    return (
        f"{pairs.starts} starts with so much noise would show only an effect of "
        f"{pairs.detectable:.0%} of the variance or more (p = {pairs.p:.2g})"
    )
