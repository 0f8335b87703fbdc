"""A policy beside random and the family's simple rules, on the same fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from algos.metrics import METRICS
from algos.policy import Policy
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.env_runner import TRAINING_SEED
from envs import FAMILIES, counter_rng
from envs.batched import World, get_world
from envs.capabilities import (
    SupportsCompetitors,
    SupportsCurriculum,
    SupportsEpisodeTrace,
    SupportsPolicyWeights,
    SupportsRuleComparison,
)
from envs.factory import make_params
from envs.pytree import take
from envs.validation import InputError, get_fields, unknown_name_error
from tune_jobs.evaluation.compatibility import check_policy_fits
from tune_jobs.evaluation.episode_budget import plan_batches
from tune_jobs.evaluation.players import (
    PLAIN_SCORE,
    Act,
    EvaluatedEpisodes,
    join_episodes,
    make_random_player,
    play_gym_episodes,
    play_vector_episodes,
    play_world_episodes,
    summarise_gym_episodes,
)
from tune_jobs.evaluation.sample_episodes import SHOWN, collect_examples
from tune_jobs.jobs.job import Job
from tune_jobs.run_log.events import EvaluationRow

Array = np.ndarray[Any, Any]


Tell = Callable[[str, int, int], None]
"""Takes a player, how many episodes it has finished, and how many there are at most."""

COPIES = 64
"""Of an environment that is not ours, side by side: each is a Python object of its own."""
HELD_OUT = "held_out_"
"""What the figures of a policy on seeds that it never trains on begin with, during its training."""


def make_world(
    env: str, env_kwargs: Mapping[str, Any], policy: Policy | None = None
) -> World[Any] | None:
    """The batched world behind an environment, None where there is only a Gymnasium environment.

    The policy is the one that will act there: it may itself be a part of the world.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    made.close()
    world = get_world(made)
    if isinstance(world, SupportsCurriculum) and world.stages:
        # The last stage is the task that the curriculum leads to.
        world = world.at_stage(len(world.stages) - 1)
    if policy is not None and isinstance(world, SupportsPolicyWeights):
        world = world.with_policy_weights(policy.module.get_named_weights())
    return world


