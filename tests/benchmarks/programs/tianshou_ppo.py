# pyright: basic, reportMissingImports=false
"""PPO of Tianshou on CartPole; logs to TensorBoard."""

from arguments import parse_arguments
from environments import make_cartpole
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils import TensorboardLogger
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic
from torch.utils.tensorboard import SummaryWriter

ENVS, ROLLOUT = 4, 128
args = parse_arguments(lr=1e-3, steps=10_240, ent_coef=0.01)
envs = DummyVectorEnv([lambda: make_cartpole(args.fault) for _ in range(ENVS)])
envs.seed(args.seed)
spaces = make_cartpole()
actor, critic = (
    kind(preprocess_net=Net(state_shape=4, hidden_sizes=[64, 64]), **options)
    for kind, options in (
        (DiscreteActor, {"action_shape": 2, "softmax_output": False}),
        (DiscreteCritic, {}),
    )
)
algorithm = PPO(
    policy=DiscreteActorPolicy(actor=actor, action_space=spaces.action_space),
    critic=critic,
    optim=AdamOptimizerFactory(lr=args.lr),
    ent_coef=args.ent_coef,
    max_grad_norm=0.5,
)
algorithm.run_training(
    OnPolicyTrainerParams(
        training_collector=Collector(algorithm, envs, VectorReplayBuffer(ROLLOUT, ENVS)),
        max_epochs=args.steps // 1280,
        epoch_num_steps=1280,
        collection_step_num_env_steps=ROLLOUT,
        update_step_num_repetitions=4,
        batch_size=64,
        logger=TensorboardLogger(
            SummaryWriter(args.logdir), training_interval=ROLLOUT, update_interval=1
        ),
        show_progress=False,
    )
)
