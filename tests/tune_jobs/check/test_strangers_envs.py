# pyright: basic
"""What a check says of small environments that were rebuilt from public reports."""

import importlib
import sys
from types import SimpleNamespace

import pytest
from checks import check, get_severities
from paths import DATA

from rungwise.validation import InputError
from tune_jobs.check.check_target import load_check_target

UNTRAINED = ("conformance", "determinism", "episodes", "rewards", "headroom")


@pytest.fixture(autouse=True)
def _modules(monkeypatch):
    monkeypatch.syspath_prepend(DATA / "strangers" / "d21_envs")


@pytest.mark.parametrize(
    ("env", "symptom", "severity", "words"),
    [
        ("jobs_env:Battery-v0", "action_box_too_wide", "warn", "about 0.01 of it"),
        ("jobs_env:normalised", "moving_units", "warn", "the wrapper NormalizeReward scales"),
        ("jobs_env:same_step", "vector_environment", "stop", "4 copies (SyncVectorEnv)"),
        ("my_game:parallel_env", "cannot_be_made", "stop", "`pettingzoo:my_game`"),
        ("pettingzoo:my_game_kept", "agent_kept", "stop", "stayed in `agents`"),
    ],
)
def test_each_fault_is_named(env, symptom, severity, words):
    answer = check(env, *UNTRAINED, share=0.5)
    assert get_severities(answer)[symptom] == severity
    assert words in next(f["evidence"] for f in answer["findings"] if f["symptom"] == symptom)


@pytest.mark.parametrize(
    ("env", "known"),
    [
        ("jobs_env:BatteryWide-v0", {"constant_action_beats_random"}),
        ("jobs_env:Walk-v0", set()),
        ("jobs_env:Alive-v0", {"no_headroom_seen"}),  # no action is good in every state
        ("pettingzoo:my_game", {"gymnasium_check", "no_headroom_seen"}),
    ],
)
def test_healthy_ones_get_no_new_finding(env, known):
    assert set(get_severities(check(env, *UNTRAINED, share=0.5))) <= known


def test_agents_that_leave_late_are_a_warning(monkeypatch):
    class Late(importlib.import_module("my_game").Forage):
        def step(self, actions):
            out = super().step(actions)
            self.agents = self.agents if self.t < 20 else []
            return out

    module = SimpleNamespace(parallel_env=lambda: Late(keep_dead=True))
    monkeypatch.setitem(sys.modules, "late_game", module)
    answer = check("pettingzoo:late_game", "conformance", share=0.5)
    assert get_severities(answer)["agent_kept"] == "warn"


def test_training_on_a_vector_environment_is_refused_in_words():
    with pytest.raises(InputError, match="makes 4 copies"):
        _ = load_check_target("jobs_env:same_step").world
