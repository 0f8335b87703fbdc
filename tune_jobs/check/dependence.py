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
  for the same function. The finding states how large an effect would have been detected. This form
  also judges an environment whose observations no seed decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from algos.models.base import to_observation_columns
from envs.contract import counter_rng
from envs.contract.batched import World
from envs.contract.pytree import Array
from tune_jobs.check.check_target import CheckTarget
from tune_jobs.check.findings import ProbeResult
from tune_jobs.check.random_agents import RandomActor, stack_actions
from tune_jobs.check.random_play import RewardSummary
from tune_jobs.check.rollouts import (
    STEPS,
    Episode,
    EpisodePlan,
    FixedNoiseError,
    play_plans,
    sample_random_play,
)
from tune_jobs.check.statistics import PairedTest, run_paired_test

SYMPTOM = "reward_blind_to_action"
START_COUNTS = (16, 64, 256, 1024, 2048, 4096)
"""Numbers of starts after which the test is repeated, as long as it is open and time is left."""
LEVEL = 0.05 / len(START_COUNTS)
"""Significance level of each test, so that all of them together have 5 %."""
MIN_PAID_STARTS = 8
"""Minimum number of starts with a reward before the reward may count as independent."""
NEGLIGIBLE = 0.08
"""Fraction of variance that must have been detectable before an absent effect is reported."""
SETTLED_P = 0.3
"""p-value up to which the plays hint at an effect that more of them might show."""
HINT_P = 0.1
"""p-value up to which an effect is not denied when the time is up."""
MIN_EQUAL_STARTS = 64
"""Number of rewarded starts and states tried that, without a difference, prove independence."""
COPIES, STATES = 64, 6
"""Number of copies, and of steps at which their states are tried."""


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
    starts_paid = count_informative_starts(played)
    # Whether different actions from a start gave different observations.
    follow = [s[0].observation_checksum != s[2].observation_checksum for s in played]
    outcome.figures = {
        "repeated": summarise_test(pairs),
        "starts_paid": starts_paid,
        "observations_follow": float(np.mean(follow)),
        "ended_fraction": float(np.mean([bool(e.end) for e in four])),
    }
    if target.world is not None:
        tests = compare_immediate_rewards(target.world)
        outcome.figures |= {name: summarise_test(test) for name, test in tests.items()}
    # On a reward that never varies nothing can depend; the probe of rewards reports that.
    if paid.constant is not None:
        outcome.not_judged[SYMPTOM] = (
            f"no reward but {paid.constant:g} was seen in {len(four)} episodes"
        )
        return outcome
    # Different actions meet different randomness in the same seeded stream, so a difference may
    # still be luck: the second form decides.
    if pairs.noisy == 0 and pairs.differing:
        _judge_fresh_noise(target, seconds - (target.clock() - started), outcome)
    elif pairs.noisy and pairs.p_value <= LEVEL:
        pass  # the return is noisy, but depends on the actions as well
    elif unseen := _describe_unseen(pairs, len(played), outcome):
        outcome.not_judged[SYMPTOM] = unseen
    # Actions fixed beforehand suit half of the states that they meet, whatever they are: in noise
    # only a function of the observation can show an effect.
    elif pairs.noisy:
        _judge_fresh_noise(target, seconds - (target.clock() - started), outcome)
    else:
        severity = "stop" if _are_actions_lost(outcome.figures) else "warn"
        outcome.add_finding(SYMPTOM, severity, _describe_evidence(pairs, outcome))
    return outcome


def _are_actions_lost(figures: Mapping[str, Any]) -> bool:
    """Return whether plays without a single difference show that no action has an effect.

    Where the actions change what is seen, a reward for it may be too rare to be met by chance.
    """
    step = figures.get("step", {"starts": 0, "differing": 0})
    if figures["observations_follow"] or step["differing"]:
        return False
    return figures["starts_paid"] + step["starts"] >= MIN_EQUAL_STARTS


