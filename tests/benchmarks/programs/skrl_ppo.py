# pyright: basic, reportMissingImports=false
"""PPO of skrl; logs to TensorBoard."""

from arguments import parse_arguments
from environments import Steer
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg
from torch import nn, zeros

ROLLOUT = 25


def network(outputs):
    return nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, outputs))


class Policy(GaussianMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        GaussianMixin.__init__(self)
        self.net, self.log_std = network(2), nn.Parameter(zeros(2))

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, **spaces):
        Model.__init__(self, **spaces)
        DeterministicMixin.__init__(self)
        self.net = network(1)

    def compute(self, inputs, role=""):
        return self.net(inputs["observations"]), {}


args = parse_arguments(lr=3e-3, steps=32_000, ent_coef=0.001)
env = wrap_env(Steer(args.fault), wrapper="gymnasium")
spaces = {
    "observation_space": env.observation_space,
    "action_space": env.action_space,
    "device": "cpu",
}
config = PPO_CFG(
    rollouts=ROLLOUT, learning_rate=args.lr, entropy_loss_scale=args.ent_coef, grad_norm_clip=0.5
)
config.experiment.directory, config.experiment.experiment_name = args.logdir, "run"
config.experiment.write_interval, config.experiment.checkpoint_interval = ROLLOUT, 0
agent = PPO(
    models={"policy": Policy(**spaces), "value": Value(**spaces)},
    memory=RandomMemory(memory_size=ROLLOUT, num_envs=env.num_envs, device="cpu"),
    cfg=config,
    **spaces,
)
trainer = SequentialTrainerCfg(
    timesteps=args.steps // env.num_envs, headless=True, disable_progressbar=True
)
SequentialTrainer(cfg=trainer, env=env, agents=agent).train()
