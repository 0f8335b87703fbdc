"""Logs of single episodes are grouped into iterations."""

import numpy as np
import pytest
from foreign_logs import write_columns, write_events

from rungwise.logs.read_logs import read_logs


def test_monitors_of_an_evaluation_are_not_read_as_training(tmp_path):
    write_columns(
        tmp_path / "progress.csv", **{"time/total_timesteps": [1000, 2000], "train/loss": [1, 1]}
    )
    (tmp_path / "monitor.csv").write_text("#{}\nr,l,t\n5,100,1\n")
    log = read_logs(tmp_path)[0]
    assert not any("return_mean" in row for row in log.rows)


def test_monitors_of_parallel_environments_are_one_run(tmp_path):
    for env in range(2):
        lines = [f'#{{"t_start": {1000.0 + env}, "env_id": "CartPole-v1"}}', "r,l,t"]
        lines += [f"{10 * t + env},{7 + env},{t}.5" for t in range(30)]
        (tmp_path / f"{env}.monitor.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "other.monitor.csv").write_text('#{"t_start": 1.0}\nr,l,t\n1,5,0.1\n')
    both, other = read_logs(tmp_path)
    assert (both.format, len(both.rows)) == ("SB3 monitor", 12)
    assert both.rows[0]["return_mean"] == pytest.approx(np.mean([0, 10, 1, 20, 11]))
    assert both.rows[-1]["env_steps"] == 30 * 7 + 30 * 8
    assert other.rows[0]["return_mean"] == 1.0


def test_cleanrl_episodes_are_grouped_by_its_losses(tmp_path):
    scalars = [
        *(("charts/episodic_return", float(step), step) for step in range(20, 1001, 20)),
        *(("charts/episodic_length", 20.0, step) for step in range(20, 1001, 20)),
    ]
    for step in range(100, 1001, 100):
        scalars += [("losses/entropy", 0.6, step), ("losses/approx_kl", 0.01, step)]
        scalars += [("losses/clipfrac", 0.1, step), ("charts/SPS", 500.0, step)]
    log = read_logs(write_events(tmp_path, scalars))[0]
    assert len(log.rows) == 10
    assert log.rows[1] == pytest.approx(
        {
            "iteration": 2,
            "env_steps": 200.0,
            "return_mean": 160.0,
            "episode_length": 20.0,
            "episodes": 5.0,
            "entropy": 0.6,
            "kl": 0.01,
            "clip_fraction": 0.1,
            "env_steps_per_s": 500.0,
        }
    )


def test_episodes_without_losses_are_grouped(tmp_path):
    scalars = [("charts/episodic_return", float(i), 20 * i) for i in range(1, 101)]
    log = read_logs(write_events(tmp_path, scalars))[0]
    assert [row["return_mean"] for row in log.rows] == [5.0 * i + 3 for i in range(20)]


def test_a_resume_that_appends_to_a_monitor_comes_after_it(tmp_path):
    lines = ['#{"t_start": 1000.0, "env_id": "CartPole-v1"}', "r,l,t"]
    lines += [f"{number},7,{number % 30}.5" for number in range(60)]
    (tmp_path / "monitor.csv").write_text("\n".join(lines) + "\n")
    (log,) = read_logs(tmp_path)
    assert [row["return_mean"] for row in log.rows] == [5.0 * i + 2 for i in range(12)]


def test_a_monitor_that_was_renamed_is_known_by_its_columns(tmp_path):
    path = tmp_path / "more exploration.csv"
    path.write_text('#{"t_start": 0}\nr,l,t\n' + "2.0,10,1\n" * 40)
    (log,) = read_logs(tmp_path)
    assert (log.format, log.rows[-1]["env_steps"]) == ("SB3 monitor", 400)
