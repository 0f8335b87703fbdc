# pyright: basic
"""What is computed after a rollout is what the policy gives for each of its steps."""

import numpy as np
import pytest
import small
import torch

CARTPOLE, PENDULUM, CAUSAL = "CartPole-v1", "Pendulum-v1", "envs:CausalLearning-v0"
CASES = {
    "choices": (CARTPOLE, {}),
    "relu and two depths": (CARTPOLE,
        {"activation": "relu", "hidden": (8, 8), "value_hidden": (8,)}),
    "deeper critic": (CARTPOLE, {"hidden": (8,), "value_hidden": (8, 6)}),
    "values": (PENDULUM, {}),
    "standardised values": (PENDULUM, {"normalise_values": True, "normalise_observations": True}),
    "masked": ("toy_worlds:Masked-v0", {}),
    "stacked": (CARTPOLE, {"frame_stack": 2}),
    "choice with value": (CAUSAL, {"model": "mlp", "bins": 5}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_scores_of_a_rollout_are_those_of_its_steps(name, monkeypatch):
    monkeypatch.setattr("algos.rollouts.quick_actor.CHUNK_ROWS", 10)  # of 64 rows the last has 4
    env, chosen = CASES[name]
    learner = small.learner(env, num_envs=4, rollout_length=16, **chosen)
    runner = small.runner(env, num_envs=4, rollout_length=16, **chosen)
    small.updated(learner, runner.sample()[0])  # with weights and statistics that have changed
    runner.set_state({"rl_module": learner.get_state()["rl_module"]})
    rollout, _ = runner.collect(16)
    policy = runner.module
    for t in range(16):
        seen = {n: torch.as_tensor(np.array(c[t])) for n, c in rollout.columns.items()}
        with torch.no_grad():
            forward = policy._forward(seen)
            logp = forward["dist"].logp(seen)
            values = policy.restore_values(forward["value"])
            outputs, _ = policy.compute_outputs(policy.normalise_observations(seen))
        np.testing.assert_allclose(rollout.columns["logp"][t], logp, atol=3e-6)
        np.testing.assert_allclose(rollout.values[t], values, rtol=1e-5, atol=1e-5)
        arrays = {n: np.asarray(c) for n, c in seen.items()}
        acted_by = runner.quick.compute_policy_outputs(arrays)
        np.testing.assert_allclose(acted_by, outputs, rtol=1e-5, atol=3e-6)


def test_networks_that_numpy_cannot_compute_act_step_by_step():
    runner = small.runner(CARTPOLE, num_envs=4, rollout_length=16, temperature=2.0)
    rollout, _ = runner.collect(4)
    assert runner.quick is None and rollout.columns["logp"].shape == (4, 4)
