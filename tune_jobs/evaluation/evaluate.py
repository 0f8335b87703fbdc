"""Evaluation of a policy: compare it with random and simple rules on the same fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from algos.policy import Policy
from algos.rollouts.group_sampler import TRAINING_SEED
from envs.contract import counter_rng
from envs.contract.batched import World
from rungwise.metrics import HELD_OUT
from rungwise.validation import InputError
from tune_jobs.evaluation.episode_budget import SLOW_STEPS, limit_episode_steps, plan_batches
from tune_jobs.evaluation.evaluation_world import check_policy_fits, make_world
from tune_jobs.evaluation.players import (
    PLAIN_SCORE,
    Act,
    EnvironmentCopies,
    EvaluatedEpisodes,
    PolicyPlayer,
    RandomPlayer,
    WorldCopies,
    join_episodes,
    make_sampled_player,
    summarise_gym_episodes,
)
from tune_jobs.jobs.job import Job

Array = np.ndarray[Any, Any]
ProgressCallback: TypeAlias = Callable[[str, int, int, int], None]
"""Takes a player, the episodes it has finished, the most that it will play, and the steps that the
episodes in progress have advanced."""


@dataclass(frozen=True)
class Evaluation:
    """The episodes of a policy and of what it is compared with, on the same seeds."""

    episodes: dict[str, EvaluatedEpisodes]
    """By player: ``policy`` (sampled), ``greedy``, ``random``, simple rules and competitors. One
    whose episodes had no end may have played fewer of the seeds than the others."""
    metric: str
    """The episode metric that is the score of the environment."""
    mode: Literal["min", "max"]
    """Whether a small or a large score is good."""
    world: World[Any] | None
    """The batched world; None for any other Gymnasium environment."""

    def summarise(self, player: str) -> dict[str, float]:
        """Return the figures of a player, the most important first."""
        episodes, world = self.episodes[player], self.world
        if world is None:
            return summarise_gym_episodes(episodes)
        # Paired by seed: the comparison with a rule takes single episodes, not means.
        figures = world.summarise(episodes.metrics)
        if world.reference_rule in self.episodes:
            rule = self.episodes[world.reference_rule].metrics
            figures |= world.compare_with_rule(episodes.metrics, rule)
        return figures

    @property
    def cut_off(self) -> dict[str, int]:
        """By player, how many of its episodes were cut off; players without any are left out."""
        counts = {name: episodes.cut_off for name, episodes in self.episodes.items()}
        return {name: count for name, count in counts.items() if count}

    def compute_standard_errors(self, player: str) -> dict[str, float]:
        """Return the standard errors of those figures of a player that are means over episodes.

        Medians, quantiles, ratios and differences have none; with a single episode nothing has.
        """
        episodes = self.episodes[player].metrics
        if len(self.episodes[player]) < 2:
            return {}
        errors: dict[str, float] = {}
        for name, figure in self.summarise(player).items():
            # Figures are named after the metric that they are the mean of, apart from these two.
            metric = {"mean": self.metric, "return_mean": PLAIN_SCORE}.get(name, name)
            values = episodes.get(metric)
            if values is None or not np.isfinite(figure):
                continue
            if np.isclose(figure, values.mean()):
                errors[name] = compute_standard_error(values)
        return errors

    def compute_better_fraction(self, other: str) -> float:
        """Return the fraction of seeds on which the policy's score beats that of another player."""
        rival = self.episodes[other].metrics[self.metric]
        policy = self.episodes["policy"].metrics[self.metric][: len(rival)]
        return float(np.mean(policy < rival if self.mode == "min" else policy > rival))

    def compare_players(self) -> dict[str, Any]:
        """Return the figures of all players, by the names that :class:`EvaluationRow` has them."""
        figures = {name: self.summarise(name) for name in self.episodes}
        paired = len(self.episodes["greedy"]) == len(self.episodes["policy"])
        return {
            "policy": figures["policy"],
            "baselines": {name: own for name, own in figures.items() if name != "policy"},
            "standard_errors": {name: self.compute_standard_errors(name) for name in figures},
            "cut_off": self.cut_off,
            "better_than_random": self.compute_better_fraction("random"),
            "better_than_greedy": self.compute_better_fraction("greedy") if paired else None,
        }


