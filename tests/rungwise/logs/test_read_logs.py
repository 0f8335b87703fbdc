"""Reading finished runs: ours, RLlib's, SB3's, CleanRL's and plain files, all to the same rows."""

import math
from typing import Any

import numpy as np
import pytest
from foreign_logs import (
    diagnose_log,
    find_events_file,
    make_sick_results,
    read_rllib_results,
    write_csv,
    write_events,
    write_results,
)
from health_runs import flat as flat_returns

from rungwise.health import History, diagnose
from rungwise.judging.doctor import doctor
from rungwise.logs.log_record import flatten
from rungwise.logs.read_logs import read_logs
from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import JobRow, ResultRow, TrialRow
from rungwise.validation import InputError

SICK = {
    "kl_runaway": ("stop", 5),
    "no_improvement": ("warn", 2),
    "low_explained_variance": ("warn", 7),
}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (read_rllib_results(), {}),
        (make_sick_results(), SICK),
    ],
    ids=["healthy", "sick"],
)
def test_the_same_run_gives_the_same_findings_in_every_format(tmp_path, lines, expected):
    rows = [flatten(line) for line in lines]
    scalars = [
        (f"ray/tune/{name}", value, row["training_iteration"])
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float) and not math.isnan(value) and name != "training_iteration"
    ]
    from_json = write_results(tmp_path / "a" / "result.json", lines)
    from_csv = write_csv(tmp_path / "b" / "progress.csv", rows)
    from_events = write_events(tmp_path / "c", scalars)
    assert diagnose_log(from_json) == expected
    assert diagnose_log(from_csv) == expected
    assert diagnose_log(from_events) == expected
    logs = [read_logs(path)[0] for path in (from_json, from_csv, from_events)]
    assert [log.format for log in logs] == [
        "Ray Tune result.json",
        "Ray Tune progress.csv",
        "TensorBoard",
    ]
    for log in logs[1:]:
        for mine, theirs in zip(log.rows, logs[0].rows, strict=True):
            drop = {"iteration_s": 0}
            assert mine | drop == pytest.approx(theirs | drop, rel=1e-5)


def test_what_tune_ran_again_after_a_resume_counts_once(tmp_path):
    lines = read_rllib_results()
    again = read_rllib_results()[4:]
    again[0]["env_runners"]["episode_return_mean"] = 99.0
    rows = read_logs(write_results(tmp_path / "result.json", [*lines[:6], *again]))[0].rows
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert rows[4]["return_mean"] == 99.0


def test_a_real_run_of_sb3_is_read_from_each_of_its_files(tmp_path, monkeypatch):
    sb3 = pytest.importorskip("stable_baselines3")
    import gymnasium
    from stable_baselines3.common import logger
    from stable_baselines3.common.monitor import Monitor

    # SB3 writes TensorBoard files through torch, which wants a package that is not needed here.
    tensorboardX = pytest.importorskip("tensorboardX")
    monkeypatch.setattr(
        logger, "SummaryWriter", lambda log_dir: tensorboardX.SummaryWriter(log_dir)
    )
    env = Monitor(gymnasium.make("CartPole-v1"), str(tmp_path / "0"))
    model = sb3.PPO("MlpPolicy", env, n_steps=256, n_epochs=2, seed=0, device="cpu")
    model.set_logger(logger.configure(str(tmp_path), ["csv", "tensorboard"]))
    model.learn(2560)
    model.logger.close()

    table, events, monitor = (
        read_logs(next(tmp_path.glob(pattern)))[0]
        for pattern in ("*s.csv", "*tfevents*", "*monitor*")
    )
    assert len(table.rows) == len(events.rows) == 10
    assert table.rows[0].keys() & {"return_mean_100", "entropy"} == {"return_mean_100"}
    assert 0.5 < table.rows[1]["entropy"] < 0.7
    for mine, theirs in zip(events.rows, table.rows, strict=True):
        # SB3 keeps their number out of TensorBoard: there is one, or none.
        assert mine.pop("updates") == bool(theirs.pop("updates", 0))
        assert mine == pytest.approx(theirs, rel=1e-5)
    # No count of the episodes is logged: it is estimated from their length.
    returns = env.get_episode_rewards()
    assert sum(row["episodes"] for row in table.rows) == pytest.approx(len(returns), rel=0.3)
    assert diagnose_log(tmp_path / "progress.csv") == diagnose_log(find_events_file(tmp_path))
    assert sum(row["episodes"] for row in monitor.rows) == len(returns)
    assert monitor.rows[-1]["env_steps"] == sum(env.get_episode_lengths())
    # With both files there are the returns behind the moving average, too.
    both = read_logs(tmp_path)[0]
    assert (both.format, both.score) == ("SB3 progress.csv", "return_mean")
    assert sum(row["episodes"] for row in both.rows) == len(returns)
    first = returns[: int(both.rows[0]["episodes"])]
    assert both.rows[0]["return_mean"] == both.rows[0]["return_mean_100"] == np.mean(first)


def test_sb3_evaluation_lines_belong_to_the_next_iteration(tmp_path):
    rows = []
    for i in range(1, 4):
        rows.append({"time/total_timesteps": 100 * i - 1, "eval/mean_reward": 9, "train/std": 1})
        rows[-1]["train/entropy_loss"] = -0.5 * i
        rows.append({"time/total_timesteps": 100 * i, "time/iterations": i})
        rows[-1]["rollout/ep_rew_mean"] = 20.0
    log = read_logs(write_csv(tmp_path / "progress.csv", rows))[0]
    assert [row["entropy"] for row in log.rows] == [0.5, 1.0, 1.5]
    assert [row["return_mean_100"] for row in log.rows] == [20.0] * 3
    assert [row["action_std"] for row in log.rows] == [1.0] * 3
    assert log.unmapped == ["eval/mean_reward"]
    # Nothing says how long it was to go on: no row follows.
    assert log.history.is_over and not log.history.without_last(1).is_over


