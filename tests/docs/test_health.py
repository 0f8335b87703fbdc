# pyright: basic
"""The lines for a training script, run with a stand-in for the library where it is slow."""

import importlib
import re
from typing import Any
from unittest.mock import MagicMock

import pytest
from paths import ROOT

from rungwise import Watch

PAGE = (ROOT / "docs" / "health.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
LINES = {re.findall(r"from (?:rungwise\.)?([\w.]+) import", block)[-1]: block for block in BLOCKS}
ROW = {"return_mean": 1.0, "kl": 0.01, "value_loss": 1.0}


class Library:
    """Stands in for a model, a trainer, a configuration and an algorithm."""

    def learn(self, steps, callback):
        self.callback = callback

    def add_callback(self, callback):
        self.callback = callback

    def train(self):
        return {"done": True}

    def callbacks(self, make_callback):
        self.callback = make_callback()
        return self

    def build_algo(self):
        return self


@pytest.mark.parametrize("module", ["sb3", "transformers", "rllib"])
def test_documented_lines_hand_a_library_its_callback(module):
    library = Library()
    exec(LINES[f"callbacks.{module}"], dict.fromkeys(("model", "trainer", "config"), library))
    assert isinstance(library.callback.watch, Watch)


@pytest.mark.parametrize(("library", "callback"), [("rsl_rl", "log"), ("skrl", "post_interaction")])
def test_documented_lines_attach_a_callback(library, callback):
    pytest.importorskip(library, reason="the extra [peers] is not installed")
    stand_in = MagicMock(**{"cfg.timesteps": 1000, "env.num_envs": 2})
    names: dict[str, Any] = {"runner": stand_in, "trainer": stand_in}
    exec(LINES[f"callbacks.{library}"], names)
    attached = stand_in.logger if library == "rsl_rl" else stand_in.agents
    assert getattr(attached, callback) == getattr(names["health"], callback)


def test_documented_lines_register_a_hook():
    trainer = MagicMock(total_frames=1000)
    names: dict[str, Any] = {"trainer": trainer}
    exec(LINES["callbacks.torchrl"], names)
    assert trainer.register_op.call_args_list[0].args == ("post_steps_log", names["health"])


def test_documented_lines_give_a_runner_its_observer(monkeypatch):
    runners = pytest.importorskip("rl_games.torch_runner", reason="make test-peers installs it")
    monkeypatch.setattr(runners, "Runner", runner := MagicMock())
    names: dict[str, Any] = {"config": {}}
    exec(LINES["callbacks.rl_games"], names)
    runner.assert_called_once_with(names["health"])


def test_documented_yaml_names_a_function():
    pytest.importorskip("rl_games", reason="make test-peers installs it")
    module, name = re.findall(r"stop_fn: ([\w.]+):(\w+)", PAGE)[0]
    assert callable(getattr(importlib.import_module(module), name))


def test_documented_lines_for_tune_make_a_stopper(monkeypatch):
    from ray import tune

    class Tuner:
        def __init__(self, trainable, run_config):
            self.fit = lambda: run_config.stop("a", ROW)

    monkeypatch.setattr(tune, "Tuner", Tuner)
    names: dict[str, Any] = {"trainable": None}
    exec(LINES["callbacks.tune"], names)
    assert list(names["health"].watches) == ["a"]


def test_documented_loop_ends_at_a_nan():
    rows = [ROW, {**ROW, "value_loss": float("nan"), "kl": float("nan")}]
    names = {"train": lambda: iter(rows)}
    exec(LINES["rungwise"], names)
    names["watch"].judge()
    assert names["watch"].verdict == "stop"