def evaluate(
    policy: Policy,
    episodes: int,
    seed: int,
    env_kwargs_overrides: Mapping[str, Any] | None = None,
    skip_slow_baselines: bool = False,
    with_baselines: bool = True,
    steps: float = math.inf,
    longest: int | None = None,
    on_progress: ProgressCallback | None = None,
) -> Evaluation:
    """Run the policy, sampled and greedy, and every baseline on ``episodes`` seeds from ``seed``.

    Args:
        policy: the policy to evaluate.
        episodes: the number of seeds, at most.
        seed: the first of them.
        env_kwargs_overrides: environment arguments that replace those of the policy's evaluation.
        skip_slow_baselines: whether to leave out baselines much slower than the policy.
        with_baselines: whether to run anything but the sampled policy.
        steps: limit of the steps of all players; it leaves all of them fewer episodes, on the same
            seeds.
        longest: the steps after which an episode is cut off where no longer limit is known; None:
            as many as :func:`limit_episode_steps` takes from ``steps``.
        on_progress: called as episodes finish.

    Raises:
        InputError: no episodes, seeds below 0 or of training, or an environment that the policy
            cannot act in.
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, but it is {episodes}.")
    if seed < 0:
        raise InputError(f"The first seed must be at least 0, but it is {seed}.")
    # A policy would be judged on episodes that it has learnt from.
    if seed + episodes > TRAINING_SEED:
        raise InputError(
            f"Evaluation seeds must lie below {TRAINING_SEED}; training uses the rest."
        )
    env = policy.metadata["env"]
    env_kwargs = policy.full_evaluation_env_kwargs | dict(env_kwargs_overrides or {})
    check_policy_fits(policy, env, env_kwargs)
    world = make_world(env, env_kwargs, policy)
    players = (
        _make_players(policy, world, seed, skip_slow_baselines)
        if with_baselines
        else {"policy": make_sampled_player(policy, seed)}
    )
    if longest is None:
        longest = limit_episode_steps(steps, len(players), episodes)
    copies = WorldCopies(world) if world else EnvironmentCopies(env, env_kwargs, longest)
    with closing(copies):
        parts = _play_batches(copies, players, episodes, seed, steps, on_progress)
    played = {name: join_episodes([p[name] for p in parts if name in p]) for name in players}
    if world is None:
        return Evaluation(played, PLAIN_SCORE, "max", None)
    keys = counter_rng.make_keys(seed, len(played["policy"]))
    if with_baselines:
        competitors = world.evaluate_competitors(keys)
        played |= {name: EvaluatedEpisodes(metrics) for name, metrics in competitors.items()}
    return Evaluation(played, world.score_metric, world.score_mode, world)


def _play_batches(
    copies: WorldCopies | EnvironmentCopies,
    players: Mapping[str, Act],
    episodes: int,
    seed: int,
    steps: float,
    on_progress: ProgressCallback | None,
) -> list[dict[str, EvaluatedEpisodes]]:
    """Play batches with every player until ``episodes`` or ``steps`` are used up."""
    parts: list[dict[str, EvaluatedEpisodes]] = []
    playing = dict(players)
    count_steps = partial(_count_steps, parts, playing, copies.slow_baselines)
    # A batch is played by all players before the steps are counted again: they divide them by what
    # their episodes take, and every player plays the same seeds.
    for first, count in plan_batches(
        episodes, steps, copies.most_together, copies.least, count_steps
    ):

        def report(player: str, finished: int, advanced: int, first: int = first) -> None:
            # The finished episodes of all batches, of which this one began at `first`.
            if on_progress:
                on_progress(player, first + finished, episodes, advanced)

        parts.append(
            {
                name: copies.play(act, count, seed + first, partial(report, name))
                for name, act in playing.items()
            }
        )
        # One whose episodes have no end would use up the steps of all others.
        endless = [name for name, one in parts[-1].items() if one.cut_off == len(one)]
        if math.isfinite(steps) and "policy" not in endless:
            for name in endless:
                del playing[name]
    return parts


def _count_steps(
    parts: Sequence[Mapping[str, EvaluatedEpisodes]], playing: Mapping[str, Act], slow: Set[str]
) -> int:
    """Return the steps of these players in all batches, those of slow ones as what they cost."""
    return sum(
        int(part[name].lengths.sum()) * (SLOW_STEPS if name in slow else 1)
        for part in parts
        for name in playing
    )


def evaluate_held_out(policy: Policy, job: Job) -> dict[str, float]:
    """Return the metrics ``held_out_...`` of a policy under training on the job's held-out seeds.

    The comparison with baselines and the finals have other seeds: these held-out episodes choose
    the checkpoint and the trial, and would flatter whatever is measured on them afterwards.
    """
    # Below it lie the seeds of the comparison [0, most) and of the finals [most, 2 most).
    seed, episodes = 2 * job.most_evaluated, job.held_out_episodes
    env, env_kwargs = policy.metadata["env"], policy.full_evaluation_env_kwargs
    act, world = make_sampled_player(policy, seed), make_world(env, env_kwargs, policy)
    with closing(WorldCopies(world) if world else EnvironmentCopies(env, env_kwargs)) as copies:
        played = copies.play(act, episodes, seed)
    if world is None:
        figures = summarise_gym_episodes(played)
    else:
        figures = {name: float(played.metrics[name].mean()) for name in world.episode_metrics}
        figures |= world.summarise(played.metrics)
    return {HELD_OUT + name: figure for name, figure in figures.items()}


def compute_standard_error(values: Array) -> float:
    """Return the standard error of the mean of values [N] from as many independent episodes."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _make_players(
    policy: Policy, world: World[Any] | None, seed: int, skip_slow: bool
) -> dict[str, Act]:
    """Return the policy, sampled and greedy, and the baselines of its environment."""
    players: dict[str, Act] = {
        "policy": make_sampled_player(policy, seed),
        "greedy": PolicyPlayer(policy, greedy=True),
    }
    if world is None:
        return players | {"random": RandomPlayer(policy.action_space)}
    for name, agent in world.baselines.items():
        if not (skip_slow and name in world.slow_baselines):
            # A default argument binds this agent: a closure would see the last one of the loop.
            players[name] = lambda s, o, k, agent=agent: agent(world, s, k)
    return players
