"""Hugging Face models and tokenizers in local folders; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rungwise.optional_imports import import_extra
from rungwise.validation import InputError

LORA_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""The layers that LoRA adapts."""
MAX_GAP = 1e-3
"""Largest difference from the library's own numbers, in nats: rounding stays far below it."""


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


def scale_logits(config: Any, logits: Tensor) -> Tensor:
    """Scale what an output embedding gives as the model's own forward pass does."""
    # After the output embedding, the library's models scale by (at most) one of these.
    for name in ("logit_scale", "lm_head_multiplier"):  # Cohere, Falcon-H1
        if factor := getattr(config, name, None):
            logits = logits * factor
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        logits = logits / divisor
    for name in ("final_logit_softcapping", "logits_soft_cap"):  # Gemma 2 and 3n, RecurrentGemma
        if cap := getattr(config, name, None):
            logits = torch.tanh(logits / cap) * cap
    return logits


@torch.no_grad()
def check_against_library(
    folder: str, lm: Any, compute: Callable[[], Tensor], compute_expected: Callable[[], Tensor]
) -> None:
    """Refuse a model that is read here in another way than by its library.

    Args:
        folder: that of the model.
        lm: the model.
        compute: returns log-probabilities of random texts as they are computed here.
        compute_expected: returns those of the library's own forward pass.

    Raises:
        InputError: they differ by more than ``MAX_GAP``, or one of the two fails.
    """
    refused = f"The model in {folder} ({lm.config.model_type}) cannot be used"
    advice = "Use a model of full attention over position ids, such as Qwen2, Llama or GPT-2"
    try:
        gap = float((compute() - compute_expected()).abs().max())
    except Exception as error:  # any: the library's code, called as few call it
        raise InputError(
            f"{refused}: its forward pass fails on random texts ({type(error).__name__}: {error}). "
            f"{advice}, and shorter texts if these are longer than it can read."
        ) from error
    if not gap <= MAX_GAP:  # nor NaN
        raise InputError(
            f"{refused}: log-probabilities of random texts differ from those of its library by up "
            f"to {gap:.2g}, and {MAX_GAP:g} is allowed. Its positions, attention or logits follow "
            f"rules that are unknown here. {advice}; if it has a sliding window "
            "(sliding_window in config.json), texts shorter than that help, too."
        )


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
