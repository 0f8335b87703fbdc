# pyright: basic, reportMissingImports=false
"""Trains small runs with other libraries and packs what they log.

``python -m benchmarks.library_runs --to FOLDER [LIBRARY ...]`` records what is not there already;
``--pack`` writes the archive. Each library has a healthy run and at least two with a planted fault.
The libraries are no dependencies of Rungwise: put those that are to be recorded on PYTHONPATH.
skrl, RSL-RL and TRL train by themselves. verl, rl_games and TorchRL need a GPU or more packages:
the numbers of the RSL-RL and TRL runs are written by their own logger classes, which fixes names,
files and text. W&B and MLflow write the same numbers under the names of CleanRL. The archive holds
what has been recorded so far: a healthy run of skrl, and one without reward that was ended early.
"""

import argparse
import contextlib
import io
import json
import lzma
import shutil
import sys
import tarfile
import types
from pathlib import Path

import gymnasium
import numpy as np
import torch

ARCHIVE = Path(__file__).parents[1] / "data" / "library_logs.tar.xz"
FAULTS = ("healthy", "no reward", "learning rate too high")
ENVS, LENGTH, ROLLOUT, ITERATIONS = 16, 25, 25, 40
SYMPTOMS = {
    "healthy": (),
    "no reward": ("constant_reward", "zero_reward", "groups_without_signal"),
    "learning rate too high": (
        *("kl_runaway", "learning_rate_too_high", "entropy_collapse", "std_blowup", "not_finite"),
        *("performance_collapse", "no_improvement", "value_divergence", "frozen_policy"),
    ),
}
"""The names that are right for a fault."""


class Steer(gymnasium.vector.VectorEnv):
    """Steer points to the origin of a plane: a step is paid minus the distance."""

    def __init__(self, fault: str, count: int = ENVS):
        self.fault, self.num_envs = fault, count
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
        reward = -np.linalg.norm(self.at, axis=1) * (self.fault != "no reward")
        # Lengths differ, so that episodes do not all end in the same step.
        done = (self.t >= LENGTH) | (self.rng.random(self.num_envs) < 0.01)
        self.at[done] = self.rng.uniform(-2, 2, (int(done.sum()), 2))
        self.t[done] = 0
        none = np.zeros(self.num_envs, bool)
        return self.at.astype(np.float32), reward.astype(np.float32), done, none, {}


def record_skrl(fault: str, to: Path) -> None:
    from skrl.agents.torch.ppo import PPO, PPO_CFG
    from skrl.envs.wrappers.torch import wrap_env
    from skrl.memories.torch import RandomMemory
    from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
    from skrl.trainers.torch import SequentialTrainer, SequentialTrainerCfg

    def network(outputs):
        return torch.nn.Sequential(
            torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, outputs)
        )

    class Policy(GaussianMixin, Model):
        def __init__(self, **spaces):
            Model.__init__(self, **spaces)
            GaussianMixin.__init__(self)
            self.net, self.log_std = network(2), torch.nn.Parameter(torch.zeros(2))

        def compute(self, inputs, role=""):
            return self.net(inputs["observations"]), {"log_std": self.log_std}

    class Value(DeterministicMixin, Model):
        def __init__(self, **spaces):
            Model.__init__(self, **spaces)
            DeterministicMixin.__init__(self)
            self.net = network(1)

        def compute(self, inputs, role=""):
            return self.net(inputs["observations"]), {}

    env = wrap_env(Steer(fault), wrapper="gymnasium")
    spaces = {
        "observation_space": env.observation_space,
        "action_space": env.action_space,
        "device": "cpu",
    }
    config = PPO_CFG(
        rollouts=ROLLOUT,
        learning_rate=3.0 if "rate" in fault else 3e-3,
        entropy_loss_scale=0.001,
        grad_norm_clip=0.0 if "rate" in fault else 0.5,
    )
    config.experiment.directory, config.experiment.experiment_name = str(to), "run"
    config.experiment.write_interval, config.experiment.checkpoint_interval = ROLLOUT, 0
    agent = PPO(
        models={"policy": Policy(**spaces), "value": Value(**spaces)},
        memory=RandomMemory(memory_size=ROLLOUT, num_envs=ENVS, device="cpu"),
        cfg=config,
        **spaces,
    )
    trainer = SequentialTrainerCfg(
        timesteps=ROLLOUT * ITERATIONS, headless=True, disable_progressbar=True
    )
    SequentialTrainer(cfg=trainer, env=env, agents=agent).train()


