"""Read the ledger of a sweep: what it spent and saved, by the reason each trial ended.

``python read_ledger.py [RUN_DIRECTORY]`` runs a small sweep there (about half a minute) if the
directory does not hold one yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

import rungwise
from algos.ppo import PPOSettings
from rungwise import Job, Space


def run_sweep(directory: Path) -> None:
    job = Job(
        env="CartPole-v1",
        settings=PPOSettings(epochs=2),
        search={"lr": Space("loguniform", (1e-5, 1e-2))},
        trials=4,
        iterations=9,
        evaluation_episodes=10,
    )
    rungwise.run(job, directory)


def main(directory: Path) -> None:
    if not (directory / "ledger.parquet").exists():
        run_sweep(directory)
    ledger = pq.read_table(directory / "ledger.parquet")
    ends = ledger.filter(pc.field("kind") == "end")
    sums = ends.group_by("reason").aggregate(
        [("trial", "count"), ("iterations_run", "sum"), ("iterations_saved", "sum")]
    )
    for row in sums.to_pylist():
        print(
            f"{row['reason']}: {row['trial_count']} trials, {row['iterations_run_sum']} iterations "
            f"run, {row['iterations_saved_sum']} saved"
        )
    for row in ends.to_pylist():
        print(f"trial {row['trial']}: {row['sentence']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/ledger-example"))
