# pyright: basic
"""What watching costs: CPU at one row a second, CPU and memory over a million rows, a callback.

PYTHONPATH=.:tests python -m benchmarks.watch_overhead --seconds 300 --rows 1000000 --pairs 5

The callback is that of Stable-Baselines3, in a training of PPO on CartPole.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from stable_baselines3 import PPO

from rungwise.callbacks.sb3 import HealthCallback

NAMES = (
    *("time/total_timesteps", "time/iterations", "rollout/ep_rew_mean", "rollout/ep_len_mean"),
    *("train/loss", "train/entropy_loss", "train/approx_kl", "train/clip_fraction"),
    *("train/explained_variance", "train/value_loss", "train/policy_gradient_loss", "time/fps"),
)
WRITER = """
import random, sys, time
path, rows, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with open(path, "w") as file:
    file.write(sys.argv[4] + "\\n")
    for i in range(1, rows + 1):
        r = random.random
        values = [i * 2048, i, 100 * (1 - 0.999**i) + r(), 100 + r(), r(), -1 - r() / i]
        values += [0.01 * r(), 0.1 * r(), 0.5 + r() / 3, r(), -0.01 * r(), 1000]
        file.write(",".join(f"{v:.6g}" for v in values) + "\\n")
        if pause:
            file.flush()
            time.sleep(pause)
"""


def watch(folder: Path, *words: str) -> psutil.Process:
    flags = ["watch", "--out", str(folder / "run"), *words]
    code = "from cluster.cli import main; main()"
    started = subprocess.Popen(
        [sys.executable, "-c", code, *flags], cwd=folder, stderr=subprocess.DEVNULL
    )
    return psutil.Process(started.pid)


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure_rate(seconds: int) -> None:
    """Print the share of a core that watching one row a second takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(WRITER)
        words = [sys.executable, "train.py", "progress.csv", str(seconds + 60), "1"]
        process = watch(folder, "--", *words, ",".join(NAMES))
        time.sleep(30)  # imports, and the first rows
        began, before = time.monotonic(), used(process)
        time.sleep(seconds)
        share = (used(process) - before) / (time.monotonic() - began)
        print(f"one row a second for {seconds} s: {share:.2%} of a core")
        process.terminate()
        process.wait(60)


def measure_soak(rows: int) -> None:
    """Print CPU time and memory of reading and judging a long log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "progress.csv"
        words = [sys.executable, "-c", WRITER, str(log), str(rows), "0", ",".join(NAMES)]
        subprocess.run(words, check=True)
        print(f"log: {log.stat().st_size / 2**20:.0f} MiB, {rows:,} rows")
        process, memory = watch(folder, str(log)), []
        events, size, still = folder / "run/events.jsonl", -1, 0
        while still < 10:
            time.sleep(1)
            memory.append(process.memory_info().rss / 2**20)
            now = events.stat().st_size if events.exists() else 0
            still, size = (still + 1 if now == size and now > 10_000 else 0), now
        results = sum(b'"kind": "result"' in line for line in events.open("rb"))
        print(f"{used(process):.0f} s of CPU, {results:,} iterations, log {size / 2**20:.1f} MiB")
        marks = [memory[round(i * (len(memory) - 1) / 4)] for i in range(5)]
        print(f"memory at 0, 25, 50, 75, 100 %: {', '.join(f'{m:.0f}' for m in marks)} MiB")
        process.terminate()
        process.wait(60)


def measure_callback(pairs: int) -> None:
    """Print the CPU seconds of trainings without and with a callback, in turn."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(pairs):
        for judged in (False, True):
            model = PPO("MlpPolicy", "CartPole-v1", n_steps=512, seed=pair, device="cpu")
            began = time.process_time()
            model.learn(16_384, HealthCallback() if judged else None)
            seconds[judged].append(time.process_time() - began)
    plain, judged = (statistics.median(values) for values in seconds.values())
    print(f"a training of SB3: {plain:.2f} s of CPU, {judged:.2f} s with its callback")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    if asked.rows:
        measure_soak(asked.rows)
    if asked.seconds:
        measure_rate(asked.seconds)
    if asked.pairs:
        measure_callback(asked.pairs)


if __name__ == "__main__":
    main()
