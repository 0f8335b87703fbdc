"""Settings that a log reveals without naming them."""

import math
from pathlib import Path

import pytest

from tune_jobs.foreign_logs.log_record import Record
from tune_jobs.foreign_logs.translation import translate_log


@pytest.mark.parametrize("explained, gamma", [(math.nan, 0.0), (0.3, None)])
def test_equal_targets_reveal_a_discount_of_zero(explained, gamma):
    records = [
        Record(f"line {i}", {"rollout/ep_rew_mean": 20.0 + i % 3, "train/explained_variance": ev})
        for i, ev in enumerate([math.nan, *[explained] * 19])
    ]
    log = translate_log(Path("progress.csv"), "run", "SB3 progress.csv", records, {})
    assert {row.get("gamma") for row in log.rows} == {gamma}


def test_a_constant_reward_reveals_no_discount():
    values = {"rollout/ep_rew_mean": 1.0, "train/explained_variance": math.nan}
    log = translate_log(Path("progress.csv"), "run", "SB3", [Record("line 1", values)] * 20, {})
    assert not any("gamma" in row for row in log.rows)


@pytest.mark.parametrize(
    ("learns", "updates"), [({}, 0.0), ({"train/loss": 0.1}, 1.0), ({"train/n_updates": 9.0}, 9.0)]
)
def test_updates_of_sb3_follow_from_what_it_logs_of_them(learns, updates):
    row = {"rollout/ep_rew_mean": 1.0, "time/fps": 100.0}
    records = [Record("line 1", row), Record("line 2", row | learns)]
    log = translate_log(Path("logs"), "run", "TensorBoard", records, {})
    assert log.rows[-1]["updates"] == updates
