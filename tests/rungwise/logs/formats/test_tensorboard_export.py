"""Tables that TensorBoard exports from its charts."""

import pytest
from paths import DATA

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs

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


def test_only_charts_of_a_return_are_logs(tmp_path):
    for run in ("PPO_1", "PPO_2"):
        export(tmp_path / f"run-{run}-tag-rollout_ep_rew_mean.csv", range(9))
        export(tmp_path / f"run-{run}-tag-train_value_loss.csv", [0.5] * 9)
    export(tmp_path / "loss.csv", range(9))
    logs = read_logs(tmp_path)
    assert [len(log.rows) for log in logs] == [9, 9]
    assert len({log.name for log in logs}) == 2


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [("PPO_explained_variance", False), ("PPO_ep_rew_mean", True), ("PPO_current", True)],
)
def test_a_chart_without_a_tag_may_be_of_a_return(tmp_path, name, is_taken):
    export(tmp_path / f"{name}.csv", [0.5] * 9)
    (reader,) = find_readers(tmp_path / f"{name}.csv")
    assert ("return_mean" in reader.read(final=True)[-1].values) == is_taken