def _judge_fresh_noise(target: CheckTarget, seconds: float, outcome: ProbeResult) -> None:
    """Test whether the difference between actions is larger than that of other randomness."""
    if sample_random_play(target, seconds).scale is None:
        outcome.not_judged[SYMPTOM] = "not all observations are numbers"
        return
    try:
        played, pairs = play_until_clear(target, seconds, fresh=True)
    except FixedNoiseError as error:
        outcome.not_judged[SYMPTOM] = (
            "the same start cannot be played with other randomness: its generator, np_random, "
            f"cannot be set ({error})"
        )
        return
    outcome.figures["fresh_noise"] = summarise_test(pairs)
    if pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing):
        return
    if left_out := _describe_left_out(pairs, len(played)):
        outcome.not_judged[SYMPTOM] = left_out
        return
    # With so much noise a relevant effect could have been missed, or there is a hint at one.
    if pairs.detectable_fraction > NEGLIGIBLE or pairs.p_value <= HINT_P:
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


def _describe_evidence(pairs: PairedTest, outcome: ProbeResult) -> str:
    tried = (
        f"from {pairs.starts} starts, {outcome.figures['starts_paid']} of which had a reward or "
        "return that is not the most frequent one, two action sequences were played twice each and "
        "the return is exactly the same"
    )
    if outcome.figures["observations_follow"]:
        return (
            f"no action that was tried changed the reward, though the observations differ: {tried}"
        )
    return f"the reward does not depend on the actions (nor do the observations): {tried}"


def _describe_unseen(pairs: PairedTest, played: int, outcome: ProbeResult) -> str:
    """Return why the plays cannot show that actions have no effect; empty if they can."""
    paid = outcome.figures["starts_paid"]
    if left_out := _describe_left_out(pairs, played):
        return left_out
    if paid < MIN_PAID_STARTS:
        return (
            f"only {paid} of {played} starts had a reward or return that is not the most frequent "
            f"one; {MIN_PAID_STARTS} are needed"
        )
    # A reward at the end of an episode has not been seen in plays that were cut off.
    if outcome.figures["ended_fraction"] < 0.5:
        return "most episodes were too long to be played to their end"
    return ""


def _describe_left_out(pairs: PairedTest, played: int) -> str:
    """Return how many starts the test left out; empty if none.

    The actions may matter in these, so that the others cannot deny an effect.
    """
    left_out = played - pairs.starts
    why = f"{left_out} of {played} starts had a return that is not a finite number"
    return why if left_out else ""


def _describe_power(pairs: PairedTest) -> str:
    return (
        f"{pairs.starts} starts with this much noise would only show an effect of "
        f"{pairs.detectable_fraction:.0%} of the variance or more (p = {pairs.p_value:.2g})"
    )


