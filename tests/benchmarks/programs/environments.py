# pyright: basic, reportMissingImports=false
"""CartPole and a vectorised environment, each healthy or with a fault.

The programs of this folder get their environments here; what trains them is not changed by a fault.
"""

import gymnasium
import numpy as np
import torch

FAULTS = ("none", "nan-reward", "constant-reward", "endless")
NAN_FROM = 1000
"""Steps of one environment after which the reward is NaN."""


class Faulty(gymnasium.Wrapper):
    """An environment with a fault that a bug in its code may cause."""

    def __init__(self, env, fault):
        super().__init__(env)
        self.fault, self.steps = fault, 0

    def step(self, action):
        seen, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        if self.fault == "nan-reward" and self.steps > NAN_FROM:
            reward = float("nan")
        if self.fault == "constant-reward":
            reward = 0.0
        if self.fault == "endless" and (terminated or truncated):
            seen, info = self.env.reset()
            terminated = truncated = False
        return seen, reward, terminated, truncated, info


def make_cartpole(fault="none", **options):
    return Faulty(gymnasium.make("CartPole-v1", **options), fault)


for _fault in FAULTS:
    # By these names also programs make them that take no more than a name.
    gymnasium.register(f"CartPole-{_fault}-v0", make_cartpole, kwargs={"fault": _fault})


class Steer(gymnasium.vector.VectorEnv):
    """Steer points to the origin of a plane: a step is paid minus the distance."""

    length = 25
    """Steps of an episode, at most."""

    def __init__(self, fault, count=16):
        self.fault, self.num_envs, self.steps = fault, count, 0
        self.single_observation_space = gymnasium.spaces.Box(-9, 9, (2,))
        self.single_action_space = gymnasium.spaces.Box(-1, 1, (2,))
        self.observation_space = gymnasium.spaces.Box(-9, 9, (count, 2))
        self.action_space = gymnasium.spaces.Box(-1, 1, (count, 2))
        self.rng = np.random.default_rng(0)
        self.at = self.rng.uniform(-2, 2, (count, 2))
        self.t = np.zeros(count, int)

    def reset(self, *, seed=None, options=None):
        return self.at.astype(np.float32), {}

    def step(self, actions):
        actions = np.nan_to_num(np.asarray(actions).reshape(self.num_envs, 2))
        self.at = np.clip(self.at + 0.4 * np.clip(actions, -1, 1), -3, 3)
        self.t += 1
        self.steps += 1
        reward = -np.linalg.norm(self.at, axis=1) * (self.fault != "constant-reward")
        if self.fault == "nan-reward" and self.steps > NAN_FROM // 2:
            reward[0] = float("nan")
        # Lengths differ, so that episodes do not all end in the same step.
        done = (self.t >= self.length) | (self.rng.random(self.num_envs) < 0.01)
        done &= self.fault != "endless"
        self.at[done] = self.rng.uniform(-2, 2, (int(done.sum()), 2))
        self.t[done] = 0
        none = np.zeros(self.num_envs, bool)
        return self.at.astype(np.float32), reward.astype(np.float32), done, none, {}


class TorchSteer:
    """The same environment with RSL-RL's protocol."""

    num_actions, max_episode_length, device, cfg = 2, Steer.length, "cpu", {}

    def __init__(self, fault):
        self.env = Steer(fault)
        self.num_envs = self.env.num_envs
        self.episode_length_buf = torch.zeros(self.num_envs, dtype=torch.long)

    def get_observations(self):
        from tensordict import TensorDict

        seen = torch.tensor(self.env.at, dtype=torch.float32)
        return TensorDict({"policy": seen}, [self.num_envs])

    def step(self, actions):
        _, reward, done, _, _ = self.env.step(actions.numpy())
        done = torch.tensor(done, dtype=torch.long)
        return self.get_observations(), torch.tensor(reward), done, {}
