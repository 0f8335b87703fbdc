# pyright: basic
"""A process that trains does not import torch's compiler, and what that would have set is set."""

import json
import subprocess
import sys

import pytest

TRAINS = """
import json, sys
import torch
import algos
from algos.settings.ppo import PPOSettings
from tune_jobs.ray_session import ray_session

switch = torch.use_deterministic_algorithms
settings = PPOSettings(num_envs=2, rollout_length=32, minibatch_size=32, hidden=(8,))
with ray_session(cpus=1):
    built = algos.build_algorithm("ppo", "CartPole-v1", {}, settings, iterations=2, seed=0)
    built.train()
    built.save_to_path(sys.argv[1])
    built.restore_from_path(sys.argv[1])
    built.stop()
print(json.dumps([
    sorted({"torch._dynamo", "torch._inductor"} & sys.modules.keys()),
    torch.are_deterministic_algorithms_enabled(),
    torch.use_deterministic_algorithms is switch,
]))
"""


@pytest.mark.system
def test_training_imports_no_compiler_and_is_deterministic(tmp_path):
    done = subprocess.run([sys.executable, "-c", TRAINS, tmp_path], capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, True], done.stderr[-2000:]
