# pyright: basic
"""W&B runs: asked for by the environment, one for each trial."""

import pytest

from envs.validation import InputError
from tune_jobs.trackers.wandb_runs import check_wandb, make_wandb_callbacks


def test_w_and_b_is_asked_for_by_the_environment_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert make_wandb_callbacks(tmp_path) == []
    check_wandb()
    monkeypatch.setenv("WANDB_PROJECT", "thoughts")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'rungwise\[wandb\]'"):
        check_wandb()
