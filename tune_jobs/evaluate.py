"""A policy beside random and the family's simple rules, on the same fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from algos.environments import make_vector_env
from algos.metrics import METRICS
from algos.policy import Policy
from algos.runner import TRAINING_SEED
from envs import random
from envs.batched import World
from envs.validation import InputError, unknown_name
from tune_jobs.events import EvaluationRow
from tune_jobs.job import Job

Array = np.ndarray[Any, Any]
Act = Callable[[Any, Any, Any], Any]
"""(state or None, observations [N], keys [N] or None) -> actions [N]."""

PLAIN_SCORE = "return"
"""Episode metric of an environment that is not ours."""


@dataclass
class Episodes:
    """N finished episodes of one policy, one a seed."""

    metrics: dict[str, Array]
    """Episode metric -> [N]."""
    traces: Array | None = None
    """Loss per node after 0..T interventions, averaged over seeds: [T + 1, n]."""
    choice_shares: list[float] = field(default_factory=list[float])


def world_of(env: str, env_kwargs: Mapping[str, Any]) -> World[Any] | None:
    """The batched world behind an environment, None where there is only a Gymnasium environment."""
    made = make_vector_env(env, dict(env_kwargs), 1)
    made.close()
    return getattr(made, "world", None)


def score_of(job: Job) -> tuple[str, Any]:
    """The metric and mode of a job, filled in from the environment where it leaves them open.

    Raises:
        InputError: a metric that nobody reports, or one whose good direction is not known.
    """
    world = world_of(job.env, job.env_kwargs)
    metric = job.metric or (world.score if world else "return_mean")
    known = {*METRICS, *(world.episode_metrics if world else ())}
    if metric not in known:
        raise unknown_name("metric", metric, known, f"for {job.env}")
    if job.mode:
        return metric, job.mode
    if world and metric == world.score:
        return metric, world.score_mode
    if metric.startswith("return"):
        return metric, "max"
    raise InputError(f"mode must say whether a small (min) or large (max) {metric} is good.")


def evaluate(
    policy: Policy, episodes: int, seed: int
) -> tuple[dict[str, Episodes], Callable[[Episodes], dict[str, float]], str]:
    """Run the policy, sampled and greedy, and every baseline on ``episodes`` seeds from ``seed``.

    Returns:
        Episodes by name (``policy``, ``greedy``, ``random``, ...), the function that sums them up,
        and which of their metrics is the score (with a minus in front where small is good).
    """
    if seed + episodes > TRAINING_SEED:
        raise InputError(
            f"Evaluation seeds must lie below {TRAINING_SEED}; training uses the rest."
        )
    env, env_kwargs = policy.about["env"], policy.about["env_kwargs"]
    generator = torch.Generator().manual_seed(seed)
    players: dict[str, Act] = {
        "policy": lambda s, o, k: policy.act_batch(o, greedy=False, generator=generator),
        "greedy": lambda s, o, k: policy.act_batch(o),
    }
    world = world_of(env, env_kwargs)
    if world is None:
        players["random"] = _random_player(policy.action_space, seed)
        found = {n: _plain_episodes(env, env_kwargs, p, episodes, seed) for n, p in players.items()}
        return found, _plain_summary, PLAIN_SCORE
    for name, agent in world.baselines.items():
        players[name] = lambda s, o, k, agent=agent: agent(world, s, k)
    found = {
        name: _world_episodes(world, player, episodes, seed) for name, player in players.items()
    }
    sign = "-" if world.score_mode == "min" else ""
    return found, lambda e: world.summarise(e.metrics), sign + world.score


def evaluate_checkpoint(job: Job, directory: Path, trial: str, checkpoint: str) -> EvaluationRow:
    """The evaluation of a run's checkpoint as an event row."""
    policy = Policy.load(directory / checkpoint)
    found, summary, score = evaluate(policy, job.evaluation_episodes, job.evaluation_seed)
    world = world_of(policy.about["env"], policy.about["env_kwargs"])
    names = world.choice_names if world else ()
    return EvaluationRow(
        trial=trial,
        checkpoint=checkpoint,
        episodes=job.evaluation_episodes,
        seed=job.evaluation_seed,
        policy=summary(found["policy"]),
        baselines={name: summary(e) for name, e in found.items() if name != "policy"},
        better_than_random=better_share(found["policy"], found["random"], score),
        traces={
            name: {node: e.traces[:, i].tolist() for i, node in enumerate(names)}
            for name, e in found.items()
            if e.traces is not None
        },
        choice_shares={name: e.choice_shares for name, e in found.items() if e.choice_shares},
    )


def better_share(policy: Episodes, other: Episodes, score: str) -> float:
    """Share of seeds on which the policy's score is better than the other's."""
    name = score.removeprefix("-")
    gain = policy.metrics[name] - other.metrics[name]
    return float(np.mean(gain < 0 if score.startswith("-") else gain > 0))


def _world_episodes(world: World[Any], act: Act, episodes: int, seed: int) -> Episodes:
    keys = random.keys(seed, episodes)
    state, observation = world.reset(keys)
    ended = np.zeros(episodes, bool)
    metrics: dict[str, Array] = {}
    traces: list[Array] = []
    counts = np.zeros(len(world.choice_names))
    step = 0
    _trace(traces, world, state)
    while not ended.all():
        action = act(state, observation, random.fold(keys, step + 2**20))
        if "choice" in action:
            counts += np.bincount(np.asarray(action["choice"])[~ended], minlength=len(counts))
        moved = world.step(state, action)
        fresh = (moved.terminated | moved.truncated) & ~ended
        for name in world.episode_metrics:
            metrics.setdefault(name, np.zeros(episodes))[fresh] = moved.info[name][fresh]
        _trace(traces, world, moved.state)
        ended |= fresh
        state, observation, step = moved.state, moved.observation, step + 1
    shares = (counts / counts.sum()).tolist() if counts.sum() else []
    return Episodes(metrics, np.stack(traces) if traces else None, shares)


def _trace(traces: list[Array], world: World[Any], state: Any) -> None:
    """Note the mean loss per node, in worlds that have nodes to be learnt."""
    if (losses := world.node_losses(state)) is not None:
        traces.append(losses.mean(0))


def _plain_episodes(
    env_id: str, env_kwargs: Mapping[str, Any], act: Act, episodes: int, seed: int
) -> Episodes:
    env = make_vector_env(env_id, dict(env_kwargs), episodes)
    try:
        observation, _ = env.reset(seed=seed)
        returns, ended = np.zeros(episodes), np.zeros(episodes, bool)
        while not ended.all():
            observation, reward, terminated, truncated, _ = env.step(act(None, observation, None))
            returns += np.where(ended, 0, reward)
            ended |= terminated | truncated
    finally:
        env.close()
    return Episodes({PLAIN_SCORE: returns})


def _plain_summary(episodes: Episodes) -> dict[str, float]:
    returns = episodes.metrics[PLAIN_SCORE]
    return {"return_mean": float(returns.mean()), "return_std": float(returns.std())}


def _random_player(space: gymnasium.Space[Any], seed: int) -> Act:
    batched: dict[int, gymnasium.Space[Any]] = {}

    def act(state: Any, observations: Any, keys: Any) -> Any:
        first = (
            next(iter(observations.values())) if isinstance(observations, dict) else observations
        )
        count = len(first)
        if count not in batched:
            batched[count] = gymnasium.vector.utils.batch_space(space, count)
            batched[count].seed(seed)
        return batched[count].sample()

    return act