def resolve_metric(job: Job) -> tuple[str, Any]:
    """The metric and mode of a job, filled in from the environment where it leaves them open.

    Raises:
        InputError: a metric that nobody reports, or one whose good direction is not known.
    """
    world = make_world(job.env, job.env_kwargs)
    metric = job.metric or (world.score_metric if world else "return_mean")
    known = {*METRICS, *(world.episode_metrics if world else ())}
    if metric.startswith(HELD_OUT) and not job.held_out_interval:
        raise InputError(
            f"metric={metric} is measured on held-out seeds, but held_out_interval is 0: set it to "
            "the iterations between two looks, such as 5."
        )
    seen = metric.removeprefix(HELD_OUT)
    if seen != metric:
        known = {"return_mean"} if world is None else set(world.episode_metrics)
    if seen not in known:
        raise unknown_name_error("metric", metric, known, f"for {job.env}")
    if job.mode:
        return metric, job.mode
    if world and seen == world.score_metric:
        return metric, world.score_mode
    if seen.startswith("return"):
        return metric, "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def evaluate(
    policy: Policy,
    episodes: int,
    seed: int,
    env_kwargs_overrides: Mapping[str, Any] | None = None,
    skip_slow_baselines: bool = False,
    with_baselines: bool = True,
    seconds: float = math.inf,
    tell: Tell | None = None,
) -> tuple[dict[str, EvaluatedEpisodes], Callable[[EvaluatedEpisodes], dict[str, float]], str]:
    """Run the policy, sampled and greedy, and every baseline on ``episodes`` seeds from ``seed``.

    Args:
        policy: the policy to evaluate.
        episodes: the number of seeds, at most.
        seed: the first of them.
        env_kwargs_overrides: environment arguments that replace those of the policy's evaluation.
        skip_slow_baselines: whether to leave out baselines much slower than the policy.
        with_baselines: whether to run anything but the sampled policy.
        seconds: time limit; after it all players play fewer episodes, on the same seeds.
        tell: called with a player, its finished episodes, and their maximum.

    Returns:
        Episodes by name (``policy``, ``greedy``, ``random``, ...), the function that sums them up,
        and which of their metrics is the score (with a minus in front where small is good).
    """
    if episodes < 1:
        raise InputError(f"episodes must be at least 1, but it is {episodes}.")
    if seed + episodes > TRAINING_SEED:
        raise InputError(
            f"Evaluation seeds must lie below {TRAINING_SEED}; training uses the rest."
        )
    env, env_kwargs = (
        policy.metadata["env"],
        policy.full_evaluation_env_kwargs | dict(env_kwargs_overrides or {}),
    )
    check_policy_fits(policy, env, env_kwargs)
    world = make_world(env, env_kwargs, policy)
    players = (
        _players(policy, world, seed, skip_slow_baselines)
        if with_baselines
        else {"policy": make_sampled_player(policy, seed)}
    )
    parts: list[dict[str, EvaluatedEpisodes]] = []
    for first, count in plan_batches(episodes, seconds, COPIES if world is None else None):

        def told(name: str, done: int, first: int = first) -> None:
            if tell:
                tell(name, first + done, episodes)

        if world is None:
            parts.append(play_gym_episodes(env, env_kwargs, players, count, seed + first, told))
        else:
            parts.append(play_vector_episodes(world, players, count, seed + first, told))
    found = {name: join_episodes([part[name] for part in parts]) for name in players}
    if world is None:
        return found, summarise_gym_episodes, PLAIN_SCORE
    keys = counter_rng.make_keys(seed, len(found["policy"]))
    if with_baselines and isinstance(world, SupportsCompetitors):
        competitors = world.evaluate_competitors(keys)
        found |= {name: EvaluatedEpisodes(metrics) for name, metrics in competitors.items()}
    sign = "-" if world.score_mode == "min" else ""
    return found, _summary(world, found), sign + world.score_metric


def make_sampled_player(policy: Policy, seed: int) -> Act:
    """The policy as it acts in training: its actions are drawn."""
    generator = torch.Generator().manual_seed(seed)
    return lambda s, o, k: policy.act_batch(o, greedy=False, generator=generator)


def _players(policy: Policy, world: World[Any] | None, seed: int, quick: bool) -> dict[str, Act]:
    """The policy, sampled and greedy, and what it is compared with."""
    players: dict[str, Act] = {
        "policy": make_sampled_player(policy, seed),
        "greedy": lambda s, o, k: policy.act_batch(o),
    }
    if world is None:
        return players | {"random": make_random_player(policy.action_space, seed)}
    for name, agent in world.baselines.items():
        if not (quick and name in world.slow_baselines):
            players[name] = lambda s, o, k, agent=agent: agent(world, s, k)
    return players


def evaluate_held_out(policy: Policy, job: Job) -> dict[str, float]:
    """The figures of a policy under training on the job's held-out seeds, as ``held_out_...``.

    These seeds are those of neither the comparison nor the finals, which its choice must not
    flatter.
    """
    seed, episodes = job.evaluation_seed + 2 * job.most_evaluated, job.held_out_episodes
    env, env_kwargs = policy.metadata["env"], policy.full_evaluation_env_kwargs
    act, world = make_sampled_player(policy, seed), make_world(env, env_kwargs, policy)
    if world is None:
        played = play_gym_episodes(env, env_kwargs, {"policy": act}, episodes, seed)["policy"]
        found = summarise_gym_episodes(played)
    else:
        metrics = play_world_episodes(world, act, episodes, seed).metrics
        found = {name: float(metrics[name].mean()) for name in world.episode_metrics}
        found |= world.summarise(metrics)
    return {HELD_OUT + name: figure for name, figure in found.items()}


