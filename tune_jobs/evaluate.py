"""A policy beside random and the family's simple rules, on the same fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np
import torch

from algos.environments import make_vector_env
from algos.metrics import METRICS
from algos.policy import Policy, same_kind
from algos.runner import TRAINING_SEED
from envs import FAMILIES, random
from envs.arrays import take
from envs.batched import World
from envs.making import make_params
from envs.validation import InputError, fields_of, unknown_name
from tune_jobs.events import EvaluationRow
from tune_jobs.examples import examples
from tune_jobs.job import Job

Array = np.ndarray[Any, Any]


@runtime_checkable
class Measured(Protocol):
    """A world in which every agent is measured by one of its simple rules."""

    yardstick: str
    """That rule's name."""

    def beside(self, episodes: Mapping[str, Array], rule: Mapping[str, Array]) -> dict[str, float]:
        """Figures of episodes beside those of the rule on the same seeds, by both's metrics [N]."""
        ...


Act = Callable[[Any, Any, Any], Any]
"""(state or None, observations [N], keys [N] or None) -> actions [N]."""

PLAIN_SCORE = "return"
"""Episode metric of an environment that is not ours."""
HELD_OUT = "held_out_"
"""What the figures of a policy on seeds that it never trains on begin with, during its training."""


@dataclass
class Episodes:
    """N finished episodes of one policy, one a seed."""

    metrics: dict[str, Array]
    """Episode metric -> [N]."""
    traces: Array | None = None
    """Loss per node after 0..T interventions, averaged over seeds: [T + 1, n]."""
    choice_shares: list[float] = field(default_factory=list[float])
    actions: list[Any] = field(default_factory=list[Any])
    """What was done at each step, [N]."""
    lengths: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """[N]: how many steps each had."""


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
) -> tuple[dict[str, Episodes], Callable[[Episodes], dict[str, float]], str]:
    """Run the policy, sampled and greedy, and every baseline on ``episodes`` seeds from ``seed``.

    Args:
        policy: what is evaluated.
        episodes: how many seeds.
        seed: the first of them.
        changed: arguments of the environment that differ from those that it is to be judged by.
        quick: whether baselines that take much longer than the policy are left out.
        beside: whether anything but the sampled policy is run.

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
    _check_fits(policy, env, env_kwargs)
    generator = torch.Generator().manual_seed(seed)
    players: dict[str, Act] = {
        "policy": lambda s, o, k: policy.act_batch(o, greedy=False, generator=generator),
    }
    if beside:
        players["greedy"] = lambda s, o, k: policy.act_batch(o)
    world = world_of(env, env_kwargs, policy)
    if world is None:
        if beside:
            players["random"] = _random_player(policy.action_space, seed)
        found = {n: _plain_episodes(env, env_kwargs, p, episodes, seed) for n, p in players.items()}
        return found, _plain_summary, PLAIN_SCORE
    for name, agent in world.baselines.items() if beside else ():
        if not (quick and name in world.slow):
            players[name] = lambda s, o, k, agent=agent: agent(world, s, k)
    found = {
        name: _world_episodes(world, player, episodes, seed) for name, player in players.items()
    }
    rivals = world.competitors(random.keys(seed, episodes)) if beside else {}
    found |= {name: Episodes(metrics) for name, metrics in rivals.items()}
    sign = "-" if world.score_mode == "min" else ""
    return found, _summary(world, found), sign + world.score


def held_out(policy: Policy, job: Job) -> dict[str, float]:
    """The figures of a policy under training on the job's held-out seeds, as ``held_out_...``.

    These seeds are those of neither the comparison nor the finals, which its choice must not
    flatter.
    """
    seed, episodes = job.evaluation_seed + 2 * job.evaluation_episodes, job.held_out_episodes
    env, env_kwargs = policy.about["env"], policy.judged_in
    generator, world = torch.Generator().manual_seed(seed), world_of(env, env_kwargs, policy)

    def act(state: Any, observations: Any, keys: Any) -> Any:
        return policy.act_batch(observations, greedy=False, generator=generator)

    if world is None:
        found = _plain_summary(_plain_episodes(env, env_kwargs, act, episodes, seed))
    else:
        metrics = _world_episodes(world, act, episodes, seed).metrics
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


def evaluate_checkpoint(job: Job, directory: Path, trial: str, checkpoint: str) -> EvaluationRow:
    """The evaluation of a run's checkpoint as an event row."""
    policy = Policy.load(directory / checkpoint)
    found, summary, score = evaluate(policy, job.evaluation_episodes, job.evaluation_seed)
    world = world_of(policy.about["env"], policy.judged_in, policy)
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
        experiment=told(world, found["policy"], job.evaluation_seed) if world else {},
        examples=examples(
            world,
            random.keys(job.evaluation_seed, job.evaluation_episodes),
            found["policy"].actions,
        ),
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


