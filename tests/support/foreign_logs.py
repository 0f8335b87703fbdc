"""Logs of other tools: files as they write them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from paths import DATA

from rungwise.judging.doctor import doctor

RLLIB = DATA / "logs" / "rllib_ppo_cartpole.json"


def read_rllib_results() -> list[dict[str, Any]]:
    """The lines of a real RLlib run."""
    return [json.loads(line) for line in RLLIB.read_text().splitlines()]


def write_results(path: Path, lines: list[dict[str, Any]]) -> Path:
    """Write a ``result.json``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows that may have different columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_columns(path: Path, **columns: Any) -> Path:
    """Write a CSV file of columns of equal length."""
    count = max(len(values) for values in columns.values())
    return write_csv(path, [{n: values[i] for n, values in columns.items()} for i in range(count)])


def write_events(directory: Path, scalars: list[Any]) -> Path:
    """Write a TensorBoard file of (tag, value, step)."""
    tensorboardX = pytest.importorskip("tensorboardX")
    writer = tensorboardX.SummaryWriter(str(directory))
    for tag, value, step in scalars:
        writer.add_scalar(tag, value, step)
    writer.close()
    return directory


def find_events_file(directory: Path) -> Path:
    """The only TensorBoard file there."""
    return next(directory.glob("*tfevents*"))


def diagnose_log(path: Path) -> dict[str, tuple[str, int]]:
    """Symptom -> severity and first iteration, of the only log there."""
    answer = doctor(path)
    assert len(answer["logs"]) == 1
    return {f["symptom"]: (f["severity"], f["since"]) for f in answer["findings"]}


def make_sick_results() -> list[dict[str, Any]]:
    """The real run three times over, with a KL that jumps and a return that stays."""
    lines = [line for _ in range(3) for line in read_rllib_results()]
    for i, line in enumerate(lines):
        line["training_iteration"] = i + 1
        line["num_env_steps_sampled_lifetime"] = 500 * (i + 1)
        line["learners"]["default_policy"]["mean_kl_loss"] = 20.0 if i == 4 else 0.02
        line["env_runners"]["episode_return_mean"] = 20.0 + i % 2
        line["env_runners"]["num_episodes"] = 24  # of 20 or 21 steps each
    return lines
