# pyright: basic
"""A language model is checked by its files alone, before anything starts."""

import json

import pytest

from algos.models.hf_checkpoint import check_language_model
from envs.validation import InputError


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
