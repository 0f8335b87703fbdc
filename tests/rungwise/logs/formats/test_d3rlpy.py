"""The folders of d3rlpy: a table without a header for each metric."""

import pytest

from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError


def write(folder, **metrics):
    folder.mkdir(exist_ok=True)
    (folder / "params.json").write_text('{\n  "gamma": 0.99\n}')
    for name, scale in metrics.items():
        lines = [f"{i},{1000 * i},{scale * i}\n" for i in range(1, 21)]
        (folder / f"{name}.csv").write_text("".join(lines))


def test_a_folder_of_d3rlpy_is_a_run(tmp_path):
    folder = tmp_path / "CQL_20260101"
    write(folder, environment=2.0, critic_loss=0.5, time_step=0.1)
    (folder / "grads.csv").write_text("1,1000,weights,0.1,0.2,0.3\n")
    (log,) = read_logs(tmp_path)
    assert (log.format, log.name, len(log.rows)) == ("d3rlpy CSV", "CQL_20260101", 20)
    assert (log.rows[-1]["return_mean"], log.rows[-1]["env_steps"]) == (40, 20_000)


def test_the_return_of_the_training_goes_first(tmp_path):
    write(tmp_path, environment=2.0, rollout_return=1.0)
    (log,) = read_logs(tmp_path)
    assert log.rows[-1]["return_mean"] == 20


def test_a_folder_whose_settings_were_not_kept_is_a_run(tmp_path):
    write(tmp_path, environment=2.0, time_step=0.1)
    (tmp_path / "params.json").unlink()
    (log,) = read_logs(tmp_path)
    assert (log.format, len(log.rows), log.rows[-1]["return_mean"]) == ("d3rlpy CSV", 20, 40)


def test_numbers_without_settings_beside_them_are_no_run(tmp_path):
    write(tmp_path, environment=2.0)
    (tmp_path / "params.json").unlink()
    with pytest.raises(InputError, match="has no header row"):
        read_logs(tmp_path)
