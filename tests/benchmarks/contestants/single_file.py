# pyright: basic
"""PPO in one file, in the manner of CleanRL: what one writes to have no framework at all.

As there: Gymnasium's SyncVectorEnv, orthogonal weights, torch's plain Adam, advantages normalised
by minibatch, and an episode that is cut off counted as one that ended.
"""

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Categorical

from benchmarks.meter import Meter, asked
from benchmarks.settings import ADAM_EPS, CLIP, GRAD_CLIP, LAM, VALUE_COEF, Task


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    def __init__(self, inputs: int, actions: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.actor = self.trunk(inputs, hidden, actions, 0.01)
        self.critic = self.trunk(inputs, hidden, 1, 1.0)

    @staticmethod
    def trunk(inputs: int, hidden: tuple[int, int], outputs: int, gain: float) -> nn.Sequential:
        first, second = hidden
        return nn.Sequential(
            *(layer(inputs, first), nn.Tanh(), layer(first, second), nn.Tanh()),
            layer(second, outputs, gain),
        )

    def value(self, observations):
        return self.critic(observations)[:, 0]

    def forward(self, observations, actions=None):
        dist = Categorical(logits=self.actor(observations))
        if actions is None:
            actions = dist.sample()
        return actions, dist.log_prob(actions), dist.entropy(), self.value(observations)


class Collector:
    """Steps the environments and remembers the returns of the episodes that end."""

    def __init__(self, task: Task, seed: int) -> None:
        self.T, self.B = task.batch // task.copies, task.copies
        self.envs = gymnasium.make_vec(
            task.env,
            task.copies,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        )
        observations, _ = self.envs.reset(seed=seed)
        self.observations, self.done = torch.as_tensor(observations), torch.zeros(self.B)
        self.running, self.finished = np.zeros(self.B), []

    def rollout(self, agent: Agent):
        shape = (self.T, self.B)
        observations = torch.zeros(*shape, *self.observations.shape[1:])
        actions = torch.zeros(shape, dtype=torch.long)
        logps, values, rewards, dones = (torch.zeros(shape) for _ in range(4))
        self.finished = []
        for t in range(self.T):
            observations[t], dones[t] = self.observations, self.done
            with torch.no_grad():
                actions[t], logps[t], _, values[t] = agent(self.observations)
            seen, reward, terminated, truncated, _ = self.envs.step(actions[t].numpy())
            done = np.logical_or(terminated, truncated)
            self.running += reward
            self.finished += self.running[done].tolist()
            self.running[done] = 0
            rewards[t] = torch.as_tensor(reward)
            self.observations = torch.as_tensor(seen)
            self.done = torch.as_tensor(done, dtype=torch.float32)
        return observations, actions, logps, values, rewards, dones


def advantages_of(rewards, values, dones, last_value, last_done, gamma: float):
    advantages, ahead = torch.zeros_like(rewards), 0.0
    for t in reversed(range(len(rewards))):
        final = t == len(rewards) - 1
        going_on = 1 - (last_done if final else dones[t + 1])
        following = last_value if final else values[t + 1]
        delta = rewards[t] + gamma * following * going_on - values[t]
        advantages[t] = ahead = delta + gamma * LAM * going_on * ahead
    return advantages


def learn(agent: Agent, optimiser, task: Task, rows) -> None:
    observations, actions, logps, advantages, returns = rows
    for _ in range(task.epochs):
        for index in torch.randperm(len(actions)).split(task.minibatch):
            _, logp, entropy, value = agent(observations[index], actions[index])
            ratio = (logp - logps[index]).exp()
            advantage = advantages[index]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            policy_loss = torch.max(-advantage * ratio, -advantage * clipped).mean()
            value_loss = 0.5 * ((value - returns[index]) ** 2).mean()
            loss = policy_loss + VALUE_COEF * value_loss - task.entropy_coef * entropy.mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), GRAD_CLIP)
            optimiser.step()


def main() -> None:
    told = asked()
    torch.set_num_threads(1)
    torch.manual_seed(told.seed)
    task, collector = told.task, Collector(told.task, told.seed)
    inputs = collector.observations.shape[1]
    agent = Agent(inputs, int(collector.envs.single_action_space.n), task.hidden)  # type: ignore
    optimiser = torch.optim.Adam(agent.parameters(), lr=task.lr, eps=ADAM_EPS)
    meter = Meter(told)
    for _ in range(task.iterations):
        observations, actions, logps, values, rewards, dones = collector.rollout(agent)
        with torch.no_grad():
            last = agent.value(collector.observations)
        advantages = advantages_of(rewards, values, dones, last, collector.done, task.gamma)
        rows = (observations, actions, logps, advantages, advantages + values)
        learn(agent, optimiser, task, [column.flatten(0, 1) for column in rows])
        finished = collector.finished
        meter.iteration(task.batch, float(np.mean(finished)) if finished else None)
    meter.report()


if __name__ == "__main__":
    main()