@pytest.mark.parametrize(
    ("score", "loss", "std"),
    [
        ("Reward / Total reward (mean)", "Loss / Policy loss", "Policy / Standard deviation"),
        ("Train/mean_reward", "Loss/surrogate", "Policy/mean_std"),
        ("Train/mean_reward", "Loss/surrogate", "Policy/mean_noise_std"),
    ],
)
def test_the_standard_deviation_of_actions_is_read(tmp_path, score, loss, std):
    rows = [{"step": i, score: 1.0, loss: 0.1, std: float(i)} for i in range(1, 5)]
    log = read_logs(write_csv(tmp_path / "progress.csv", rows))[0]
    assert [row["action_std"] for row in log.rows] == [1.0, 2.0, 3.0, 4.0]


def test_a_nan_in_the_moving_average_of_sb3_is_found(tmp_path):
    rows = [
        {
            "time/total_timesteps": 256 * i,
            "rollout/ep_rew_mean": math.nan if i > 9 else 20.0 + i,
            "rollout/ep_len_mean": 20.0,
            "train/explained_variance": math.nan,
        }
        for i in range(1, 11)
    ]
    answer = doctor(write_csv(tmp_path / "progress.csv", rows))
    assert [(f["symptom"], f["since"]) for f in answer["findings"]] == [("not_finite", 10)]
    assert "rollout/ep_rew_mean" in answer["findings"][0]["evidence"]


def test_our_own_run_gives_the_findings_it_had_while_it_ran(tmp_path):
    log = EventLog(tmp_path / "run" / "events.jsonl")
    log.path.parent.mkdir()
    metrics = {"kl": 0.01, "entropy": 0.5, "nonfinite": 0}
    rows = []
    log.append(
        JobRow(run="run", env="e", algo="ppo", metric="cost", mode="min", iterations=40, trials=1)
    )
    log.append(TrialRow(trial="00", config={"lr": 0.1}))
    for i, score in enumerate(flat_returns(30), start=1):
        about: dict[str, Any] = {"trial": "00", "iteration": i, "seconds": 1.0, "env_steps": i}
        # The score is that of several iterations; the rules see what each of them measured.
        log.append(ResultRow(score=1.0, metrics=metrics | {"cost": score}, **about))
        rows.append(metrics | {"iteration": i, "cost": score, "env_steps": i})
    write_results(tmp_path / "run" / "trials" / "00" / "result.json", read_rllib_results())
    found = read_logs(tmp_path)
    assert [(one.name, one.format) for one in found] == [("run/00", "Rungwise run")]
    assert read_logs(tmp_path / "run")[0].name == "00"
    expected = diagnose(History(rows, 40, "cost", "min"))
    assert expected.findings
    assert diagnose(found[0].history) == expected


def test_doctor_knows_the_settings_of_our_own_run(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    about: dict[str, Any] = {"env": "e", "algo": "ppo", "metric": "return_mean", "mode": "max"}
    log.append(JobRow(run="run", iterations=40, trials=1, **about))
    log.append(TrialRow(trial="00", config={"lr": 0.1, "env.size": 3}))
    log.append(ResultRow(trial="00", iteration=1, score=1.0, seconds=1.0, env_steps=1, metrics={}))
    job = tmp_path / "job.yaml"
    job.write_text("algo: ppo\nsettings:\n  lr: 0.5\n  normalise_values: true\n")
    assert read_logs(tmp_path)[0].history.settings == {"lr": 0.1, "normalise_values": True}
    for others in ("algo: rllib/SAC\nsettings:\n  lr: 0.5\n", "algo: [", "- 1\n"):
        job.write_text(others)
        assert read_logs(tmp_path)[0].history.settings == {}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "step,return\n", "is empty"),
        ("a.csv", "step,return\n1,2\n2,much\n", "line 3: return is 'much', which is not a number"),
        ("a.csv", "# of me\nstep,return\n1,2,3\n", "line 3 has 3 cells, but the header has 2"),
        ("a.csv", "1,2\n2,3\n", "no header row"),
        ("a.csv", "step,profit\n1,2\n", "step, profit|has profit, none of which is known"),
        ("result.json", '{"a": 1}\nnonsense\nmore\n{"a": 2}\n', "line 2 is not JSON"),
        ("result.json", "[1]\n", "line 1 is not a JSON object"),
        ("result.json", "", "is empty"),
        ("0.monitor.csv", "#{}\nr,l,t\nx,1,2\n", "line 3 has no number for the return r"),
        ("notes.txt", "hello", "none of the files that can be read"),
        ("events.out.tfevents.1", "hello, this is no event file", "no TensorBoard file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_logs(tmp_path / name)


def test_a_place_without_logs_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=r"There is no log in .*result\.json.*tfevents"):
        read_logs(tmp_path)
    with pytest.raises(InputError, match=r"There is no .*nowhere"):
        read_logs(tmp_path / "nowhere")


def test_updates_that_sb3_counts_since_the_start_are_differenced(tmp_path):
    rows = [
        {
            "time/total_timesteps": 256 * i,
            "time/fps": 900,
            "rollout/ep_rew_mean": 20.0,
            "train/n_updates": 10 * (i - 1) if i > 1 else None,
        }
        for i in range(1, 31)
    ]
    path = write_csv(tmp_path / "progress.csv", rows)
    (log,) = read_logs(path)
    assert [row.get("updates") for row in log.rows] == [None, *[10.0] * 29]
    assert log.unmapped == []
    assert "no_updates" in doctor(path)["judged"]
