# pyright: basic
"""Trains the runs of foreign_cases.py with SB3 and stock RLlib and packs their logs.

``python -m benchmarks.foreign_runs --to FOLDER`` takes half an hour of one core and leaves out what
is there already; the archive is written in the end. Logs are what the tools write: SB3's through
its own logger, RLlib's through the loggers of Tune. From the latter the timers are taken out, which
are most of the bytes, and the names of the machine.
"""

import argparse
import io
import json
import lzma
import re
import shutil
import sys
import tarfile
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import stable_baselines3 as sb3
import tensorboardX
import torch
from stable_baselines3.common import logger
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.foreign_cases import CASES, REPORTED_FROM, Case
from benchmarks.foreign_worlds import learnt, make

ARCHIVE = Path(__file__).parents[1] / "data" / "foreign_logs.tar.xz"
INDEX = "index.json"
SMALL = {"net_arch": [64, 64]}
DQN = {
    "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 50_000, "learning_starts": 1000,
    "gamma": 0.99, "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128,
    "exploration_fraction": 0.16, "exploration_final_eps": 0.04,
}  # fmt: skip
ENVS = {"PPO": 4, "A2C": 8, "DQN": 1, "SAC": 1, "TD3": 1}
SETTINGS = {
    "PPO": {"n_steps": 128, "batch_size": 128, "learning_rate": 1e-3, "gamma": 0.98},
    "A2C": {},
    "DQN": DQN,
    "SAC": {"learning_rate": 1e-3, "policy_kwargs": SMALL, "learning_starts": 200},
    "TD3": {"learning_rate": 1e-3, "policy_kwargs": SMALL, "learning_starts": 200},
    "PPO Pendulum": {"n_steps": 256, "gamma": 0.9, "gae_lambda": 0.95},
    "PPO Acrobot": {"n_steps": 256, "gamma": 0.99, "ent_coef": 0.01},
    "PPO FrozenLake": {"ent_coef": 0.02, "gamma": 0.95},
    "PPO MountainCar": {"gamma": 0.99},
    "A2C Match": {"gamma": 0.5, "learning_rate": 2e-3},
    "PPO Match": {"gamma": 0.5},
    "DQN Match": {"gamma": 0.5},
    "DQN FrozenLake": {"gamma": 0.95, "exploration_fraction": 0.5},
    "A2C Pick": {"gamma": 0.5, "learning_rate": 2e-3},
    "PPO Pick": {"gamma": 0.5},
    "DQN Pick": {"gamma": 0.5},
    "PPO Track": {"n_steps": 256, "gamma": 0.9},
    "A2C Track": {"gamma": 0.9},
}
ROWS = 60
"""About as many lines a log is to have."""
EPISODES = {
    "CartPole": 8, "Match": 16, "FrozenLake": 16, "LargeLake": 16, "MountainCar": 2, "Reach": 3,
    "Corridor": 32, "Pick": 24, "Track": 4,
}  # fmt: skip
"""Episodes to a line where lines are counted in episodes: for about as many lines."""
FILES = ("csv", "csv and monitors", "csv", "tensorboard")
"""What a run of SB3 leaves behind, in turn."""


class Tampering(BaseCallback):
    """Negates or shuffles the advantages of each rollout."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        buffer: Any = getattr(self.model, "rollout_buffer")  # noqa: B009
        if self.how == "negated":
            buffer.advantages *= -1
        else:
            buffer.advantages -= buffer.advantages.mean()
            np.random.default_rng(self.num_timesteps).shuffle(buffer.advantages.reshape(-1))


def train_sb3(case: Case, seed: int, to: Path, files: str) -> tuple[Any, str]:
    """The mean return of the last episodes, and why the run ended early if it did."""
    writing: Any = logger
    writing.SummaryWriter = tensorboardX.SummaryWriter  # torch's wants a package we have not
    after = case.steps // ENVS[case.algo] // 2
    monitors = str(to) if "monitors" in files else None
    env = make_vec_env(
        lambda: make(case.env, case.fault, after),
        n_envs=ENVS[case.algo], seed=seed, monitor_dir=monitors,
    )  # fmt: skip
    settings = SETTINGS[case.algo] | SETTINGS.get(f"{case.algo} {case.env}", {}) | case.settings
    model = getattr(sb3, case.algo)("MlpPolicy", env, seed=seed, device="cpu", **deepcopy(settings))
    model.set_logger(
        logger.configure(str(to), ["tensorboard" if files == "tensorboard" else "csv"])
    )
    if case.algo in ("PPO", "A2C"):
        interval = max(1, case.steps // ROWS // (model.n_steps * env.num_envs))
    else:  # counted in episodes: short ones where nothing is learnt, long ones later
        interval = EPISODES.get(case.env, 1)
    why = ""
    try:
        model.learn(
            case.steps,
            callback=CallbackList([Tampering(case.advantages)] if case.advantages else []),
            log_interval=interval,
        )
    except ValueError as error:  # NaN for logits
        why = f"{type(error).__name__}: {str(error)[:80]}"
    model.logger.close()
    returns = [episode["r"] for episode in model.ep_info_buffer]
    return (float(np.mean(returns)) if returns else None), why


class Trial:
    """What Tune's loggers want to know of a trial."""

    trial_id, checkpoint = "0", None

    def __init__(self, to, config):
        self.local_path = str(to)
        self.config = self.evaluated_params = config

    def init_local_path(self):
        """The folder is there already."""


