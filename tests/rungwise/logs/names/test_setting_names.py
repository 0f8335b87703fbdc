"""Remedies for the log of another library name its own settings."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rungwise.health import RULES, History
from rungwise.health.diagnosis import diagnose
from rungwise.health.remedy import RemedyStep
from rungwise.logs.log_record import Record
from rungwise.logs.log_rows import LogRows
from rungwise.logs.names.name_matching import LIBRARIES, find_setting_names

SB3 = ("time/total_timesteps", "rollout/ep_rew_mean", "train/approx_kl", "train/loss")


@pytest.mark.parametrize(
    ("names", "lr"),
    [
        (SB3, "learning_rate"),
        (("charts/learning_rate", "losses/approx_kl", "losses/value_loss"), "--learning-rate"),
        (("env_runners/num_episodes", "num_env_steps_sampled", "training_iteration"), "lr"),
        (("ray/tune/env_runners/num_episodes", "ray/tune/num_env_steps_sampled"), "lr"),
        (("Reward / Total reward (mean)", "Loss / Policy loss"), "learning_rate"),
        (("Train/mean_reward", "Loss/surrogate"), "learning_rate"),
        (("rewards/step", "losses/a_loss", "info/kl"), "learning_rate"),
        (("step", "reward", "frac_reward_zero_std"), "learning_rate"),
        (("step", "reward", "loss"), None),
        (("critic/score/mean", "step"), "actor.optim.lr"),
        ((), None),
    ],
)
def test_the_library_is_known_by_its_names(names: tuple[str, ...], lr: str | None):
    assert find_setting_names(names).get("lr") == lr


@pytest.mark.parametrize(
    ("names", "has_bonus"),
    [
        (("time/total_timesteps", "train/loss", "rollout/exploration_rate"), False),  # DQN
        (("time/total_timesteps", "train/actor_loss", "train/critic_loss"), False),  # TD3
        (("time/total_timesteps", "train/critic_loss", "train/ent_coef"), True),  # SAC
        (("time/total_timesteps", "train/value_loss", "train/entropy_loss"), True),
        (("time/total_timesteps", "rollout/ep_rew_mean"), True),  # before the first update
        (("env_runners/num_episodes", "learners/default_policy/qf_loss"), False),
        (("env_runners/num_episodes", "learners/a/vf_loss", "learners/a/entropy"), True),
        (("charts/sps", "losses/td_loss"), False),
        # They log the entropy only times its weight, or not at all.
        (("Loss / Policy loss", "Loss / Value loss"), True),
        (("rewards/step", "losses/c_loss", "info/kl"), True),
    ],
)
def test_an_algorithm_without_an_entropy_bonus_is_not_told_to_set_it(
    names: tuple[str, ...], has_bonus: bool
):
    settings = find_setting_names(names)
    assert ("entropy_coef" in settings) == has_bonus
    assert "lr" in settings


def test_tables_name_settings_that_remedies_change():
    """A misspelt one of ours would never be used."""
    steps = [
        step for rule in RULES.values() for step in rule.remedy if isinstance(step, RemedyStep)
    ]
    changed = {step.setting for step in steps}
    changed |= {step.without.setting for step in steps if isinstance(step.without, RemedyStep)}
    tables: list[Mapping[str, str]] = [library.settings for library in LIBRARIES]
    assert set().union(*tables) - changed <= {"temperature"}


def test_a_remedy_for_sb3_has_its_names_and_its_value_in_words():
    values = {"time/total_timesteps": 1000.0, "rollout/ep_rew_mean": 1.0, "train/approx_kl": 30.0}
    rows = LogRows(Path("progress.csv"), "return_mean", {})
    records = [
        Record(f"line {i}", {**values, "time/total_timesteps": 1000.0 * i}) for i in range(40)
    ]
    table = [iteration.metrics | {"iteration": iteration.number} for iteration in rows.add(records)]
    assert rows.other is not None
    found = diagnose(History(table, 60, "return_mean", other=rows.other)).findings
    (runaway,) = [finding for finding in found if finding.symptom == "kl_runaway"]
    assert runaway.remedy.startswith(
        "Set `learning_rate` to at most 1e-4; set `n_epochs` to at most 4; stop the epochs of an "
        "iteration at `target_kl=0.02`"
    )
