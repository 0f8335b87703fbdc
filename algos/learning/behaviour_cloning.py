"""The warm start: imitate a rule of the environment, or recorded rollouts, before training.

Behaviour cloning (Pomerleau 1991) raises the log-probability of the teacher's actions, so that the
policy meets rewards from its first rollout on. Where the teacher is a network and a part of the
policy has the same shapes, its weights are copied instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algos.actions.head import ActionHead
from algos.models.base import to_observation_columns
from algos.objective import Loss, Objective
from algos.rollouts.columns import Columns, concat
from algos.rollouts.episodes import play_episodes
from algos.rollouts.rollout_io import list_recordings_near, read_columns
from algos.settings.training import TrainingSettings
from envs.contract import counter_rng
from envs.contract.batched import World
from envs.contract.pytree import Array, Keys, take
from envs.contract.world import Agent
from rungwise.validation import InputError

EPISODES_PER_BATCH = 128
"""Episodes that a rule plays at a time."""


class BehaviourCloning(Objective[TrainingSettings]):
    """The objective of the warm start."""

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return minus the log-probability of the teacher's actions."""
        error = -forward["dist"].logp(batch)
        return Loss({"policy": error}, lambda: {"warm_start_loss": error.mean()})


def collect_teacher_rows(
    name: str, world: World[Any] | None, head: ActionHead, episodes: int, seed: int
) -> Columns:
    """Collect the steps to imitate: observation and action columns.

    Args:
        name: one of the world's rules, or a file or folder of recorded rollouts.
        world: the environment; None for a foreign one.
        head: the policy's action head.
        episodes: number of episodes that the rule plays.
        seed: seed of the first of them.

    Raises:
        InputError: neither a rule nor a recording has that name, or its actions do not match.
    """
    rules = dict(world.baselines) if world else {}
    if world and name in rules:
        starts = range(seed, seed + episodes, EPISODES_PER_BATCH)
        counts = [min(EPISODES_PER_BATCH, seed + episodes - start) for start in starts]
        played = [
            _play_rule(world, rules[name], head, counter_rng.make_keys(start, count))
            for start, count in zip(starts, counts, strict=True)
        ]
        return concat(played)
    if not Path(name).exists():
        offered = f"one of {', '.join(sorted(rules))}, or " if rules else ""
        near = ", ".join(str(folder) for folder in list_recordings_near(Path(name))[:3])
        raise InputError(
            f"warm_start must be {offered}a folder of recorded rollouts, but it is {name!r}"
            + (f": there are recordings in {near}." if near else ".")
        )
    rows = read_columns(Path(name))
    action_columns = set(head.columns)
    if missing := sorted(action_columns - set(rows)):
        raise InputError(
            f"The rollouts in {name} do not fit this environment's actions: they have no "
            f"column {', '.join(missing)}."
        )
    return Columns(
        {n: c for n, c in rows.items() if n in action_columns or n.split(".")[0] == "obs"}
    )


def merge_teacher_weights(
    weights: Mapping[str, Array], teacher_weights: Mapping[str, Array] | None
) -> dict[str, Array] | None:
    """Return a policy's weights with a teacher's network in the place of one of its parts.

    None if no part has the same names and shapes: the policy then has to imitate.
    """
    # Several parts may have these shapes, and the order of a set differs between processes.
    for part in dict.fromkeys(n.partition(".")[0] for n in weights) if teacher_weights else ():
        named = {f"{part}.{name}": weight for name, weight in (teacher_weights or {}).items()}
        if all(n in weights and weights[n].shape == w.shape for n, w in named.items()):
            return {**weights, **named}
    return None


def _play_rule(world: World[Any], rule: Agent, head: ActionHead, keys: Keys) -> Columns:
    """Play the episodes of keys [B] by a rule; return every step of each."""
    steps: list[Columns] = []
    for step in play_episodes(
        world.reset(keys),
        world.step,
        lambda state, _, number: rule(world, state, counter_rng.fold(state.keys, number)),
    ):
        observation, action = take((step.observation, step.action), step.running)
        steps.append(Columns(to_observation_columns(observation) | head.to_action_columns(action)))
    return concat(steps)