NOT_OURS = ("timer", "perf", "hostname", "node_ip", "pid", "connector", "throughput", "duration",
            "time_since", "time_total", "weights_seq_no", "fault_tolerance")  # fmt: skip


def train_rllib(case: Case, seed: int, to: Path) -> tuple[Any, str]:
    """The mean return of the last iteration."""
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback
    from ray.tune.registry import register_env

    if not ray.is_initialized():
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    size = 500
    register_env("case", lambda given: make(**given))
    config = (
        PPOConfig()
        .environment(
            "case", env_config={"env": case.env, "fault": case.fault, "after": case.steps // 8}
        )
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4)
        .training(**{"train_batch_size": size, "minibatch_size": 125, "num_epochs": 6, "lr": 1e-3,
                     "grad_clip": 0.5} | case.settings)
        .debugging(seed=seed)
    )  # fmt: skip
    algorithm = config.build_algo()
    trial, loggers = Trial(to, config.to_dict()), [JsonLoggerCallback(), CSVLoggerCallback()]
    for each in loggers:
        each.log_trial_start(trial)
    final: Any = None
    why = ""
    try:
        for i in range(case.steps // size):
            result = cleaned(algorithm.train())
            final = result["env_runners"].get("episode_return_mean")
            for each in loggers:
                each.log_trial_result(i, trial, result)
    except Exception as error:  # NaN for logits
        why = f"{type(error).__name__}: {str(error)[-80:]}"
    for each in loggers:
        each.log_trial_end(trial)
    algorithm.stop()
    return final, why


def cleaned(result):
    """A result of RLlib without what only says how long something took and where."""
    return {
        key: cleaned(value) if isinstance(value, dict) and key != "config" else value
        for key, value in result.items()
        if not any(part in key for part in NOT_OURS)
    }


def trained(case: Case, seed: int, to: Path):
    """The entry of a run in the index."""
    files = FILES[seed % len(FILES)] if case.tool == "SB3" else "result directory"
    to.mkdir(parents=True)
    torch.manual_seed(seed)
    started = time.perf_counter()
    train = train_rllib if case.tool == "RLlib" else train_sb3
    final, why = train(case, seed, to, *([files] if case.tool == "SB3" else []))
    fields = asdict(case) | {"settings": {k: str(v) for k, v in case.settings.items()}}
    return {
        "name": case.name(seed),
        "place": to.name,
        "half": half(seed),
        "seed": seed,
        "files": files,
        "final_return": None if final is None else float(final),
        "learnt": learnt(case.env, case.fault, final),
        "ended_early": why,
        "seconds": round(time.perf_counter() - started, 1),
    } | {key: value for key, value in fields.items() if key != "seeds"}


def half(seed: int) -> str:
    return "reported" if seed >= REPORTED_FROM else "set"


def place(case: Case, seed: int) -> str:
    """The folder of a run."""
    return re.sub("[^a-z0-9]+", "-", case.name(seed).lower())


def pack(folder: Path, entries, archive: Path):
    """All logs and their index in one file; times and owners are left out."""
    archive.parent.mkdir(exist_ok=True)
    (folder / INDEX).write_text(json.dumps(entries, indent=1))
    places = [folder / INDEX]
    places += [f for e in entries for f in sorted((folder / e["place"]).rglob("*")) if keep(f)]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for place in sorted(places, key=lambda p: (p.name, p)):  # alike beside alike packs better
            info = tarfile.TarInfo(str(place.relative_to(folder)))
            info.size = place.stat().st_size
            tar.addfile(info, io.BytesIO(place.read_bytes()))
    archive.write_bytes(lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def keep(file: Path) -> bool:
    return file.is_file() and file.suffix != ".pkl" and file.name != "entry.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--to", type=Path, required=True, help="folder of the logs")
    parser.add_argument("--half", choices=("set", "reported"), help="train only one half")
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = [(case, seed) for case in CASES for seed in case.seeds]
    entries = []
    for case, seed in runs:
        to = args.to / place(case, seed)
        if args.half and half(seed) != args.half:
            continue
        if not (to / "entry.json").exists():
            shutil.rmtree(to, ignore_errors=True)
            (to / "entry.json").write_text(json.dumps(trained(case, seed, to)))
        entry = json.loads((to / "entry.json").read_text())
        print(entry["name"], entry["final_return"], entry["seconds"], file=sys.stderr, flush=True)
        entries.append(entry)
    if not args.half:
        pack(args.to, entries, ARCHIVE)


if __name__ == "__main__":
    main()
