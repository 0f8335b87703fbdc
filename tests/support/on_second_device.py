# pyright: basic
"""Each network and algorithm on a second device: nothing is left on the CPU that must move.

The device exists on a CPU only (see `second_device`); tests/gpu runs the same cases on CUDA. Run by
tests/algos/test_devices.py in a process of its own: torch then takes the device for the machine's
accelerator, and cannot forget it.
"""

import device_cases
import numpy as np
import pytest
import torch
from device_cases import CASES
from second_device import make_second_device

from algos.models.mlp import MLPPolicy

CPU = torch.device("cpu")


def copy_tensor(tensor, memo):
    """What torch's own does, but not by the storage, for which this device has no allocator."""
    if id(tensor) not in memo:
        copied = tensor.detach().clone().requires_grad_(tensor.requires_grad)
        kind = torch.nn.Parameter if isinstance(tensor, torch.nn.Parameter) else torch.Tensor
        memo[id(tensor)] = copied.as_subclass(kind)
    return memo[id(tensor)]


@pytest.fixture
def second(monkeypatch):
    """The device, with what torch can do on CUDA and not on it."""
    device = make_second_device()
    monkeypatch.setattr(torch.Tensor, "__deepcopy__", copy_tensor)
    # Tied weights stay tied where the parameter itself moves, as it does to CUDA.
    torch.__future__.set_swap_module_params_on_conversion(True)
    # An error in a thread of C++'s own would abort the process.
    with torch.autograd.set_multithreading_enabled(False):
        yield device
    torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.fixture
def build(monkeypatch):
    """Build a runner and a learner where processes with a GPU hold this device."""

    def build_on(device, case, **changed):
        def get_device(config, gpus):
            return device if gpus else CPU

        monkeypatch.setattr("algos.rllib.column_config.get_device", get_device)
        monkeypatch.setattr("ray.rllib.core.learner.torch.torch_learner.get_device", get_device)
        return device_cases.build(case, **changed)

    return build_on


def check_same(found, expected):
    """The same draws on any device, and the same numbers but for the order of sums."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # The share of positive margins: near the reference a margin's sign is that of its rounding.
        gap = 0.2 if name == "pair_accuracy" else 1e-4
        assert found[name] == pytest.approx(value, rel=1e-3, abs=gap), name


@pytest.mark.parametrize(
    ("name", "acting"),
    [*((name, "gpu") for name in CASES), *((name, "cpu") for name in ("mlp-ppo", "lm-lora-ppo"))],
)
def test_training_on_a_device_is_that_on_the_cpu(name, acting, second, build, monkeypatch):
    if acting == "gpu":  # where perceptrons draw their actions with torch, not with numpy
        monkeypatch.setattr(MLPPolicy, "on_numpy", False)
    runner, learner = build(second, CASES[name], acting_device=acting)
    assert learner._device == second
    assert runner.module.device.type == ("cpu" if acting == "cpu" else second.type)
    trained = device_cases.train(runner, learner, 2)
    expected = device_cases.train(*build(CPU, CASES[name]), iterations=2)
    for there, here in zip(trained, expected, strict=True):
        check_same(there, here)


def test_a_language_model_thinks_on_a_device_as_on_the_cpu(second, build, tmp_path):
    case = device_cases.make_thinker_case(tmp_path)
    runner, learner = build(second, case)
    assert runner.module.device.type == second.type
    trained = device_cases.train(runner, learner, 2)
    expected = device_cases.train(*build(CPU, case), iterations=2)
    for there, here in zip(trained, expected, strict=True):
        check_same(there, here)


@pytest.mark.parametrize("name", ["mlp-beta-ppo", "set-dpo", "lm-astar_po"])
def test_training_on_a_device_continues_on_the_cpu_and_back(name, second, build):
    runner, learner = build(second, CASES[name])
    device_cases.train(runner, learner, 1)
    for device in (CPU, second):
        other = build(device, CASES[name])
        for old, new in zip((runner, learner), other, strict=True):
            new.set_state(old.get_state())
        expected = device_cases.train(runner, learner, 2)
        runner, learner = other
        for there, here in zip(device_cases.train(runner, learner, 2), expected, strict=True):
            check_same(there, here)


def test_small_networks_act_on_the_cpu_and_language_models_on_a_gpu(second, build):
    acting = {name: build(second, CASES[name])[0].module.device.type for name in CASES}
    on_gpu = {name for name, device in acting.items() if device == second.type}
    assert on_gpu == {"lm-astar_po", "lm-lora-ppo"}


def test_actions_come_back_as_numpy_arrays(second, build):
    runner, _ = build(second, CASES["mlp-ppo"], acting_device="gpu")
    module = runner.module
    action, logps, value, _ = module.act_on_arrays(runner.observation, runner.generator)
    assert {type(part) for part in (*action.values(), *logps.values(), value)} == {np.ndarray}
    assert module.acts_on_numpy, "but only on the CPU"


def test_the_second_device_refuses_what_cuda_refuses():
    there = torch.ones(2).to(make_second_device())
    with pytest.raises(RuntimeError, match="same device"):
        torch.add(there, torch.ones(2))
    with pytest.raises(RuntimeError, match="generator of the CPU"):
        there.exponential_(generator=torch.Generator())
    with pytest.raises(TypeError, match="to numpy"):
        there.numpy()
