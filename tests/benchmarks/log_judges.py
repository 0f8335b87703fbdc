# pyright: basic
"""What other tools say of a log: each returns whether it flags it, None if it is not installed.

Install them beside Rungwise (``pip install rldoctor==0.2.0 rlwatch==0.5.1 rlprobe==0.1.0
zen-rl==0.1.0``), or put a folder with them into PYTHONPATH. Each sees the numbers that the log has
under the names that it knows; rlwatch and rlprobe are made for the fine-tuning of language models.
"""

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np

from tune_jobs.foreign_logs.log import Log

Rows = list[dict[str, Any]]
JUDGES = ("rldoctor", "rldoctor, renamed", "rlwatch", "rlprobe", "zen", "plateau")
TO_RLDOCTOR = {
    "return_mean": "reward", "return_mean_100": "reward", "entropy": "entropy", "kl": "kl",
    "clip_fraction": "clip_ratio", "grad_norm": "grad_norm", "lr": "learning_rate",
    "policy_loss": "policy_loss", "explained_variance": "explained_variance",
}  # fmt: skip
"""Our names and those that each tool knows the same number by."""
TO_RLWATCH = {
    "return_mean": "reward_mean", "return_mean_100": "reward_mean", "entropy": "entropy",
    "kl": "kl_divergence", "loss": "loss", "grad_norm": "grad_norm",
}  # fmt: skip
TO_RLPROBE = {
    "return_mean": "reward_mean", "return_mean_100": "reward_mean", "entropy": "entropy_mean",
    "kl": "kl_mean", "clip_fraction": "clip_fraction", "grad_norm": "grad_norm", "lr": "lr",
    "loss": "loss", "value_loss": "value_loss", "explained_variance": "value_explained_variance",
}  # fmt: skip
TO_ZEN = {
    "return_mean": "rollout/ep_rew_mean", "return_mean_100": "rollout/ep_rew_mean",
    "kl": "train/approx_kl", "policy_loss": "train/policy_gradient_loss",
    "entropy": "train/entropy_loss",
}  # fmt: skip


def rename(log: Log, names: dict[str, str]) -> Rows:
    """The rows of a log under a tool's names."""
    return [{names[n]: v for n, v in row.items() if n in names} for row in log.rows]


def rldoctor(rows: Rows) -> bool | None:
    """Whether rldoctor has a warning."""
    if (theirs := installed("rl_doctor")) is None:
        return None
    if not rows:
        return False
    found = theirs.diagnose(theirs.run_from_records(rows))
    return bool(found.worst >= theirs.Severity.WARNING)


def rlwatch(log: Log) -> bool | None:
    """Whether one of rlwatch's detectors has an alert."""
    if (theirs := installed("rlwatch.detectors")) is None:
        return None
    suite = theirs.DetectorSuite(importlib.import_module("rlwatch.config").RLWatchConfig())
    return any(suite.check_step(i, **row) for i, row in enumerate(rename(log, TO_RLWATCH)))


def rlprobe(log: Log) -> bool | None:
    """Whether rlprobe has a finding that is more than information."""
    if (theirs := installed("rlprobe.doctor")) is None:
        return None
    record = importlib.import_module("rlprobe.schemas").StepRecord
    records = [record(step=i, **row) for i, row in enumerate(rename(log, TO_RLPROBE))]
    found = theirs.diagnose_view(theirs.RunView(SimpleNamespace(), records))
    return any(finding.severity != "info" for finding in found)


def zen(log: Log) -> bool | None:
    """Whether zen has an issue."""
    if (theirs := installed("zen.detect.rules")) is None:
        return None
    metrics: dict[str, list[tuple[float, float]]] = {}
    for row, renamed in zip(log.rows, rename(log, TO_ZEN), strict=True):
        for name, value in renamed.items():
            at = row.get("env_steps", row["iteration"])
            metrics.setdefault(name, []).append((at, value))
    return bool(theirs.detect(metrics))


def plateau(log: Log) -> bool:
    """Whether Tune's stopper would have ended the run before its last row."""
    from ray.tune.stopper import TrialPlateauStopper

    returns = [row.get(log.score) for row in log.rows]
    stopper = TrialPlateauStopper("return")
    return any(
        stopper("0", {"return": r}) for r in [np.nan if r is None else r for r in returns][:-1]
    )


def installed(module: str) -> Any:
    """The module; None if it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def judge(log: Log, native: Rows) -> dict[str, bool | None]:
    """What each tool says of a log, and rldoctor of its rows under the names of the log, too."""
    steps = [row | {"step": at} for at, row in enumerate(rename(log, TO_RLDOCTOR), 1)]
    found = (rldoctor(native), rldoctor(steps), rlwatch(log), rlprobe(log), zen(log), plateau(log))
    return dict(zip(JUDGES, found, strict=True))