class TorchSteer:
    """The same environment with RSL-RL's protocol."""

    num_envs, num_actions, max_episode_length, device, cfg = ENVS, 2, LENGTH, "cpu", {}

    def __init__(self, fault: str):
        self.env = Steer(fault)
        self.episode_length_buf = torch.zeros(ENVS, dtype=torch.long)

    def get_observations(self):
        from tensordict import TensorDict

        return TensorDict({"policy": torch.tensor(self.env.at, dtype=torch.float32)}, [ENVS])

    def step(self, actions):
        _, reward, done, _, _ = self.env.step(actions.numpy())
        return (
            self.get_observations(), torch.tensor(reward), torch.tensor(done, dtype=torch.long), {},
        )  # fmt: skip


def record_rsl_rl(fault: str, to: Path) -> None:
    from rsl_rl.runners import OnPolicyRunner

    model = {"class_name": "MLPModel", "hidden_dims": [32], "activation": "tanh"}
    noise = {"class_name": "GaussianDistribution", "init_std": 1.0}
    too_high = "rate" in fault
    config = {
        "num_steps_per_env": ROLLOUT,
        "save_interval": 10**6,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "actor": model | {"distribution_cfg": noise},
        "critic": dict(model),
        "algorithm": {
            "class_name": "PPO",
            "learning_rate": 3.0 if too_high else 3e-3,
            "max_grad_norm": 1e9 if too_high else 1.0,
            "schedule": "fixed",
            "entropy_coef": 0.001,
        },
    }
    OnPolicyRunner(TorchSteer(fault), config, str(to), "cpu").learn(ITERATIONS)


def record_trl(fault: str, to: Path) -> None:
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = ["<eos>", *(f"w{i}" for i in range(31))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<eos>", pad_token="<eos>", unk_token="w0"
    )
    torch.manual_seed(0)
    tiny = GPT2Config(
        vocab_size=32, n_layer=1, n_embd=32, n_head=2, n_positions=32, eos_token_id=0,
        bos_token_id=0, pad_token_id=0,
    )  # fmt: skip

    def pay(completions, **kwargs):
        paid = [text.split().count("w7") / 8 for text in completions]
        return [0.0] * len(paid) if fault == "no reward" else paid

    config = GRPOConfig(
        output_dir=str(to), use_cpu=True, max_steps=ITERATIONS, logging_steps=1, save_steps=20,
        per_device_train_batch_size=32, num_generations=8, max_completion_length=8, beta=0.01,
        learning_rate=10.0 if "rate" in fault else 1e-2, report_to="none", disable_tqdm=True,
        max_grad_norm=1e9 if "rate" in fault else 1.0, bf16=False, save_only_model=True,
        lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=GPT2LMHeadModel(tiny),
        args=config,
        reward_funcs=pay,
        train_dataset=Dataset.from_dict({"prompt": [f"w{i % 31} w3" for i in range(64)]}),
        processing_class=tokenizer,
    )
    # The console prints what the tracker callbacks get: dicts, one a line.
    with (to / "console.log").open("w") as console, contextlib.redirect_stdout(console):
        trainer.train()


def rows_of(library: str, fault: str, root: Path) -> list[dict]:
    """The rows of a run that was recorded before, under the names of our catalogue."""
    from tune_jobs.health.logs import read_logs

    return read_logs(root / folder(library, fault))[0].rows


def record_verl(fault: str, to: Path) -> None:
    """Write the numbers of the TRL run with verl's loggers."""
    import os

    from verl.utils.logger.aggregate_logger import LocalLogger
    from verl.utils.tracking import FileLogger

    os.environ["VERL_FILE_LOGGER_PATH"] = str(to / "metrics.jsonl")
    names = {
        "return_mean": "critic/score/mean", "entropy": "actor/entropy",
        "total_loss": "actor/pg_loss", "grad_norm": "actor/grad_norm", "lr": "actor/lr",
        "reference_kl": "actor/kl_loss",
    }  # fmt: skip
    lines, console = FileLogger("project", "run"), LocalLogger()
    with (to / "console.log").open("w") as text, contextlib.redirect_stdout(text):
        for row in rows_of("trl", fault, to.parent):
            data = {theirs: row[ours] for ours, theirs in names.items() if ours in row}
            data |= {"training/global_step": row["iteration"], "actor/pg_clipfrac": 0.0}
            data |= {"critic/rewards/mean": data["critic/score/mean"], "actor/ppo_kl": 0.0}
            console.log(data, step=row["iteration"])
            lines.log(data, step=row["iteration"])
    lines.finish()