def play_until_clear(
    target: CheckTarget, seconds: float, fresh: bool
) -> tuple[list[list[Episode]], PairedTest]:
    """Play more and more starts until the answer is clear or the time is up."""
    deadline = target.clock() + seconds
    # The first test should take at most half of the time.
    scale = sample_random_play(target, seconds).scale if fresh else None
    possible = seconds * sample_random_play(target, seconds).steps_per_s / (8 * START_COUNTS[0])
    # Longer episodes leave time for fewer starts, whose number is the power of the test.
    length = int(np.clip(possible, 20, STEPS))
    starts: list[list[Episode]] = []
    pairs = run_paired_test(np.zeros((0, 2, 2)))
    # Each count is a look at the data, hence the divided significance level (Bonferroni).
    for count in START_COUNTS:
        plans = [
            _make_plan(s, way, again, fresh)
            for s in range(len(starts), count)
            for way in (0, 1)
            for again in (0, 1)
        ]
        episodes = play_plans(target, plans, deadline - target.clock(), length, scale=scale)
        whole = [e for e in episodes if e.end or len(e.rewards) >= length]
        # The time ran out within an episode. Its return is not comparable, and a start needs all
        # four plays, so the last starts are left out.
        if len(whole) < len(episodes):
            episodes = episodes[: 4 * (len(episodes) // 4) - 4] if len(episodes) > 4 else []
        starts += [episodes[i : i + 4] for i in range(0, len(episodes) - 3, 4)]
        returns = np.array([[e.episode_return for e in four] for four in starts]).reshape(-1, 2, 2)
        pairs = run_paired_test(returns, LEVEL)
        # Without noise a single difference is proof, and no significance is needed.
        clear = pairs.p_value <= LEVEL or (pairs.noisy == 0 and pairs.differing)
        # To end early without an effect, one of a relevant size must have been detectable, and the
        # p-value must not hint at one.
        if fresh:
            settled = pairs.detectable_fraction <= NEGLIGIBLE and pairs.p_value > SETTLED_P
        else:
            settled = pairs.differing == 0 and count_informative_starts(starts) >= MIN_EQUAL_STARTS
        if clear or settled or len(starts) < count or target.clock() > deadline:
            break
    return starts, pairs


def _make_plan(start: int, way: int, again: int, fresh: bool) -> EpisodePlan:
    # Neighbouring seeds repeat actions for different numbers of steps, so the sequences differ.
    actions = 5 * start + way * 2 + 1
    return EpisodePlan(start, actions, 4 * start + 2 * way + again if fresh else None)


def count_informative_starts(starts: list[list[Episode]]) -> int:
    """Count the starts with a reward or a return other than the most frequent one."""
    every = [episode for start in starts for episode in start]
    if not every:
        return 0
    rewards, counts = np.unique([r for e in every for r in e.rewards], return_counts=True)
    returns, often = np.unique([e.episode_return for e in every], return_counts=True)
    # The most frequent ones, not zero: a constant cost per step carries no information either.
    reward, total = rewards[counts.argmax()], returns[often.argmax()]
    return sum(
        any(e.episode_return != total or any(r != reward for r in e.rewards) for e in s)
        for s in starts
    )


def summarise_test(pairs: PairedTest) -> dict[str, Any]:
    """Return the figures of a test."""
    return {
        "starts": pairs.starts,
        "differing": pairs.differing,
        "variance_fraction": pairs.variance_fraction,
        "p": pairs.p_value,
        "detectable_fraction": pairs.detectable_fraction,
    }


def compare_immediate_rewards(world: World[Any]) -> dict[str, PairedTest]:
    """Compare the rewards of two actions from the same states, each tried twice.

    ``step`` uses the state's own randomness, so both tries are equal; ``step_fresh_noise`` draws
    new randomness for each try, which measures the share of luck in the reward.
    """
    state, observation = world.reset(
        counter_rng.make_keys_from_seeds(np.arange(COPIES, dtype=np.uint64))
    )
    actors = [
        [RandomActor(world.action_space, 4 * (2 * b + way)) for b in range(COPIES)]
        for way in (0, 1)
    ]
    rewards: dict[str, list[Array]] = {"step": [], "step_fresh_noise": []}
    for step in range(STATES):
        columns = to_observation_columns(observation)
        rows = [{name: c[b] for name, c in columns.items()} for b in range(COPIES)]
        actions = [
            stack_actions(a.act(row) for a, row in zip(way, rows, strict=True)) for way in actors
        ]
        # Both forms start from the same state, so they differ in the randomness of this step alone.
        rewards["step"].append(_reward_twice(world, state, actions, None))
        rewards["step_fresh_noise"].append(_reward_twice(world, state, actions, step))
        moved = world.step(state, actions[0])
        going = ~(moved.terminated | moved.truncated)
        if not going.all():  # ended copies restart in other states; those collected suffice
            break
        state, observation = moved.state, moved.observation
    return {name: run_paired_test(np.concatenate(parts)) for name, parts in rewards.items()}


def _reward_twice(world: World[Any], state: Any, actions: list[Any], step: int | None) -> Array:
    """Return the rewards [B, 2 actions, 2 tries] of one step."""

    def try_action(way: int, again: int) -> Array:
        if step is None:
            return world.step(state, actions[way]).reward
        # One stream per step, action and try, with numbers above those that worlds use.
        keys = counter_rng.fold(state.keys, 2**40 + 4 * step + 2 * way + again)
        return world.step(dataclasses.replace(state, keys=keys), actions[way]).reward

    return np.stack([np.stack([try_action(w, a) for a in (0, 1)], -1) for w in (0, 1)], 1)