def _check_fits(policy: Policy, env: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse an environment whose observations or actions this policy was not made for.

    Raises:
        InputError: naming what differs.
    """
    made = make_vector_env(env, dict(env_kwargs), 1)
    own = (policy.observation_space, policy.action_space)
    there = (made.single_observation_space, made.single_action_space)
    made.close()
    if policy.module.any_size:
        fits = all(map(same_kind, own, there)) and _same_figures(own, there)
        remedy = "change what differs from training, other than the size."
    else:
        fits = own == there
        remedy = "change what differs from training, or train with --settings.model set, whose "
        remedy += "policies take graphs of any size."
    for what, mine, theirs in zip(("observations", "actions"), own, there, strict=True):
        if not fits and mine != theirs:
            raise InputError(
                f"This policy was trained for {what} of {_shown(mine)}, but {env} with "
                f"{dict(env_kwargs)} has {_shown(theirs)}: {remedy}"
            )


def _same_figures(own: Sequence[Any], there: Sequence[Any]) -> bool:
    """Whether (observations, actions) of two sizes have as many figures of each node and edge.

    The last axis of a part may differ as the choices do, or as the rows of another part: a mask's.
    """
    parts = list(zip(_parts(own[0]).values(), _parts(there[0]).values(), strict=True))
    sizes = {tuple(_choices(action) for _, action in (own, there))}
    sizes |= {m.shape[:1] + t.shape[:1] for m, t in parts if len(m.shape) > 1}
    return all(
        np.issubdtype(mine.dtype, np.integer)
        or mine.shape[-1:] == theirs.shape[-1:]
        or mine.shape[-1:] + theirs.shape[-1:] in sizes
        for mine, theirs in parts
    )


def _choices(action: Any) -> int | None:
    return getattr(_parts(action).get("choice", action), "n", None)


def _parts(space: Any) -> dict[str, Any]:
    return dict(space.spaces) if isinstance(space, gymnasium.spaces.Dict) else {"": space}


def _shown(space: Any) -> str:
    """A space by the shapes of its parts: nodes 5 x 11, mask 5."""
    return ", ".join(
        f"{name} {' x '.join(map(str, part.shape)) or part}".strip()
        for name, part in _parts(space).items()
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
    actions: list[Any] = []
    lengths = np.zeros(episodes, np.int64)
    _trace(traces, world, state)
    while not ended.all():
        action = act(state, observation, random.fold(keys, len(actions) + 2**20))
        actions.append(action)
        lengths += ~ended
        choice = action["choice"] if isinstance(action, Mapping) else action
        if len(counts):
            counts += np.bincount(np.asarray(choice)[~ended], minlength=len(counts))
        moved = world.step(state, action)
        fresh = (moved.terminated | moved.truncated) & ~ended
        for name in world.episode_metrics:
            metrics.setdefault(name, np.zeros(episodes))[fresh] = moved.info[name][fresh]
        if fresh.any():
            for name, figures in world.examined(take(moved.state, fresh)).items():
                metrics.setdefault(name, np.zeros(episodes))[fresh] = figures
        _trace(traces, world, moved.state)
        ended |= fresh
        state, observation = moved.state, moved.observation
    shares = (counts / counts.sum()).tolist() if counts.sum() else []
    losses = np.stack(traces) if traces else None
    return Episodes(metrics, losses, shares, actions, lengths)


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
            batched[count].seed(random.derived_seed(seed, "actions"))
        return batched[count].sample()

    return act