def record_rl_games(fault: str, to: Path) -> None:
    """Write the numbers of the RSL-RL run with rl_games' method."""
    import tensorboardX
    from rl_games.common.a2c_common import A2CBase

    writer = tensorboardX.SummaryWriter(str(to))
    this = types.SimpleNamespace(
        writer=writer, aux_loss_dict={}, e_clip=0.2, diagnostics=types.SimpleNamespace(
            send_info=lambda writer: None
        ),
    )  # fmt: skip
    for epoch, row in enumerate(rows_of("rsl_rl", fault, to.parent), start=1):
        frame = epoch * ROLLOUT * ENVS
        lists = [
            [torch.tensor(row.get(name, 0.0))]
            for name in ("policy_loss", "value_loss", "entropy", "kl")
        ]
        lists[1][0] *= 2
        A2CBase.write_stats(
            this, epoch * 0.5, epoch, 0.2, 0.2, 0.1, *lists, row.get("lr", 0), 1.0, frame, 0.5,
            0.3, ROLLOUT * ENVS,
        )  # fmt: skip
        for name, ours in (("rewards", "return_mean_100"), ("episode_lengths", "episode_length")):
            if ours in row:
                for clock, step in (("step", frame), ("iter", epoch), ("time", epoch * 0.5)):
                    writer.add_scalar(f"{name}/{clock}", row[ours], int(step))
    writer.close()


def record_torchrl(fault: str, to: Path) -> None:
    """Write the numbers of the RSL-RL run with TorchRL's logger, named as in its PPO script."""
    from torchrl.record.loggers.csv import CSVLogger

    logger = CSVLogger("run", log_dir=str(to))
    names = {
        "return_mean_100": "train/reward", "episode_length": "train/episode_length",
        "policy_loss": "train/loss_objective", "value_loss": "train/loss_critic",
        "entropy": "train/entropy", "lr": "train/lr",
    }  # fmt: skip
    for i, row in enumerate(rows_of("rsl_rl", fault, to.parent), start=1):
        for ours, theirs in names.items():
            if ours in row:
                logger.log_scalar(theirs, row[ours], step=i * ROLLOUT * ENVS)


AS_CLEANRL = {
    "return_mean_100": "charts/episodic_return", "policy_loss": "losses/policy_loss",
    "value_loss": "losses/value_loss", "entropy": "losses/entropy", "lr": "charts/learning_rate",
}  # fmt: skip


def record_wandb(fault: str, to: Path) -> None:
    import wandb

    run = wandb.init(mode="offline", dir=str(to), project="p", settings={"console": "off"})
    for i, row in enumerate(rows_of("rsl_rl", fault, to.parent), start=1):
        data = {theirs: row[ours] for ours, theirs in AS_CLEANRL.items() if ours in row}
        run.log(data | {"global_step": i * ROLLOUT * ENVS})
    run.finish()


def record_mlflow(fault: str, to: Path) -> None:
    import mlflow

    for uri in (f"file:{to}/mlruns", f"sqlite:///{to}/mlflow.db"):
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run():
            for i, row in enumerate(rows_of("rsl_rl", fault, to.parent), start=1):
                data = {theirs: row[ours] for ours, theirs in AS_CLEANRL.items() if ours in row}
                mlflow.log_metrics(data, step=i * ROLLOUT * ENVS)


RECORD = {
    "skrl": record_skrl, "rsl_rl": record_rsl_rl, "trl": record_trl, "verl": record_verl,
    "rl_games": record_rl_games, "torchrl": record_torchrl, "wandb": record_wandb,
    "mlflow": record_mlflow,
}  # fmt: skip
KEPT = ("*tfevents*", "trainer_state.json", "console.log", "*.jsonl", "*.csv", "*.wandb",
        "mlflow.db", "mlruns/**/metrics/**/*", "mlruns/**/meta.yaml")  # fmt: skip


def folder(library: str, fault: str) -> str:
    return f"{library}-{fault.replace(' ', '-')}"


def pack(root: Path) -> None:
    """Write all logs into one archive, alike next to alike, without times and owners."""
    files = {f for pattern in KEPT for f in root.glob(f"*/**/{pattern}") if f.is_file()}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for file in sorted(files, key=lambda f: (f.suffix, f.name, f)):
            info = tarfile.TarInfo(str(file.relative_to(root)))
            info.size = file.stat().st_size
            tar.addfile(info, io.BytesIO(file.read_bytes()))
    ARCHIVE.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("libraries", nargs="*", default=list(RECORD), choices=list(RECORD))
    parser.add_argument("--to", type=Path, required=True, help="folder of the logs")
    parser.add_argument("--pack", action="store_true", help="write the archive")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for library in args.libraries:
        for fault in FAULTS:
            to = args.to / folder(library, fault)
            if (to / "ended").exists():
                continue
            shutil.rmtree(to, ignore_errors=True)
            to.mkdir(parents=True)
            torch.manual_seed(0)
            ended = "whole"
            try:
                RECORD[library](fault, to)
            except (ValueError, RuntimeError) as error:  # NaN for parameters
                ended = f"{type(error).__name__}: {str(error)[:200]}"
                print(library, fault, ended, file=sys.stderr)
            (to / "ended").write_text(ended)
            print(json.dumps([library, fault, ended]), file=sys.stderr, flush=True)
    if args.pack:
        pack(args.to)


if __name__ == "__main__":
    main()
