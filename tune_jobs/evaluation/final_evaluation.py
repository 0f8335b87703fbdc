"""The evaluation of a run's checkpoint at its end, as an event row for the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from algos.policy import Policy
from algos.rollouts.episodes import EpisodeStep, play_episodes
from envs.contract import counter_rng
from envs.contract.batched import World
from envs.contract.pytree import Array, Keys, take
from rungwise.run_log.events import EvaluationRow
from tune_jobs.evaluation.evaluate import Evaluation, ProgressCallback, evaluate
from tune_jobs.evaluation.players import EvaluatedEpisodes
from tune_jobs.jobs.job import Job

SHOWN = 8
"""Sample episodes of a report."""


def evaluate_checkpoint(
    job: Job,
    directory: Path,
    trial: str,
    checkpoint: str,
    steps: float = math.inf,
    on_progress: ProgressCallback | None = None,
) -> EvaluationRow:
    """Compare a run's checkpoint with the baselines; return the event row.

    Args:
        job: the job.
        directory: the run directory.
        trial: the checkpoint's trial.
        checkpoint: its path, relative to the run directory.
        steps: limit of the steps; at least the minimum number of episodes is played.
        on_progress: called as episodes finish.
    """
    # Seeds from 0 are for this comparison, the next for the finals, then come the held-out ones.
    most, seed = job.most_evaluated, 0
    policy = Policy.load(directory / checkpoint, device="auto")
    evaluation = evaluate(policy, most, seed, steps=steps, on_progress=on_progress)
    world, episodes = evaluation.world, evaluation.episodes
    nodes, shown = world.choice_names if world else (), choose_shown_player(evaluation)
    played = episodes[shown]
    keys = counter_rng.make_keys(seed, len(played))
    return EvaluationRow(
        trial=trial,
        checkpoint=checkpoint,
        episodes=len(episodes["policy"]),
        most=most,
        seed=seed,
        metric=evaluation.metric,
        **evaluation.compare_players(),
        traces={
            name: {node: e.traces[:, i].tolist() for i, node in enumerate(nodes)}
            for name, e in episodes.items()
            if e.traces is not None
        },
        choice_fractions={
            name: e.choice_fractions for name, e in episodes.items() if e.choice_fractions
        },
        experiment=record_median_episode(world, played, seed) if world else {},
        examples=collect_examples(world, keys, played.actions),
        shown=shown,
    )


def choose_shown_player(evaluation: Evaluation) -> str:
    """Return the player whose episodes are shown: the most likely actions where they are better."""
    scores = {
        player: evaluation.episodes[player].metrics[evaluation.metric]
        for player in ("policy", "greedy")
    }
    means = {player: float(values.mean()) for player, values in scores.items()}
    # Of one cut off sooner than the other the seeds differ, and so would the pictures.
    if len(scores["greedy"]) < len(scores["policy"]):
        return "policy"
    is_better = means["greedy"] < means["policy"]
    if evaluation.mode == "max":
        is_better = means["greedy"] > means["policy"]
    return "greedy" if is_better else "policy"


def collect_examples(
    world: World[Any] | None, keys: Keys, actions: Sequence[Any]
) -> list[dict[str, str]]:
    """Return the first episodes of keys [N], played with these actions [N] per step, as rows.

    Empty where the world cannot show episodes.
    """
    if world is None:
        return []
    steps = _replay(world, keys, actions, np.arange(min(SHOWN, len(keys))))
    return world.list_examples(steps[-1].moved.state)


def record_median_episode(
    world: World[Any], episodes: EvaluatedEpisodes, seed: int
) -> dict[str, Any]:
    """Return the episode with the median score as plain data of an :class:`EpisodeTrace`.

    Empty where the world cannot show episodes step by step.
    """
    scores = episodes.metrics[world.score_metric]
    middle = int(np.argsort(scores, kind="stable")[len(scores) // 2])
    keys = counter_rng.make_keys(seed, len(scores))
    steps = _replay(world, keys, episodes.actions, np.array([middle]))
    states = [steps[0].state, *(step.moved.state for step in steps)]
    trace = world.trace_episode(states, [step.action for step in steps])
    return trace.to_dict() | {"seed": seed + middle} if trace else {}


def _replay(
    world: World[Any], keys: Keys, actions: Sequence[Any], index: Array
) -> list[EpisodeStep]:
    """Play the episodes of ``keys[index]`` again, with their actions [N] of each step."""
    # The world is pure: with the same actions a copy repeats what it did in the batch.
    return list(
        play_episodes(
            world.reset(keys[index]),
            world.step,
            lambda state, observation, number: take(actions[number], index),
            len(actions),
        )
    )
