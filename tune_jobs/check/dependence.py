"""Probe ``dependence``: does it matter for the reward what is done?

From each of S starts (seeds) two ways to act are played twice each. If acting matters, plays of the
same actions are more alike than plays of different ones (``statistics.run_paired_test``). Twice:

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

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.paired_rollouts import (
    LEVEL,
    MIN_PAID_STARTS,
    NEGLIGIBLE,
    compare_immediate_rewards,
    count_informative_starts,
    figures,
    play_until_clear,
)
from tune_jobs.check.probe_result import ProbeResult
from tune_jobs.check.random_play import RewardSummary
from tune_jobs.check.rollouts import Episode, sample_random_play
from tune_jobs.check.statistics import PairedTest

SYMPTOM = "reward_blind_to_action"


def probe_dependence(subject: CheckTarget, seconds: float) -> ProbeResult:
    """Play, and judge; see the module's docstring."""
    outcome = ProbeResult()
    started = time.monotonic()
    played, pairs = play_until_clear(subject, seconds / 2, fresh=False)
    if not played:
        outcome.not_judged[SYMPTOM] = "no episode could be played four times in the time"
        return outcome
    four = [episode for start in played for episode in start]
    paid = RewardSummary(four)
    outcome.figures = {"repeated": figures(pairs), "starts_paid": count_informative_starts(played)}
    outcome.figures["observations_follow"] = _follow(played)
    outcome.figures["ended_fraction"] = float(np.mean([bool(e.end) for e in four]))
    if subject.world is not None:
        tried = compare_immediate_rewards(subject.world)
        outcome.figures |= {name: figures(found) for name, found in tried.items()}
    if paid.constant is not None:
        outcome.not_judged[SYMPTOM] = (
            f"no reward but {paid.constant:g} was met in {len(four)} episodes"
        )
        return outcome
    if pairs.noisy == 0 and pairs.differing:
        left = seconds - (time.monotonic() - started)
        _with_fresh_noise(subject, left, outcome)
    elif pairs.noisy and pairs.p_value <= LEVEL:
        pass  # it differs by itself, but more with what is done
    elif count_informative_starts(played) < MIN_PAID_STARTS:
        outcome.not_judged[SYMPTOM] = (
            f"only {count_informative_starts(played)} of {len(played)} starts paid something; "
            f"{MIN_PAID_STARTS} are needed"
        )
    elif outcome.figures["ended_fraction"] < 0.5:
        outcome.not_judged[SYMPTOM] = "most episodes were too long to be played to their end"
    elif pairs.noisy and pairs.detectable_fraction > 3 * NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _powerless(pairs)
    else:
        outcome.add_finding(SYMPTOM, "stop", _evidence(pairs, outcome))
    return outcome


def _with_fresh_noise(subject: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Whether the difference that the actions make is more than other luck."""
    if sample_random_play(subject, seconds).scale is None:
        outcome.not_judged[SYMPTOM] = "not all that is observed is a number"
        return
    _, pairs = play_until_clear(subject, seconds, fresh=True)
    outcome.figures["fresh_noise"] = figures(pairs)
    if pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing):
        return
    if pairs.detectable_fraction > NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _powerless(pairs)
        return
    outcome.add_finding(
        SYMPTOM,
        "warn",
        f"different ways to act from one start meet different rewards, but no more than the same "
        f"way with other luck does: they explain {pairs.variance_fraction:.1%} of the variance of "
        f"the return (p = {pairs.p_value:.2g}, {pairs.starts} starts, four plays each; "
        f"{pairs.detectable_fraction:.0%} would have been found)",
    )


def _follow(starts: list[list[Episode]]) -> float | None:
    """Share of starts from which different actions led to different observations."""
    return (
        float(np.mean([s[0].observation_checksum != s[2].observation_checksum for s in starts]))
        if starts
        else None
    )


def _evidence(pairs: PairedTest, outcome: ProbeResult) -> str:
    if pairs.noisy:
        share, p = pairs.variance_fraction, pairs.p_value
        told = f"the actions explain {share:.1%} of its variance, p = {p:.2g}"
    else:
        told = "the return is exactly the same"
    follow = outcome.figures["observations_follow"]
    seen = "nor do the observations" if not follow else "though the observations do"
    return (
        f"the reward does not depend on the actions ({seen}): from {pairs.starts} starts, "
        f"{outcome.figures['starts_paid']} of which paid something, two ways to act were played "
        f"twice each and {told}"
    )


def _powerless(pairs: PairedTest) -> str:
    return (
        f"{pairs.starts} starts with so much noise would show only an effect of "
        f"{pairs.detectable_fraction:.0%} of the variance or more (p = {pairs.p_value:.2g})"
    )
