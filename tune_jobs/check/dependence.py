"""Probe ``dependence``: does the reward depend on the actions?

From each of S starts (seeds) two action sequences are played twice each. If the actions matter,
plays of the same actions are more alike than plays of different ones
(``statistics.run_paired_test``). The test has two forms:

* ``repeated``: only the actions differ. Where the environment is deterministic given its seed, two
  plays of the same actions are equal, and one start from which different actions have different
  returns is proof; if there is none among many starts with a reward, the reward is independent.
* ``fresh_noise``: after the start the randomness is drawn anew for each play, and the actions are
  random functions of the observation (by then chance is part of the observation). A reward that a
  coin decides differs between action sequences that meet different tosses; here it is no more alike
  for the same function. The finding states how large an effect would have been detected.
"""

from __future__ import annotations

import numpy as np

from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.paired_rollouts import (
    LEVEL,
    MIN_PAID_STARTS,
    NEGLIGIBLE,
    SETTLED_P,
    compare_immediate_rewards,
    count_informative_starts,
    play_until_clear,
    summarise_test,
)
from tune_jobs.check.random_play import RewardSummary
from tune_jobs.check.rollouts import Episode, sample_random_play
from tune_jobs.check.statistics import PairedTest

SYMPTOM = "reward_blind_to_action"


def probe_dependence(target: CheckTarget, seconds: float) -> ProbeResult:
    """Test whether the reward depends on the actions; see the module's docstring."""
    outcome = ProbeResult()
    started = target.clock()
    played, pairs = play_until_clear(target, seconds / 2, fresh=False)
    if not played:
        outcome.not_judged[SYMPTOM] = "there was no time to play one episode four times"
        return outcome
    four = [episode for start in played for episode in start]
    paid = RewardSummary(four)
    outcome.figures = {
        "repeated": summarise_test(pairs),
        "starts_paid": count_informative_starts(played),
    }
    outcome.figures["observations_follow"] = _compute_follow_fraction(played)
    outcome.figures["ended_fraction"] = float(np.mean([bool(e.end) for e in four]))
    if target.world is not None:
        tests = compare_immediate_rewards(target.world)
        outcome.figures |= {name: summarise_test(test) for name, test in tests.items()}
    # Without any variation of the reward nothing can depend on it; the probe of rewards reports
    # that.
    if paid.constant is not None:
        outcome.not_judged[SYMPTOM] = (
            f"no reward but {paid.constant:g} was seen in {len(four)} episodes"
        )
        return outcome
    # Different actions meet different randomness in the same seeded stream, so a difference may
    # still be luck: the second form decides.
    if pairs.noisy == 0 and pairs.differing:
        left = seconds - (target.clock() - started)
        _judge_fresh_noise(target, left, outcome)
    elif pairs.noisy and pairs.p_value <= LEVEL:
        pass  # the return is noisy, but depends on the actions as well
    elif count_informative_starts(played) < MIN_PAID_STARTS:
        outcome.not_judged[SYMPTOM] = (
            f"only {count_informative_starts(played)} of {len(played)} starts had a reward; "
            f"{MIN_PAID_STARTS} are needed"
        )
    # A reward at the end of an episode has not been seen in plays that were cut off.
    elif outcome.figures["ended_fraction"] < 0.5:
        outcome.not_judged[SYMPTOM] = "most episodes were too long to be played to their end"
    elif pairs.noisy and pairs.detectable_fraction > 3 * NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _describe_power(pairs)
    else:
        # A slow machine plays few starts: a hint at an effect must not end a run.
        sure = not pairs.noisy or pairs.p_value > SETTLED_P
        outcome.add_finding(SYMPTOM, "stop" if sure else "warn", _describe_evidence(pairs, outcome))
    return outcome


def _judge_fresh_noise(target: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Test whether the difference between actions is larger than that of other randomness."""
    if sample_random_play(target, seconds).scale is None:
        outcome.not_judged[SYMPTOM] = "not all observations are numbers"
        return
    _, pairs = play_until_clear(target, seconds, fresh=True)
    outcome.figures["fresh_noise"] = summarise_test(pairs)
    if pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing):
        return
    # Absence of evidence: with so much noise a relevant effect could have been missed.
    if pairs.detectable_fraction > NEGLIGIBLE:
        outcome.not_judged[SYMPTOM] = _describe_power(pairs)
        return
    outcome.add_finding(
        SYMPTOM,
        "warn",
        f"different actions from one start give different rewards, but no more than the same "
        f"actions with other randomness: they explain {pairs.variance_fraction:.1%} of the "
        f"variance of the return (p = {pairs.p_value:.2g}, {pairs.starts} starts, four plays each; "
        f"{pairs.detectable_fraction:.0%} would have been detected)",
    )


def _compute_follow_fraction(starts: list[list[Episode]]) -> float | None:
    """Return the fraction of starts from which different actions gave different observations."""
    return (
        float(np.mean([s[0].observation_checksum != s[2].observation_checksum for s in starts]))
        if starts
        else None
    )


def _describe_evidence(pairs: PairedTest, outcome: ProbeResult) -> str:
    if pairs.noisy:
        fraction, p = pairs.variance_fraction, pairs.p_value
        effect = f"the actions explain {fraction:.1%} of its variance, p = {p:.2g}"
    else:
        effect = "the return is exactly the same"
    follow = outcome.figures["observations_follow"]
    seen = "nor do the observations" if not follow else "though the observations do"
    return (
        f"the reward does not depend on the actions ({seen}): from {pairs.starts} starts, "
        f"{outcome.figures['starts_paid']} of which had a reward, two action sequences were played "
        f"twice each and {effect}"
    )


def _describe_power(pairs: PairedTest) -> str:
    return (
        f"{pairs.starts} starts with this much noise would only show an effect of "
        f"{pairs.detectable_fraction:.0%} of the variance or more (p = {pairs.p_value:.2g})"
    )
