"""Blocks that programs print at each iteration."""

import pytest
from paths import DATA

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

D8 = DATA / "strangers" / "d8_success"
SB3 = """Using cpu device
-----------------------------------------
| rollout/                |             |
|    ep_len_mean          | {length}    |
|    ep_rew_mean          | {i}.5       |
| time/                   |             |
|    fps                  | 170         |
|    iterations           | {i}         |
|    time_elapsed         | 0:01:12     |
|    total_timesteps      | {i}00       |
| train/                  |             |
|    approx_kl            | 8.5e-03     |
|    value_loss           | 3.0         |
-----------------------------------------
"""
EVALUATION = """----------------------------------
| eval/              |           |
|    mean_reward     | {i}       |
| time/              |           |
|    total_timesteps | {i}00     |
----------------------------------
"""
BASELINES = """--------------------------------------
| eplenmean             | 200        |
| eprewmean             | {i}.5      |
| misc/explained_var... | 0.25       |
| total_timesteps       | {i}00      |
--------------------------------------
"""
RSL_RL = """################################################################################
\x1b[1m                      Learning iteration {i}/1500                       \x1b[0m

                       Computation: 52345 steps/s (collection: 1.2s, learning 0.3s)
             Mean action noise std: 0.98
          Mean value_function loss: 0.4000
               Mean surrogate loss: -0.0012
                       Mean reward: {i}.50
               Mean episode length: 120.30
      Episode_Reward/track_lin_vel: 0.5000
--------------------------------------------------------------------------------
                   Total timesteps: {i}00
                    Iteration time: 1.50s
                      Time elapsed: 00:10:30
                               ETA: 01:50:00

"""


def write(path, text, count=12):
    path.write_text("".join(text.replace("{i}", str(i)) for i in range(1, count + 1)))
    return path


def test_boxes_of_a_stranger_are_rows():
    (reader,) = find_readers(D8 / "log.txt")
    records = reader.read(final=True)
    assert (reader.name, len(records), records[0].location) == ("printed blocks", 60, "line 9")
    rates = [record.values["test/success_rate"] for record in records]
    assert (rates[0], rates[-1]) == (0.009, 0.922)
    assert [record.values["epoch"] for record in records] == [*range(60)]


def test_boxes_of_sb3_have_its_names(tmp_path):
    (log,) = read_logs(write(tmp_path / "train.log", SB3.replace("{length}", "200")))
    assert len(log.rows) == 12 and log.score == "return_mean_100"
    row = log.rows[-1]
    assert (row["return_mean_100"], row["env_steps"], row["iteration"]) == (12.5, 1200, 12)
    assert (row["kl"], row["value_loss"], row["episode_length"]) == (0.0085, 1.5, 200)


def test_evaluations_that_sb3_prints_end_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path))
    parts = [EVALUATION, *[SB3.replace("{length}", "2")] * 5]
    text = "".join(parts[i % 6].replace("{i}", str(i)) for i in range(1, 300))
    path = write(tmp_path / "train.log", text, 1)
    (log,) = read_logs(path)
    assert log.score == "return_mean_100" and len(log.rows) == 250
    (run,) = audit([path], JudgingOptions(), workers=1).judged
    assert run.stop is None and len(run.warned) == 0


def test_boxes_of_baselines_are_rows(tmp_path):
    (reader,) = find_readers(write(tmp_path / "log.txt", BASELINES))
    records = reader.read(final=True)
    assert records[3].values["eprewmean"] == 4.5


def test_blocks_of_rsl_rl_have_its_tags(tmp_path):
    (log,) = read_logs(write(tmp_path / "console.txt", RSL_RL))
    assert len(log.rows) == 12
    row = log.rows[-1]
    assert (row["return_mean_100"], row["iteration"], row["env_steps"]) == (12.5, 12, 1200)
    losses = row["value_loss"], row["policy_loss"]
    assert (*losses, row["action_std"]) == (0.2, -0.0012, 0.98)


@pytest.mark.parametrize("text", [SB3.replace("{length}", "2"), BASELINES, RSL_RL])
def test_blocks_that_grow_by_single_lines_are_the_same(tmp_path, text):
    whole = write(tmp_path / "whole.log", text)
    (reader,) = find_readers(whole)
    expected = reader.read(final=True)
    lines = whole.read_text().splitlines(keepends=True)
    growing = tmp_path / "growing.log"
    growing.write_text("".join(lines[:20]))
    (reader,) = find_readers(growing)
    records = reader.read()
    for line in lines[20:]:
        with growing.open("a") as file:
            file.write(line)
        records += reader.read()
    assert records + reader.read(final=True) == expected


def test_a_table_of_markdown_is_no_box(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("| name | reward |\n|------|------|\n| ours | 3 |\n\n-----------\nnothing\n")
    assert find_readers(tmp_path) == []


def test_a_box_above_lines_with_metrics_does_not_hide_them(tmp_path):
    box = "---------------\n| workers | 8 |\n| seed | 1 |\n---------------\n"
    lines = "".join(f"{{'loss': 0.1, 'reward': {i}.0}}\n" for i in range(9))
    (tmp_path / "train.log").write_text(box + lines)
    (log,) = read_logs(tmp_path)
    assert (log.format, len(log.rows)) == ("console", 9)
