# pyright: basic
"""A game of three agents that share a policy is learnt; prints the figures."""

import itertools
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from training_loop import train

from algos.ppo import PPOSettings
from algos.rollouts.env_factory import make_vector_env
from algos.rollouts.episodes import measure_returns
from tune_jobs.jobs.job_yaml import load_job

pytest.importorskip("mpe2", reason="the games mpe2 are not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PRESET: Any = load_job("simple-spread")
SPREAD, AGENTS = PRESET.env, 3
GAMES, PLAY_SEED = 200, 10_000
"""Fresh games that each player plays."""


def split_view(seen):
    """Velocity [N, 2] of each agent, and where landmarks and agents are from there [N, 3, 2]."""
    landmarks, others = seen[:, 4:10].reshape(-1, AGENTS, 2), seen[:, 10:14].reshape(-1, 2, 2)
    agents = np.zeros_like(landmarks)
    for row, place in enumerate(np.arange(len(seen)) % AGENTS):
        agents[row, [a for a in range(AGENTS) if a != place]] = others[row]
    return seen[:, :2], landmarks, agents


def walk(seen, targets):
    """The action of each agent after which it stops closest to its landmark [N]."""
    velocity, landmarks, _ = split_view(seen)
    way = landmarks[np.arange(len(seen)), targets]
    pushes = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
    # A step keeps 3/4 of the velocity, a push adds 0.5, and a step takes 0.1 s: from a velocity v
    # an agent stops after 0.1 v (1 + 3/4 + ...) = 0.4 v.
    rest = 0.4 * (0.75 * velocity[:, None] + 0.5 * pushes)
    return np.linalg.norm(way[:, None] - rest, axis=-1).argmin(1)


def go_to_nearest(seen):
    """Each agent walks to the landmark that is nearest to it."""
    return walk(seen, np.linalg.norm(split_view(seen)[1], axis=-1).argmin(1))


def share_out(seen):
    """The agents walk to different landmarks, so that their ways are shortest together."""
    _, landmarks, agents = split_view(seen)
    far = np.linalg.norm(agents[:, :, None] - landmarks[:, None], axis=-1)
    orders = np.array(list(itertools.permutations(range(AGENTS))))
    cost = far[:, np.arange(AGENTS), orders].sum(-1)
    return walk(seen, orders[cost.argmin(1), np.arange(len(seen)) % AGENTS])


def play(act):
    """Mean return of an agent in fresh games, and its standard error over games."""
    env = make_vector_env(SPREAD, {}, GAMES)
    returns, _ = measure_returns(env, lambda present, seen: act(seen), PLAY_SEED)
    env.close()
    games = returns.reshape(GAMES, AGENTS).mean(1)
    return float(games.mean()), float(games.std() / GAMES**0.5)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [(PPOSettings(), 1_000_000), (PRESET.settings, PRESET.steps)],
    ids=["defaults", "preset"],
)
def test_three_agents_spread_out_better_than_by_a_rule(settings, steps, training_seed):
    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    found = {
        "random": play(lambda seen: draw.integers(5, size=len(seen))),
        "nearest landmark": play(go_to_nearest),
        "shortest ways together": play(share_out),
    }
    _, runner = train(SPREAD, steps, seed=training_seed, **asdict(settings))
    generator = torch.Generator().manual_seed(0)
    for name, greedy in (("policy, sampled", False), ("policy, most likely", True)):
        found[name] = play(
            lambda seen, greedy=greedy: runner.module.act({"obs": seen}, generator, greedy=greedy)[
                0
            ]["choice"].numpy()
        )
    runner.stop()
    print(f"\nsimple_spread, {steps:,} steps of the game, seed {training_seed}:")
    for name, (mean, error) in found.items():
        print(f"  {name}: {mean:.1f} ± {error:.1f}")
    # The defaults reached -13.2; nearest landmark -16.5, shortest ways together -8.5.
    assert found["policy, sampled"][0] > found["nearest landmark"][0] + 1
    assert found["shortest ways together"][0] > found["nearest landmark"][0] > found["random"][0]
