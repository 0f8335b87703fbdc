# pyright: basic, reportMissingImports=false
"""Trains small runs with other libraries and packs what they log.

``python -m benchmarks.library_runs --to FOLDER [LIBRARY ...]`` records what is not there already;
``--pack`` writes the archive. Each library has a healthy run and at least two with a planted fault.
The libraries are no dependencies of Rungwise: put those that are to be recorded on PYTHONPATH.
skrl, RSL-RL and TRL are trained by the programs of the folder ``programs``. verl and rl_games need
a GPU or more packages: the numbers of the RSL-RL and TRL runs are written by their own logger
classes, which fixes names, files and text, and by that of TorchRL. W&B and MLflow write the same
numbers under the names of CleanRL.
"""

import argparse
import contextlib
import functools
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import torch

ARCHIVE = Path(__file__).parents[1] / "data" / "library_logs.tar.xz"
FAULTS = ("healthy", "no reward", "learning rate too high")
PROGRAMS = Path(__file__).parent / "programs"
ENVS, ROLLOUT = 16, 25
"""Of the RSL-RL run."""
SYMPTOMS = {
    "healthy": (),
    "no reward": ("constant_reward", "zero_reward", "groups_without_signal"),
    "learning rate too high": (
        *("kl_runaway", "learning_rate_too_high", "entropy_collapse", "std_blowup", "not_finite"),
        *("performance_collapse", "no_improvement", "value_divergence", "frozen_policy"),
    ),
}
"""The names that are right for a fault."""


def record_program(script: str, lr: float, fault: str, to: Path) -> None:
    """Run a program of the folder ``programs``; what it prints is a log as well."""
    flags = {
        "healthy": [],
        "no reward": ["--fault", "constant-reward"],
        "learning rate too high": ["--lr", f"{1000 * lr:g}"],
    }
    command = [sys.executable, str(PROGRAMS / script), "--logdir", str(to), *flags[fault]]
    with (to / "console.log").open("w") as console:
        subprocess.run(command, stdout=console, check=True)


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
    "skrl": functools.partial(record_program, "skrl_ppo.py", 3e-3),
    "rsl_rl": functools.partial(record_program, "rsl_rl_ppo.py", 3e-3),
    "trl": functools.partial(record_program, "trl_grpo.py", 1e-2),
    "verl": record_verl, "rl_games": record_rl_games, "torchrl": record_torchrl,
    "wandb": record_wandb, "mlflow": record_mlflow,
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
            except (ValueError, RuntimeError, subprocess.CalledProcessError) as error:
                ended = f"{type(error).__name__}: {str(error)[:200]}"
                print(library, fault, ended, file=sys.stderr)
            (to / "ended").write_text(ended)
            print(json.dumps([library, fault, ended]), file=sys.stderr, flush=True)
    if args.pack:
        pack(args.to)


if __name__ == "__main__":
    main()
