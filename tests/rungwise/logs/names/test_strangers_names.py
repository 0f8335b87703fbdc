"""Logs of strangers whose columns are named otherwise; the numbers are our own."""

import pytest
from foreign_logs import write_columns
from paths import DATA

from rungwise.judging.doctor import doctor
from rungwise.logs.read_logs import read_logs
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

STRANGERS = DATA / "strangers"


@pytest.mark.parametrize(
    ("place", "first", "unmapped"),
    [
        (
            "d1_garage",
            {"return_mean": -187.5932, "return_std": 40.0, "return_min": -259.9803,
             "return_max": -88.6604, "env_steps": 4000, "entropy": 2.7673},
            ["Evaluation/TerminationRate"],
        ),
        (
            "d2_blanks",
            {"return_mean_100": 25.0901, "return_max": 32.3414, "return_min": 4.4196,
             "env_steps": 500, "episodes": 4, "policy_loss": -0.016},
            [],
        ),
        ("d3_epsilon", {"return_mean": 13.58, "exploration_rate": 1.0}, ["episode"]),
        ("d7_frame.csv", {"return_mean": 35.7688, "env_steps": 20000}, ["hour"]),
        ("d15_tasks.csv", {"return_mean": 9.0, "env_steps": 10000}, []),
        (
            "d17_prefix.jsonl",
            {"return_mean": -49.9, "episode_length": 50, "env_steps": 100, "episodes": 1},
            [],
        ),
    ],
)  # fmt: skip
def test_a_log_of_strangers_is_read_by_its_columns(place, first, unmapped):
    log = read_logs(STRANGERS / place)[0]
    assert log.rows[0].items() >= first.items()
    assert log.unmapped == unmapped and log.likely_return == ""


def test_episodes_counted_from_the_start_are_those_of_each_row():
    (log,) = read_logs(STRANGERS / "d2_blanks")
    assert [row["episodes"] for row in log.rows[:5]] == [4] * 5
    (log,) = read_logs(STRANGERS / "d17_prefix.jsonl")
    assert {row["episodes"] for row in log.rows} == {1}


def test_exploration_that_never_decays_is_found_by_its_epsilon():
    (log,) = doctor(STRANGERS / "d3_epsilon")["logs"]
    assert "exploration_never_decays" in [finding["symptom"] for finding in log["findings"]]


def test_runs_of_a_table_are_grouped_by_its_task():
    result = audit([STRANGERS / "d15_tasks.csv"], JudgingOptions())
    assert {run.env for run in result.runs} == {group.name.split(",")[0] for group in result.groups}
    assert sorted(len(group.runs) for group in result.groups) == [5, 5, 5]
    assert len(result.runs) == 15


@pytest.mark.parametrize(
    ("column", "values"), [("Task", ["a", "b"]), ("game", [0, 1]), ("Env Name", ["x", "y"])]
)
def test_tasks_below_each_other_are_runs_of_two_groups(tmp_path, column, values):
    cells = [(value, i) for value in values for i in range(40)]
    path = write_columns(
        tmp_path / "a.csv",
        **{column: [value for value, _ in cells], "Total Reward": [float(i % 7) for _, i in cells]},
        step=[i for _, i in cells],
    )
    assert [log.env for log in read_logs(path)] == [str(value) for value in values]
    result = audit([path], JudgingOptions())
    assert [group.name for group in result.groups] == [f"{v}, return_mean" for v in values]


def test_an_index_of_environments_is_no_task(tmp_path):
    path = write_columns(tmp_path / "a.csv", env=[3] * 40, step=range(40), reward=range(40))
    assert read_logs(path)[0].env == ""


@pytest.mark.parametrize(
    ("name", "values", "first"),
    [
        ("Success Rate", [0.5, 1.0], 0.5),
        ("Success Rate", [50.0, 80.0], 0.5),
        ("win rate (%)", [50.0, 80.0], 0.5),
        ("success", [3.0, 80.0], None),
        ("win_rate", [300.0, 80.0], None),
    ],
)
def test_success_is_a_fraction_a_percentage_or_a_count(tmp_path, name, values, first):
    columns = {name: values * 10, "total_reward": [1.0, 2.0] * 10}
    (log,) = read_logs(write_columns(tmp_path / "a.csv", epoch=range(20), **columns))
    assert log.rows[0].get("success_rate") == first and log.score == "return_mean"


def test_a_log_of_success_alone_is_judged_by_it(tmp_path):
    rates = [min(1.0, i / 30) for i in range(40)]
    columns = {"epoch": range(40), "test/success_rate": rates, "train/success_rate": rates}
    write_columns(tmp_path / "a.csv", **columns)
    (log,) = read_logs(tmp_path)
    assert log.score == "success_rate" and log.rows[15]["success_rate"] == 0.5
    result = audit([tmp_path], JudgingOptions())
    assert result.judged[0].metric == "success_rate" and result.judged[0].final_score == 1.0


@pytest.mark.parametrize("name", ["EVBefore", "ev_tdlam_before"])
def test_an_explained_variance_of_old_logs_is_judged(tmp_path, name):
    returns = [float(i * 7 % 5) for i in range(60)]
    columns = {"EpRewMean": returns, "TimestepsSoFar": range(60), name: [-4e14] * 60}
    (log,) = doctor(write_columns(tmp_path / "a.csv", **columns))["logs"]
    found = {finding["symptom"]: finding["evidence"] for finding in log["findings"]}
    assert "-4e+14" in found["low_explained_variance"]
