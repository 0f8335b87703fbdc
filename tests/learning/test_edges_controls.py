# pyright: basic
"""Negative controls: where rewards are shuffled or the sampler is broken, nothing may look learnt.

The same few seconds of training that learn single edges on a small instance of ``fsai``.
"""

import numpy as np
import pytest

pytest.importorskip("pyamg")

import small  # pyright: ignore[reportMissingImports]
from ray.rllib.core import DEFAULT_MODULE_ID
from sparse_inverse import ENV, FIELDS, SETTINGS

from algos.reinforce import ReinforceObjective
from envs.contract import counter_rng
from envs.edges import world as selecting
from envs.edges.params import Params
from envs.edges.world import EdgeSelection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HELD_OUT = 30


def as_they_are(rows, generator):
    return rows


def shuffled(rows, generator):
    """The same credit, given to other actions, row by row."""
    credit = rows["row_advantages"]
    order = generator.permuted(np.tile(np.arange(len(credit)), (credit.shape[1], 1)), axis=1)
    moved = np.take_along_axis(credit, order.T, axis=0)
    return rows.with_columns(row_advantages=moved, advantages=moved.mean(1))


def gained(credit=as_they_are, iterations=40):
    """Mean reward of greedy choices on held-out matrices, before and after training."""
    runner = small.runner(ENV, FIELDS | {"solve": False}, **SETTINGS)
    learner = runner.config.build_learner(env=None, spaces=runner.get_spaces())
    policy, generator = learner.module[DEFAULT_MODULE_ID], np.random.default_rng(0)
    before = held_out(policy)
    for _ in range(iterations):
        runner.module.set_state(policy.get_state())
        rows = credit(runner.sample()[0], generator)
        small.updated(
            learner, ReinforceObjective(runner.settings).preprocess_batch(rows)[0], progress=0.0
        )
    return before, held_out(policy)


def held_out(policy):
    world = EdgeSelection(Params(**FIELDS))
    state, seen = world.reset(counter_rng.make_keys(0, HELD_OUT))
    assert isinstance(seen, dict)
    columns = {f"obs.{name}": part for name, part in seen.items()}
    picks = policy.act(columns, None, greedy=True)[0]["picks"].numpy()
    return world.step(state, picks).reward.mean()


def test_the_training_itself_shows_a_gain():
    before, after = gained()
    print(f"\nreward {before:.4f} -> {after:.4f}")
    assert after > before + 0.05


def test_shuffled_rewards_show_no_gain():
    before, after = gained(shuffled)
    print(f"\nreward {before:.4f} -> {after:.4f}")
    assert after < before + 0.02


def test_the_post_mortems_sampler_shows_no_gain(monkeypatch):
    def everything(picks, graph, kept):
        return ~kept

    monkeypatch.setattr(selecting, "select_picked_edges", everything)
    before, after = gained()
    assert after == before == pytest.approx(held_out_of(everything))


def held_out_of(choose):
    """The mean reward of a choice that looks at nothing."""
    world = EdgeSelection(Params(**FIELDS))
    each = [world.get_instance(counter_rng.make_keys(seed, 1)) for seed in range(HELD_OUT)]
    results = [
        world.objective.evaluate(i, choose(None, i.graph, np.zeros_like(i.kept)), 0.0, False)
        for i in each
    ]
    return np.mean([result.reward for result in results])
