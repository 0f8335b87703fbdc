"""Hugging Face models and tokenizers in local folders; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from envs.optional_imports import import_extra
from envs.validation import InputError

LORA_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""The layers that LoRA adapts."""


def load_language_model(folder: str) -> Any:
    """Load the causal language model in a local folder, in single precision.

    On a GPU its matrix products are rounded to TF32.

    Raises:
        InputError: there is none.
    """
    auto = import_extra("transformers", "lm").AutoModelForCausalLM
    # A bar for each process that loads the model would run through the live table.
    import_extra("transformers.utils.logging", "lm").disable_progress_bar()
    # 2.5 times as fast on an H100, with the same entropy and KL of an update to three digits.
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return auto.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no causal language model: {error}") from error


def load_tokenizer(folder: str) -> Any:
    """Load the tokenizer in a local folder.

    Raises:
        InputError: there is no such folder, or no tokenizer in it.
    """
    auto = import_extra("transformers", "lm").AutoTokenizer
    if not Path(folder).is_dir():
        raise InputError(
            f"There is no folder {folder}: language_model must be the folder of a "
            "Hugging Face model on this machine, or empty."
        )
    try:
        return auto.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no tokenizer that can be read: {error}") from error


def add_adapter(model: Any, rank: int) -> Any:
    """Add a LoRA adapter of this rank, which is trained in place of the model's own weights."""
    peft = import_extra("peft", "lm")
    chosen = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LORA_LAYERS)
    return peft.get_peft_model(model, chosen)
