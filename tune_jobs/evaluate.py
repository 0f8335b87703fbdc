"""A policy beside random and the family's simple rules, on the same fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from algos.environments import make_vector_env
from algos.metrics import METRICS
from algos.policy import Policy
from algos.runner import TRAINING_SEED
from envs import FAMILIES, random
from envs.arrays import take
from envs.batched import World
from envs.making import make_params
from envs.validation import InputError, fields_of, unknown_name
from tune_jobs.budget import batches
from tune_jobs.events import EvaluationRow
from tune_jobs.examples import SHOWN, examples
from tune_jobs.fitting import check_fits
from tune_jobs.job import Job
from tune_jobs.players import (
    PLAIN_SCORE,
    Act,
    Episodes,
    joined,
    plain_summary,
    play_plain,
    play_together,
    play_world,
    random_player,
)

Array = np.ndarray[Any, Any]


@runtime_checkable
class Measured(Protocol):
    """A world in which every agent is measured by one of its simple rules."""

    yardstick: str
    """That rule's name."""

    def beside(self, episodes: Mapping[str, Array], rule: Mapping[str, Array]) -> dict[str, float]:
        """Figures of episodes beside those of the rule on the same seeds, by both's metrics [N]."""
        ...


Tell = Callable[[str, int, int], None]
"""Takes a player, how many episodes it has finished, and how many there are at most."""

COPIES = 64
"""Of an environment that is not ours, side by side: each is a Python object of its own."""
HELD_OUT = "held_out_"
"""What the figures of a policy on seeds that it never trains on begin with, during its training."""


def world_of(
    env: str, env_kwargs: Mapping[str, Any], policy: Policy | None = None
) -> World[Any] | None:
    """The batched world behind an environment, None where there is only a Gymnasium environment.

    The policy is the one that will act there: it may itself be a part of the world.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    made.close()
    world = getattr(made, "world", None)
    if world is not None and world.stages:
        world.stage = len(world.stages) - 1  # what a curriculum leads to
    if world is not None and policy is not None:
        world.follow(policy.module.named_weights())
    return world


def score_of(job: Job) -> tuple[str, Any]:
    """The metric and mode of a job, filled in from the environment where it leaves them open.

    Raises:
        InputError: a metric that nobody reports, or one whose good direction is not known.
    """
    world = world_of(job.env, job.env_kwargs)
    metric = job.metric or (world.score if world else "return_mean")
    known = {*METRICS, *(world.episode_metrics if world else ())}
    if metric.startswith(HELD_OUT) and not job.held_out_every:
        raise InputError(
            f"metric={metric} is measured on held-out seeds, but held_out_every is 0: set it to "
            "the iterations between two looks, such as 5."
        )
    seen = metric.removeprefix(HELD_OUT)
    if seen != metric:
        known = {"return_mean"} if world is None else set(world.episode_metrics)
    if seen not in known:
        raise unknown_name("metric", metric, known, f"for {job.env}")
    if job.mode:
        return metric, job.mode
    if world and seen == world.score:
        return metric, world.score_mode
    if seen.startswith("return"):
        return metric, "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def evaluate(
    policy: Policy,
    episodes: int,
    seed: int,
    changed: Mapping[str, Any] | None = None,
    quick: bool = False,
    beside: bool = True,
    seconds: float = math.inf,
    tell: Tell | None = None,
) -> tuple[dict[str, Episodes], Callable[[Episodes], dict[str, float]], str]:
    """Run the policy, sampled and greedy, and every baseline on ``episodes`` seeds from ``seed``.

    Args:
        policy: what is evaluated.
        episodes: how many seeds, at most.
        seed: the first of them.
        changed: arguments of the environment that differ from those that it is to be judged by.
        quick: whether baselines that take much longer than the policy are left out.
        beside: whether anything but the sampled policy is run.
        seconds: how long it may take; then fewer episodes are played, by all on the same seeds.
        tell: called with a player, the episodes it has finished, and how many there are at most.

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
    env, env_kwargs = policy.about["env"], policy.judged_in | dict(changed or {})
    check_fits(policy, env, env_kwargs)
    world = world_of(env, env_kwargs, policy)
    players = _players(policy, world, seed, quick) if beside else {"policy": sampled(policy, seed)}
    parts: list[dict[str, Episodes]] = []
    for first, count in batches(episodes, seconds, COPIES if world is None else None):

        def told(name: str, done: int, first: int = first) -> None:
            if tell:
                tell(name, first + done, episodes)

        if world is None:
            parts.append(play_plain(env, env_kwargs, players, count, seed + first, told))
        else:
            parts.append(play_together(world, players, count, seed + first, told))
    found = {name: joined([part[name] for part in parts]) for name in players}
    if world is None:
        return found, plain_summary, PLAIN_SCORE
    keys = random.keys(seed, len(found["policy"]))
    rivals = world.competitors(keys) if beside else {}
    found |= {name: Episodes(metrics) for name, metrics in rivals.items()}
    sign = "-" if world.score_mode == "min" else ""
    return found, _summary(world, found), sign + world.score


