# pyright: basic
"""A language model is checked by its files alone, before anything starts."""

import json

import pytest

from algos.models.hf_checkpoint import check_language_model
from rungwise.validation import InputError


def folder(path, weights):
    """A folder that looks like a model of so many weights (and is nothing but its headers)."""
    (path / "config.json").write_text("{}")
    header = json.dumps({"all": {"dtype": "BF16", "shape": [weights], "data_offsets": [0, 0]}})
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode())
    return str(path)


def test_a_missing_or_too_large_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"folder of a Hugging Face model.*is not one"):
        check_language_model(str(tmp_path), 16, 0)
    check_language_model(folder(tmp_path, 1000), 0, 0)
    with pytest.raises(InputError, match=r"10,000,000 million weights.* 2 times.*GiB"):
        check_language_model(folder(tmp_path, 10**13), 16, 0)
    with pytest.raises(InputError, match=r" 9 times .*or LoRA"):
        check_language_model(folder(tmp_path, 10**13), 0, 4)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        check_language_model(str(tmp_path), 16, 0)


def test_on_a_gpu_its_memory_counts_and_elsewhere_none(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    check_language_model(folder(tmp_path, 10**13), 16, 0, gpus=1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (0, 10 * 2**30))
    model = folder(tmp_path, 10**9)  # 2 copies of 3.7 GiB
    check_language_model(model, 16, 0, gpus=1)
    with pytest.raises(InputError, match=r"7.5 GiB, but 5.0 GiB of GPU memory"):
        check_language_model(model, 16, 0, gpus=0.5)
