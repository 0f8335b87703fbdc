# pyright: basic
"""Each algorithm and network on a GPU, in this process: weights, resume, and the CPU's figures."""

import math

import device_cases
import numpy as np
import pytest
import torch
from device_cases import CASES
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID

for module, extra in {"transformers": "lm", "tantivy": "shop", "skfem": "edges"}.items():
    pytest.importorskip(module, reason=f"the extra [{extra}] is not installed")

pytestmark = pytest.mark.usefixtures("local_ray")  # RLlib asks it which GPU this process holds


def get_weights(learner):
    return learner.get_state(components=COMPONENT_RL_MODULE)[COMPONENT_RL_MODULE][DEFAULT_MODULE_ID]


def test_a_language_model_thinks_and_reads_on_the_gpu(tmp_path, monkeypatch):
    # Loading it rounds the products of this process, which the other tests compare with the CPU's.
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    case = device_cases.make_thinker_case(tmp_path, reader_device="cuda")
    runner, learner = device_cases.build(case)
    metrics = device_cases.train(runner, learner, 3)
    assert runner.module.device.type == "cuda" == runner.env.world.reader.network.marks.device.type
    assert all(math.isfinite(value) for found in metrics for value in found.values())
    assert torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("acting", ["gpu", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_three_iterations_learn_on_the_gpu(name, acting):
    runner, learner = device_cases.build(CASES[name], acting_device=acting)
    module = learner.module[DEFAULT_MODULE_ID]
    assert {p.device.type for p in module.parameters()} == {"cuda"}
    assert runner.module.device.type == ("cuda" if acting == "gpu" else "cpu")
    before = get_weights(learner)
    metrics = device_cases.train(runner, learner, 3)
    after = get_weights(learner)
    assert all(math.isfinite(value) for found in metrics for value in found.values())
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    runner.set_state({COMPONENT_RL_MODULE: after})
    held = runner.module.get_state()
    assert all(np.array_equal(held[name], after[name]) for name in after)


@pytest.mark.parametrize("name", CASES)
def test_the_first_update_is_that_of_the_cpu(name, monkeypatch):
    # The policy acts on the CPU in both: one choice that rounds differently changes the episode.
    (there,) = device_cases.train(*device_cases.build(CASES[name], acting_device="cpu"), 1)
    for path in ("algos.rllib.column_config", "ray.rllib.core.learner.torch.torch_learner"):
        monkeypatch.setattr(f"{path}.get_device", lambda config, gpus: torch.device("cpu"))
    (here,) = device_cases.train(*device_cases.build(CASES[name], acting_device="cpu"), 1)
    assert there.keys() == here.keys()
    # Before its first step the policy is the reference: which margin is above zero is rounding.
    for metric in here.keys() - {"pair_accuracy"}:
        value = here[metric]
        assert there[metric] == pytest.approx(value, rel=0.02, abs=1e-3), metric


@pytest.mark.parametrize("name", ["mlp-beta-ppo", "set-dpo", "graph-reinforce", "lm-astar_po"])
def test_a_saved_state_continues_as_if_it_had_not_been_saved(name):
    runner, learner = device_cases.build(CASES[name])
    device_cases.train(runner, learner, 2)
    other = device_cases.build(CASES[name])
    for old, new in zip((runner, learner), other, strict=True):
        new.set_state(old.get_state())
    (expected,) = device_cases.train(runner, learner, 1)
    (found,) = device_cases.train(*other, 1)
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=0.02, abs=1e-3), metric