def _summary(
    world: World[Any], found: Mapping[str, EvaluatedEpisodes]
) -> Callable[[EvaluatedEpisodes], dict[str, float]]:
    """What sums episodes up: the world, and its reference_rule where it has one."""
    if not isinstance(world, SupportsRuleComparison) or world.reference_rule not in found:
        return lambda e: world.summarise(e.metrics)
    measured, rule = world, found[world.reference_rule].metrics
    return lambda e: world.summarise(e.metrics) | measured.compare_with_rule(e.metrics, rule)


def make_scm_kwargs(
    scm: str, env: str, trained_in: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The arguments of a causal environment that make it one of the model or family ``scm``.

    For a policy ``trained_in`` an environment with those arguments, the model is shown as those of
    a family if it knows these, but its student reckons as that of one model does; and a target
    chosen for another model and a pool beside another family are forgotten.

    Raises:
        InputError: another environment.
    """
    family = FAMILIES.get(env.removeprefix("envs:"))
    if family is None or "scm" not in (known := get_fields(family.params)):
        raise InputError(
            f"--scm chooses the model of a causal environment, but {env} is none: leave it out."
        )
    before, found = trained_in or {}, dict[str, Any](scm=scm)
    if "curriculum" in known:
        found["curriculum"] = False
    found |= {name: "" for name in ("target", "pool") if before.get(name)}
    if "like_family" in known and make_params(family.params, before).is_family:
        found |= {"like_family": True, "interactions": True}
    return found


def evaluate_checkpoint(
    job: Job,
    directory: Path,
    trial: str,
    checkpoint: str,
    seconds: float = math.inf,
    tell: Tell | None = None,
) -> EvaluationRow:
    """The evaluation of a run's checkpoint as an event row.

    It takes at most ``seconds``, but for the least number of episodes.
    """
    policy, most, seed = (
        Policy.load(directory / checkpoint),
        job.most_evaluated,
        job.evaluation_seed,
    )
    found, summary, score = evaluate(policy, most, seed, seconds=seconds, tell=tell)
    world = make_world(policy.metadata["env"], policy.full_evaluation_env_kwargs, policy)
    names, own = world.choice_names if world else (), found["policy"]
    shown = int(own.lengths[:SHOWN].max())
    return EvaluationRow(
        trial=trial,
        checkpoint=checkpoint,
        episodes=len(own),
        most=most,
        seed=seed,
        policy=summary(own),
        baselines={name: summary(e) for name, e in found.items() if name != "policy"},
        better_than_random=compute_better_fraction(own, found["random"], score),
        traces={
            name: {node: e.traces[:, i].tolist() for i, node in enumerate(names)}
            for name, e in found.items()
            if e.traces is not None
        },
        choice_fractions={
            name: e.choice_fractions for name, e in found.items() if e.choice_fractions
        },
        experiment=record_median_episode(world, own, seed) if world else {},
        # After the longest of those that are shown, actions may be those of another batch.
        examples=collect_examples(
            world, counter_rng.make_keys(seed, len(own)), own.actions[:shown]
        ),
    )


def record_median_episode(
    world: World[Any], episodes: EvaluatedEpisodes, seed: int
) -> dict[str, Any]:
    """The episode with the middle score as a plain :class:`EpisodeTrace`; empty if none is told."""
    if not isinstance(world, SupportsEpisodeTrace):
        return {}
    scores = episodes.metrics[world.score_metric]
    middle = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    state, _ = world.reset(counter_rng.make_keys(seed, len(scores))[middle : middle + 1])
    states, actions = [state], list[Any]()
    # Worlds are pure: a copy alone lives through what it lived through in the batch.
    for batch in episodes.actions[: int(episodes.lengths[middle])]:
        actions.append(take(batch, np.array([middle])))
        states.append(world.step(states[-1], actions[-1]).state)
    return world.trace_episode(states, actions).to_dict() | {"seed": seed + middle}


def compute_better_fraction(
    policy: EvaluatedEpisodes, other: EvaluatedEpisodes, score: str
) -> float:
    """Share of seeds on which the policy's score is better than the other's."""
    name = score.removeprefix("-")
    gain = policy.metrics[name] - other.metrics[name]
    return float(np.mean(gain < 0 if score.startswith("-") else gain > 0))
