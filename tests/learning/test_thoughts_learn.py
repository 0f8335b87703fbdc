# pyright: basic
"""Controls of the preset ``thoughts``, which cannot work, fail the proof and are found live."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sick_objectives import replace_terms
from thoughts_post_mortem import PostMortem

import algos
from algos.models.base import to_observation_columns
from algos.reinforce import Reinforce, ReinforceObjective
from envs.thoughts.params import Params
from envs.thoughts.world import QuietThoughts
from rungwise.health import History, diagnose
from tune_jobs.evaluation.players import play_world_episodes
from tune_jobs.jobs.job_yaml import load_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


# No policy gradient: only the entropy bonus and the value are left. Not the pull towards the baked
# reader either: half of its thoughts are right, so it teaches.
Untaught = replace_terms(
    Reinforce,
    lambda terms, _: {name: 0 * terms[name] for name in ("policy", "reference_kl")},
    name="Untaught",
)
Untaught.__module__ = __name__


class MistakenObjective(ReinforceObjective):
    """Each thought is paid what another one has earned."""

    def compute_advantages(self, rollout):
        draw = np.random.default_rng(int(rollout.rewards.sum() * 1e6) % 2**32)
        rewards = rollout.rewards.copy()
        rewards[rollout.done] = draw.permutation(rewards[rollout.done])
        return super().compute_advantages(replace(rollout, rewards=rewards))


class Mistaken(Reinforce):
    objective_class = MistakenObjective


CONTROLS = {"untaught": Untaught, "mistaken": Mistaken, "post_mortem": PostMortem}


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("control", CONTROLS)
def test_training_without_own_rewards_fails_the_proof(control, monkeypatch):
    where = (CONTROLS[control].__module__, CONTROLS[control].__name__, "")
    monkeypatch.setitem(algos.ALGORITHMS, control, where)
    rows, found = [], []
    with taught(control) as (algorithm, iterations):
        for number in range(iterations):
            algorithm.train()
            row = {**algorithm.flat_metrics, "iteration": number + 1}
            rows.append(row | {"score": row["log_p_with"]})
            told = diagnose(History(rows, iterations)).findings
            found += [f for f in told if f.symptom == "theatre" and f.severity != "note"]
            if found and number >= iterations // 2:
                break
        figures = proved(algorithm)
    print(f"\n{control}: {figures}; found: {found[0].evidence if found else 'no'}")
    assert figures["proved"] == 0 and figures["gain"] < 0.1 and figures["accuracy"] < 0.4
    assert found


def test_a_constant_thought_fails_the_proof():
    world = QuietThoughts(Params(split="test"))
    played = play_world_episodes(world, lambda s, o, k: np.ones(len(s.keys), np.int64), 2000, 0)
    figures = world.summarise(played.metrics)
    print(f"\nconstant: {figures}")
    assert figures["proved"] == 0 and figures["gain"] < 0


@contextmanager
def taught(algo) -> Iterator[Any]:
    """The job of preset thoughts with another algorithm, and its iterations."""
    torch.set_num_threads(1)
    job = load_job("thoughts")
    algorithm = algos.build_algorithm(
        algo, job.env, job.env_kwargs, job.training, iterations=job.iterations, seed=0
    )
    try:
        yield algorithm, job.iterations
    finally:
        algorithm.stop()


def proved(algorithm):
    """The figures of an algorithm's policy on 2,000 passages that nobody was taught."""
    module = algorithm.env_runner_group.local_env_runner.module
    generator = torch.Generator().manual_seed(0)

    def act(state, observations, keys):
        action, _, _ = module.act(to_observation_columns(observations), generator)
        return action["choice"].numpy()

    params = algorithm.env_runner_group.local_env_runner.env.world.params
    world = QuietThoughts(replace(params, split="test"))
    return world.summarise(play_world_episodes(world, act, 2000, 0).metrics)
