"""The machine that a run is driven from: its name, processor and GPUs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, str]:
    """Return ``host``, ``cpu`` and, where there is one, ``gpu`` of this machine."""
    machine = {"host": platform.node(), "cpu": f"{_name_cpu()}, {os.cpu_count()} CPUs"}
    return machine | ({"gpu": gpu} if (gpu := _name_gpus()) else {})


def _name_cpu() -> str:
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:  # not on Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _name_gpus() -> str:
    """Return the names of NVIDIA's GPUs; by its own tool, for torch would claim their memory."""
    if not shutil.which("nvidia-smi"):
        return ""
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ", ".join(done.stdout.split("\n")).strip(", ") if not done.returncode else ""
