# pyright: basic, reportMissingImports=false
"""PPO of RSL-RL; logs to TensorBoard."""

from arguments import parse_arguments
from environments import TorchSteer
from rsl_rl.runners import OnPolicyRunner

ROLLOUT = 25
args = parse_arguments(lr=3e-3, steps=32_000, ent_coef=0.001)
env = TorchSteer(args.fault)
model = {"class_name": "MLPModel", "hidden_dims": [32], "activation": "tanh"}
noise = {"class_name": "GaussianDistribution", "init_std": 1.0}
config = {
    "num_steps_per_env": ROLLOUT,
    "save_interval": 10**6,
    "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
    "actor": model | {"distribution_cfg": noise},
    "critic": dict(model),
    "algorithm": {
        "class_name": "PPO",
        "learning_rate": args.lr,
        "schedule": "fixed",
        "entropy_coef": args.ent_coef,
    },
}
OnPolicyRunner(env, config, args.logdir, "cpu").learn(args.steps // (ROLLOUT * env.num_envs))
