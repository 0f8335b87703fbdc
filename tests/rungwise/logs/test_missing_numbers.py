# pyright: basic, reportArgumentType=false
"""A NaN where nothing was measured ends no run, and one of a run that diverged does at once."""

import math
from pathlib import Path

import numpy as np
import pytest

from rungwise.judging.watch import TimeLimit, Watch
from rungwise.logs.log_record import Record
from rungwise.logs.translation import translate_log

NAN = math.nan


def watch(rows):
    """Return the row at which a run is ended for a number that is not finite; None for never."""
    judge = Watch(time_limit=TimeLimit(fraction=1e9))
    for place, row in enumerate(rows, start=1):
        judge.feed({"step": 2048.0 * place, **row})
        if judge.stop:
            assert judge.stop.symptom == "not_finite"
            return place
    assert "not_finite" not in {f.symptom for f in judge.diagnosis.findings}
    return None


def make(sick_from=60, rows=60, **columns):
    """Return rows of a run that learns; columns are functions of the row from a number on."""
    row = {"return": lambda i: 10.0 + i + i % 3, "policy_loss": lambda i: 0.01 * (i % 5)}
    return [
        {
            name: value(i) if callable(value) else (value if i >= sick_from else 1.0)
            for name, value in (row | columns).items()
            if value is not None
        }
        for i in range(rows)
    ]


def at_random(share):
    noise = np.random.default_rng(3).random(60)
    return lambda i: float(i) if i == 0 or noise[i] < share else NAN


