"""Whether a language model on this machine can be used, said before anything starts."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import torch

from rungwise.validation import InputError

BYTES = 4
"""Size of a weight: models are trained in single precision."""


def check_language_model(folder: str, lora_rank: int, runners: int, gpus: float = 0) -> None:
    """Refuse a folder that holds no model, or one that does not fit into memory.

    Args:
        folder: what ``language_model`` is.
        lora_rank: 0 trains all weights.
        runners: remote rollout workers; each holds the model, as the learner does.
        gpus: GPUs of a trial, whose memory then counts; where this machine has none, they are
            elsewhere, and no memory is checked.

    Raises:
        InputError: saying what is missing or how much too large it is.
    """
    path = Path(folder)
    files = sorted(path.glob("*.safetensors"))
    if not (path / "config.json").is_file() or not files:
        raise InputError(
            f"language_model must be the folder of a Hugging Face model on this machine, with a "
            f"config.json and *.safetensors files, but {folder} is not one. Nothing is downloaded "
            "here: fetch it first (huggingface-cli download MODEL --local-dir FOLDER)."
        )
    weights = sum(map(_count_weights, files))
    # The learner's and each runner's; trained as a whole also the reference, gradients and Adam's
    # two averages.
    copies = 1 + max(runners, 1) + (0 if lora_rank else 4)
    needed = copies * weights * BYTES
    if gpus and not torch.cuda.is_available():
        return
    free = int(gpus * torch.cuda.mem_get_info()[1]) if gpus else get_available_memory()
    if needed > free:
        raise InputError(
            f"{folder} has {weights / 1e6:,.0f} million weights, and training needs {copies} times "
            f"as many numbers: {needed / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB of "
            f"{'GPU memory' if gpus else 'memory'} are free. Use a smaller model, fewer runners"
            + ("." if lora_rank else ", or LoRA (lora_rank=16).")
        )


def _count_weights(file: Path) -> int:
    """Count the numbers in a safetensors file, by its header.

    Raises:
        InputError: it is no such file.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        tensors = [about for name, about in header.items() if name != "__metadata__"]
        return sum(math.prod(about["shape"]) for about in tensors)
    except (OSError, ValueError, KeyError, AttributeError, MemoryError, OverflowError) as error:
        raise InputError(f"{file} cannot be read as safetensors: {error}.") from error


def get_available_memory() -> int:
    """Return the bytes of memory that are free on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable"))
        return int(available.split()[1]) * 1024
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
