"""Tables that TensorBoard and W&B export from their charts."""

import pytest
from paths import DATA

from tune_jobs.foreign_logs.discovery import find_readers
from tune_jobs.foreign_logs.read_logs import read_logs

STRANGERS = DATA / "strangers"


def export(path, values):
    lines = [f"1700000000.5,{100 * i},{value}\n" for i, value in enumerate(values, start=1)]
    path.write_text("Wall time,Step,Value\n" + "".join(lines))


@pytest.mark.parametrize(
    ("name", "metric", "noted"),
    [("d19_run-PPO_1-tag-rollout_ep_rew_mean", "return_mean_100", False),
     ("d19_tb_export", "return_mean", True)],
)  # fmt: skip
def test_a_chart_of_tensorboard_is_a_log(name, metric, noted):
    (log,) = read_logs(STRANGERS / f"{name}.csv")
    assert (log.format, len(log.rows), log.score) == ("TensorBoard CSV", 80, metric)
    assert (log.rows[0][metric], log.rows[-1][metric]) == (-80.99, 46.38)
    assert (log.rows[0]["env_steps"], log.rows[-1]["env_steps"]) == (1000, 80_000)
    assert ("its column Value is taken for the return" in log.note) == noted


def test_the_charts_of_a_run_are_one_log(tmp_path):
    for run in ("PPO_1", "PPO_2"):
        export(tmp_path / f"run-{run}-tag-rollout_ep_rew_mean.csv", range(9))
        export(tmp_path / f"run-{run}-tag-train_value_loss.csv", [0.5] * 9)
    export(tmp_path / "loss.csv", range(9))
    logs = read_logs(tmp_path)
    assert [len(log.rows) for log in logs] == [9, 9]
    assert all(log.rows[-1]["value_loss"] == 0.25 for log in logs)  # SB3 logs the squared error
    assert len({log.name for log in logs}) == 2


def test_a_chart_of_wandb_is_a_run_for_each_column(tmp_path):
    header = '"Step","slow - reward","slow - reward__MIN","slow - reward__MAX",' + (
        '"fast-1 - reward","fast-1 - reward__MIN","fast-1 - reward__MAX"\n'
    )
    rows = [f'"{i}","{i}","{i}","{i}","{2 * i}","",""\n' for i in range(1, 9)]
    rows += [f'"{i}","","","","{2 * i}","",""\n' for i in range(9, 12)]
    (tmp_path / "wandb_export.csv").write_text(header + "".join(rows))
    logs = {log.name: log for log in read_logs(tmp_path)}
    assert {name: len(log.rows) for name, log in logs.items()} == {
        "wandb_export.csv/run slow": 8,
        "wandb_export.csv/run fast-1": 11,
    }
    assert logs["wandb_export.csv/run fast-1"].rows[-1]["return_mean"] == 22
    (reader,) = find_readers(tmp_path)
    assert reader.name == "CSV"
