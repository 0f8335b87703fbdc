# pyright: basic, reportMissingImports=false
"""PPO of TorchRL on CartPole, as in its published scripts; logs a CSV file for each metric."""

import torch
from arguments import parse_arguments
from environments import make_cartpole
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, RewardSum, SerialEnv, StepCounter, TransformedEnv
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE
from torchrl.record.loggers.csv import CSVLogger

ROLLOUT, EPOCHS, MINIBATCH = 256, 4, 128
args = parse_arguments(lr=1e-3, steps=20_480, ent_coef=0.01)


def make_env():
    env = GymWrapper(make_cartpole(args.fault), categorical_action_encoding=True)
    return TransformedEnv(env, RewardSum()).append_transform(StepCounter())


def network(outputs):
    return nn.Sequential(
        nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


envs = SerialEnv(4, make_env)
envs.set_seed(args.seed)
actor = ProbabilisticActor(
    TensorDictModule(network(2), in_keys=["observation"], out_keys=["logits"]),
    in_keys=["logits"],
    distribution_class=torch.distributions.Categorical,
    return_log_prob=True,
)
critic = ValueOperator(network(1), in_keys=["observation"])
loss = ClipPPOLoss(
    actor, critic, entropy_coeff=args.ent_coef, normalize_advantage=True, loss_critic_type="l2"
)
advantage = GAE(gamma=0.99, lmbda=0.95, value_network=critic)
optimiser = torch.optim.Adam(loss.parameters(), lr=args.lr)
logger = CSVLogger("run", log_dir=args.logdir)
steps = 0
for batch in Collector(envs, actor, frames_per_batch=ROLLOUT, total_frames=args.steps):
    steps += batch.numel()
    done = batch["next", "done"]
    if done.any():
        logger.log_scalar("train/reward", batch["next", "episode_reward"][done].mean(), steps)
        length = batch["next", "step_count"][done].float().mean()
        logger.log_scalar("train/episode_length", length, steps)
    sums, updates = {}, 0
    for _ in range(EPOCHS):
        with torch.no_grad():
            flat = advantage(batch).reshape(-1)
        for part in torch.randperm(len(flat)).split(MINIBATCH):
            terms = loss(flat[part])
            total = terms["loss_critic"] + terms["loss_objective"] + terms["loss_entropy"]
            optimiser.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
            optimiser.step()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0) + value.detach().mean()
            updates += 1
    for name, value in sums.items():
        logger.log_scalar(f"train/{name}", value / updates, steps)
    logger.log_scalar("train/lr", args.lr, steps)
