# pyright: basic
"""What plain torch modules cost at least: forward, backward and fused Adam, nothing else.

No environment, no sampling, no gather, no loss (the gradients of the outputs are given), no
clipping. A contestant that does not use plain torch modules may be faster than this.
"""

import torch

from benchmarks.contestants.single_file import Agent
from benchmarks.meter import Meter, asked

INPUTS, ACTIONS = 4, 2  # CartPole's


def main() -> None:
    told = asked()
    torch.set_num_threads(1)
    torch.manual_seed(told.seed)
    task = told.task
    agent = Agent(INPUTS, ACTIONS, task.hidden)
    optimiser = torch.optim.Adam(agent.parameters(), lr=task.lr, fused=True)
    observations = torch.randn(task.minibatch, INPUTS)
    gradients = [torch.randn(task.minibatch, outputs) * 1e-3 for outputs in (ACTIONS, 1)]
    meter = Meter(told)
    for _ in range(task.iterations):
        for _ in range(task.epochs * (task.batch // task.minibatch)):
            outputs = [agent.actor(observations), agent.critic(observations)]
            optimiser.zero_grad()
            torch.autograd.backward(outputs, gradients)
            optimiser.step()
        meter.iteration(task.batch, None)
    meter.report()


if __name__ == "__main__":
    main()