def sampled(policy: Policy, seed: int) -> Act:
    """The policy as it acts in training: its actions are drawn."""
    generator = torch.Generator().manual_seed(seed)
    return lambda s, o, k: policy.act_batch(o, greedy=False, generator=generator)


def _players(policy: Policy, world: World[Any] | None, seed: int, quick: bool) -> dict[str, Act]:
    """The policy, sampled and greedy, and what it is compared with."""
    players: dict[str, Act] = {
        "policy": sampled(policy, seed),
        "greedy": lambda s, o, k: policy.act_batch(o),
    }
    if world is None:
        return players | {"random": random_player(policy.action_space, seed)}
    for name, agent in world.baselines.items():
        if not (quick and name in world.slow):
            players[name] = lambda s, o, k, agent=agent: agent(world, s, k)
    return players


def held_out(policy: Policy, job: Job) -> dict[str, float]:
    """The figures of a policy under training on the job's held-out seeds, as ``held_out_...``.

    These seeds are those of neither the comparison nor the finals, which its choice must not
    flatter.
    """
    seed, episodes = job.evaluation_seed + 2 * job.most_evaluated, job.held_out_episodes
    env, env_kwargs = policy.about["env"], policy.judged_in
    act, world = sampled(policy, seed), world_of(env, env_kwargs, policy)
    if world is None:
        played = play_plain(env, env_kwargs, {"policy": act}, episodes, seed)["policy"]
        found = plain_summary(played)
    else:
        metrics = play_world(world, act, episodes, seed).metrics
        found = {name: float(metrics[name].mean()) for name in world.episode_metrics}
        found |= world.summarise(metrics)
    return {HELD_OUT + name: figure for name, figure in found.items()}


def _summary(
    world: World[Any], found: Mapping[str, Episodes]
) -> Callable[[Episodes], dict[str, float]]:
    """What sums episodes up: the world, and its yardstick where it has one."""
    if not isinstance(world, Measured) or world.yardstick not in found:
        return lambda e: world.summarise(e.metrics)
    measured, rule = world, found[world.yardstick].metrics
    return lambda e: world.summarise(e.metrics) | measured.beside(e.metrics, rule)


def choosing(scm: str, env: str, trained_in: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of a causal environment that make it one of the model or family ``scm``.

    For a policy ``trained_in`` an environment with those arguments, the model is shown as those of
    a family if it knows these, but its student reckons as that of one model does; and a target
    chosen for another model and a pool beside another family are forgotten.

    Raises:
        InputError: another environment.
    """
    family = FAMILIES.get(env.removeprefix("envs:"))
    if family is None or "scm" not in (known := fields_of(family.params)):
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
    world = world_of(policy.about["env"], policy.judged_in, policy)
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
        better_than_random=better_share(own, found["random"], score),
        traces={
            name: {node: e.traces[:, i].tolist() for i, node in enumerate(names)}
            for name, e in found.items()
            if e.traces is not None
        },
        choice_shares={name: e.choice_shares for name, e in found.items() if e.choice_shares},
        experiment=told(world, own, seed) if world else {},
        # After the longest of those that are shown, actions may be those of another batch.
        examples=examples(world, random.keys(seed, len(own)), own.actions[:shown]),
    )


def told(world: World[Any], episodes: Episodes, seed: int) -> dict[str, Any]:
    """The episode with the middle score as a plain :class:`Experiment`; empty if none is told."""
    scores = episodes.metrics[world.score]
    middle = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    state, _ = world.reset(random.keys(seed, len(scores))[middle : middle + 1])
    states, actions = [state], list[Any]()
    # Worlds are pure: a copy alone lives through what it lived through in the batch.
    for batch in episodes.actions[: int(episodes.lengths[middle])]:
        actions.append(take(batch, np.array([middle])))
        states.append(world.step(states[-1], actions[-1]).state)
    experiment = world.experiment(states, actions)
    return experiment.plain() | {"seed": seed + middle} if experiment else {}


def better_share(policy: Episodes, other: Episodes, score: str) -> float:
    """Share of seeds on which the policy's score is better than the other's."""
    name = score.removeprefix("-")
    gain = policy.metrics[name] - other.metrics[name]
    return float(np.mean(gain < 0 if score.startswith("-") else gain > 0))
