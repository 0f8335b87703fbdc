# pyright: basic
"""A long run: does memory stay flat, and is anything left behind after Ctrl-C?

``python -m benchmarks.soak --minutes 30`` trains CausalLearning, samples every process of the run,
stops it with Ctrl-C and prints one JSON object: resident memory of the driver and of the trial in
the first and the last third, open files, and the processes that outlived the run.
"""

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import mean

import psutil

TRIAL = "ray::ResourceTrainable"
WARM_UP = 0.1
"""Share of the time before which nothing is counted: imports, first allocations."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        words = ["train", "causal", "--iterations", "1000000", "--settings.rollout-length", "60"]
        rungwise = str(Path(sys.executable).with_name("rungwise"))
        process = subprocess.Popen(
            [rungwise, *words, "--out", str(run)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        samples, seen = watched(process, 60 * minutes)
        if process.poll() is not None:
            sys.exit(f"The run ended by itself, with status {process.returncode}.")
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(timeout=120)
        time.sleep(5)
        left = [p.name() for p in seen.values() if p.is_running() and p.status() != "zombie"]
        rows = sum(1 for _ in (run / "events.jsonl").open())
    print(
        json.dumps(
            summary(samples)
            | {"minutes": minutes, "event_rows": rows, "status": status, "left_behind": left}
        )
    )


def watched(
    driver: subprocess.Popen, seconds: float
) -> tuple[list[dict[str, float]], dict[int, psutil.Process]]:
    """Samples of memory and open files while it trains, and every process of the run."""
    samples: list[dict[str, float]] = []
    seen: dict[int, psutil.Process] = {}
    end = math.inf
    while time.monotonic() < end and driver.poll() is None:
        time.sleep(2)
        root = psutil.Process(driver.pid)
        tree = [root, *root.children(recursive=True)]
        seen |= {p.pid: p for p in tree}
        trial = [p for p in tree if _trains(p)]
        if trial:
            # On a busy machine Ray takes minutes to start; they are no part of the soak.
            end = min(end, time.monotonic() + seconds)
            samples.append(
                {
                    "driver_mib": tree[0].memory_info().rss / 2**20,
                    "trial_mib": trial[0].memory_info().rss / 2**20,
                    "driver_files": tree[0].num_fds(),
                    "trial_files": trial[0].num_fds(),
                }
            )
    return samples[int(WARM_UP * len(samples)) :], seen


def _trains(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it may have ended since it was found
        return TRIAL in " ".join(process.cmdline())
    return False


def summary(samples: list[dict[str, float]]) -> dict[str, list[float]]:
    """Mean of the first and of the last third, and their ratio."""
    third = len(samples) // 3
    out: dict[str, list[float]] = {}
    for name in samples[0]:
        first, last = (mean(s[name] for s in part) for part in (samples[:third], samples[-third:]))
        out[name] = [round(first, 1), round(last, 1), round(last / first, 3)]
    return out


if __name__ == "__main__":
    main()
