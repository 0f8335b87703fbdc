"""Settings that a log reveals without naming them."""

import math
from pathlib import Path

import pytest

from rungwise.logs.log_record import Record
from rungwise.logs.translation import translate_log


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
@pytest.mark.parametrize(
    "before",
    [
        {"time/total_timesteps": 9.0, "time/episodes": 4.0},
        {"env_steps": 9.0},
        {"env_steps": 9.0, "rollout/exploration_rate": 0.9, "my/metric": 1.0},
    ],
    ids=["table", "TensorBoard", "DQN"],
)
def test_updates_of_sb3_follow_from_what_it_logs_of_them(learns, updates, before):
    row = {"rollout/ep_rew_mean": 1.0, "time/fps": 100.0} | before
    records = [Record("line 1", row), Record("line 2", row | learns)]
    log = translate_log(Path("logs"), "run", "TensorBoard", records, {})
    assert log.rows[-1]["updates"] == updates


@pytest.mark.parametrize(
    "other", [{"time/total_timesteps": 9.0}, {"time/episodes": 4.0, "losses/policy": 0.1}]
)
def test_updates_by_other_names_than_those_of_sb3_are_not_counted(other):
    record = Record("line 1", {"rollout/ep_rew_mean": 1.0, "time/fps": 100.0} | other)
    log = translate_log(Path("logs"), "run", "CSV", [record] * 9, {})
    assert not any("updates" in row for row in log.rows)


def _translate(**columns):
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    records = [Record(f"line {i}", row) for i, row in enumerate(rows)]
    return translate_log(Path("log.csv"), "run", "CSV", records, {}).rows


@pytest.mark.parametrize("columns", [{}, {"step": [100.0 * i for i in range(60)]}])
def test_rows_of_one_epoch_are_rows_of_their_own(columns):
    epochs = [float(i // 20) for i in range(60)]
    rows = _translate(epoch=epochs, reward=[float(i) for i in range(60)], **columns)
    assert [row["return_mean"] for row in rows] == list(range(60))
    assert [row["iteration"] for row in rows] == list(range(1, 61))


def test_updates_within_an_epoch_are_no_repeats():
    updates, steps = [float(i % 10) for i in range(60)], [100.0 * i for i in range(60)]
    assert len(_translate(update=updates, step=steps, reward=steps)) == 60


@pytest.mark.parametrize("steps", [[2048.0] * 40, [20.0 + 27 * i % 50 for i in range(40)]])
def test_steps_of_each_row_are_none_since_the_start(steps):
    rows = _translate(steps=steps, reward=[1.0] * 40)
    assert len(rows) == 40 and not any("env_steps" in row for row in rows)


def test_steps_that_a_resume_repeats_count_since_the_start():
    steps = [*range(0, 2000, 100), *range(1500, 3000, 100)]
    assert all("env_steps" in row for row in _translate(step=steps, reward=[1.0] * len(steps)))


def test_a_success_that_is_yes_or_no_is_a_number():
    rows = _translate(reward=[1.0] * 3, is_success=[True, False, True], done=[True] * 3)
    assert [row["success_rate"] for row in rows] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "logged", "entropy"),
    [
        ("entropy_loss", 2.0, 2.0),  # scripts log the entropy by this name, too
        ("entropy_loss", -2.0, 2.0),
        ("train/entropy_loss", 2.0, -2.0),
    ],
)
def test_an_entropy_loss_has_either_sign(name, logged, entropy):
    records = [Record(f"line {i}", {"return": 1.0 * i, name: logged}) for i in range(9)]
    log = translate_log(Path("a.csv"), "run", "CSV", records, {})
    assert {row["entropy"] for row in log.rows} == {entropy}
