# pyright: basic
"""``rungwise evaluate`` on thoughts: the contract's figures and the proof, beside the agents."""

import json

import numpy as np
import pytest
import torch
from small_reader import QUICK, small

import algos
from algos.checkpoint import write_manifest
from algos.policy import Policy, save_policy
from algos.reinforce import ReinforceSettings
from envs.contract import counter_rng
from tune_jobs.evaluation.evaluate import evaluate

KWARGS = {
    **{"modulus": 4, "terms": 4, "longest": 3, "filler": 0.2},
    "reader": {
        "width": QUICK.width,
        "steps": QUICK.steps,
        "passages": QUICK.passages,
        "lr": QUICK.lr,
    },
}
CONTRACT = {"log_p_with", "log_p_without", "log_p_shuffled", "log_p_random", "accuracy"}


@pytest.fixture(scope="module")
def told(local_ray, tmp_path_factory):
    """A policy that begins as the reader, and its and the agents' summaries."""
    place = tmp_path_factory.mktemp("checkpoint")
    settings = ReinforceSettings(model="language", hidden=(32, 32), warm_start="baked")
    algorithm = algos.build_algorithm(
        "reinforce", "QuietThoughts-v0", KWARGS, settings, iterations=1, seed=0
    )
    algorithm.start_training()
    save_policy(algorithm, "reinforce", place / "policy")
    algorithm.stop()
    write_manifest(place)
    policy = Policy.load(place)
    evaluation = evaluate(policy, 300, 0, {"split": "test"})
    assert (evaluation.metric, evaluation.mode) == ("log_p_with", "max")
    return policy, {name: evaluation.summarise(name) for name in evaluation.episodes}


def test_every_agent_has_the_figures_of_the_contract_and_proof(told):
    for figures in told[1].values():
        assert set(figures) >= CONTRACT | {"gain", "gain_low", "own", "followed", "proved"}
        json.dumps(figures, allow_nan=False)


def test_the_oracle_is_proved_and_what_does_not_help_is_not(told):
    _, of = told
    assert of["oracle"]["proved"] == 1
    assert of["random"]["proved"] == of["silent"]["proved"] == 0
    assert of["silent"]["log_p_with"] == of["silent"]["log_p_without"]


def test_a_policy_that_begins_as_the_reader_writes_as_it_does(told):
    policy, _ = told
    world = small(QUICK, filler=0.2)
    state, _ = world.reset(counter_rng.make_keys(0, 50))
    after = world.step(state, np.full(50, 2))
    found = policy.module._forward({"obs.tokens": torch.from_numpy(after.observation["tokens"])})
    expected = world.reader.next_thought(state.passages.context, after.state.thought)
    np.testing.assert_allclose(found["dist"].logits.detach(), expected, atol=1e-4)