HEALTHY = {
    "return": make(**{"return": at_random(0.6)}),
    "return of the catalogue": make(**{"return": None, "return_mean": at_random(0.6)}),
    "return, later rarer": make(**{"return": lambda i: NAN if i > 20 and i % 20 else float(i)}),
    "return and length": make(**{"return": at_random(0.6), "ep_len": at_random(0.6)}),
    "best of none": make(**{"return": lambda i: -math.inf if i < 3 else 5.0 + i}),
    "best of none, alone": make(
        **{"return": lambda i: -math.inf if i < 3 else 5.0 + i, "policy_loss": None}
    ),
    "return alone": make(**{"return": at_random(0.6), "policy_loss": None}),
    "no episode": make(**{"return": lambda i: math.inf if i % 3 else 1.0 * i},
                       episodes=lambda i: 0 if i % 3 else 4),
    "episodes in all": make(
        **{"return": lambda i: NAN if i > 20 and i % 3 else 1.0 * i},
        episodes=lambda i: i if i < 20 else 20 + (i - 18) // 3,
    ),
    "delayed actor": make(critic_loss=lambda i: 1.0, policy_loss=None, actor_loss=at_random(0.5)),
    "pretraining": make(10, bc_loss=NAN),
    "long pretraining": make(30, bc_loss=NAN),
    "best loss": make(**{"best_val_loss": lambda i: math.inf if i < 1 else 1.0, "loss": 1.0,
                         "policy_loss": None}),
    "loss of a validation": make(val_loss=lambda i: NAN if i % 20 else 1.0, policy_loss=None),
    "updates in few rows": make(policy_loss=lambda i: NAN if (i + 1) % 10 else 0.1),
}  # fmt: skip
RLLIB = {
    "no episode in all": make(
        **{"return": None, "episode_reward_mean": lambda i: NAN if i < 5 else 1.0 * i},
        episodes_total=lambda i: max(0, i - 4),
    ),
    "no episode in all, new stack": make(
        **{"return": None, "env_runners/episode_return_mean": lambda i: NAN if i < 5 else 1.0 * i},
        **{"env_runners/num_episodes_lifetime": lambda i: max(0, i - 4)},
    ),
    "none since the row before": make(
        **{"return": None, "env_runners/episode_return_mean": lambda i: NAN if i % 3 else 1.0 * i},
        **{"env_runners/num_episodes_lifetime": lambda i: 4.0 + i // 3},
    ),
    "counted before a resume": make(
        **{"return": None, "episode_reward_mean": lambda i: NAN if i < 5 else 1.0 * i},
        **{
            "training_iteration": lambda i: 400 + i,
            "episodes_total": lambda i: 900 + max(0, i - 4),
        },
    ),
    "a return alone": make(
        **{"return": None, "episode_reward_mean": lambda i: NAN if i < 5 else 1.0 * i}
    ),
    "a counter without a number": make(
        **{"return": None, "episode_reward_mean": lambda i: NAN if i < 5 else 1.0 * i},
        episodes_total=lambda i: NAN if i in (2, 30) else max(0, i - 4),
    ),
    "lengths of none": make(
        **{"return": None, "episode_reward_mean": lambda i: NAN if i < 5 else 1.0 * i},
        episode_len_mean=lambda i: NAN if i < 5 else 20.0,
    ),
    "no update in all": make(
        **{"learners/p0/policy_loss": lambda i: NAN if i < 5 or i % 3 else 0.1},
        **{"learners/p0/num_module_steps_trained_lifetime": lambda i: max(0, i // 3 - 1)},
        policy_loss=None,
    ),
}
HEALTHY |= {f"RLlib, {name}": rows for name, rows in RLLIB.items()}
LOST = {
    "return of episodes in all": (
        make(
            **{"return": None, "episode_reward_mean": lambda i: NAN if i >= 30 else 1.0 * i},
            episodes_total=lambda i: 4 * (i + 1),
        ),
        31,
    ),
    "a return alone, RLlib": (
        make(**{"return": None, "episode_reward_mean": lambda i: NAN if i >= 30 else 1.0 * i}),
        31,
    ),
    "episodes in all of an own loop": (
        make(**{"return": lambda i: NAN if i >= 30 else 1.0 * i}, episodes=lambda i: 2 * i),
        31,
    ),
    "loss of updates in all": (
        make(
            **{"learners/p0/policy_loss": lambda i: NAN if i >= 30 else 0.1},
            **{"learners/p0/num_module_steps_trained_lifetime": lambda i: 400 * (i + 1)},
            policy_loss=None,
        ),
        31,
    ),
    "all losses": (make(30, policy_loss=NAN, value_loss=NAN, entropy=NAN), 31),
    "all losses, unknown": (make(30, policy_loss=None, qf1_loss=NAN, qf2_loss=NAN), 31),
    "the only loss": (make(30, policy_loss=None, loss=NAN), 31),
    "a loss after a wait": (make(policy_loss=lambda i: NAN if i < 5 or i >= 30 else 0.1), 31),
    "an infinite loss": (make(30, value_loss=math.inf), 31),
    "one loss of two for good": (make(30, value_loss=NAN), 46),
    "one unknown loss for good": (make(30, policy_loss=None, my_loss=NAN), 46),
    "return of episodes": (
        make(**{"return": lambda i: NAN if i >= 30 else 1.0 * i}, episodes=lambda i: 4),
        31,
    ),
    "return of lengths": (
        make(**{"return": lambda i: NAN if i >= 30 else 1.0 * i}, ep_len=lambda i: 50.0),
        31,
    ),
    "return for good": (make(rows=70, **{"return": lambda i: NAN if i >= 30 else 1.0 * i}), 62),
    "an infinite return": (
        make(**{"return": lambda i: math.inf if i == 30 else 1.0 * i}, policy_loss=None),
        31,
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_where_nothing_was_measured_nothing_is_wrong(name):
    assert watch(HEALTHY[name]) is None


@pytest.mark.parametrize("name", LOST)
def test_what_has_diverged_is_ended(name):
    rows, place = LOST[name]
    assert watch(rows) == place


@pytest.mark.parametrize("counter", [0.0, NAN])
def test_a_policy_that_is_not_trained_has_no_loss(counter):
    rows = make(
        **{
            "learners/p0/policy_loss": lambda i: 0.1,
            "learners/p1/policy_loss": lambda i: 0.1 if i < 20 else NAN,
            "learners/p1/num_module_steps_trained": lambda i: 400.0 if i < 20 else counter,
        },
        policy_loss=None,
    )
    assert watch(rows) is None


def test_a_policy_that_is_trained_has_a_loss():
    rows = make(
        20,
        **{
            "learners/p0/policy_loss": lambda i: 0.1,
            "learners/p1/policy_loss": NAN,
            "learners/p1/num_module_steps_trained": lambda i: 400.0,
        },
        policy_loss=None,
    )
    assert watch(rows) == 21


def test_a_missing_number_is_taken_out_of_its_row():
    records = [
        Record(f"line {i}", {"return": NAN if i % 4 else 1.0, "policy_loss": 0.1}) for i in range(9)
    ]
    log = translate_log(Path("a.csv"), "a", "CSV", records, {})
    assert [i for i, row in enumerate(log.rows) if "return_mean" in row] == [0, 4, 8]
    assert np.isfinite([row["policy_loss"] for row in log.rows]).all()
