"""A folder with a file of steps and values for each metric."""

from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs


def add(root, name, *points):
    path = root / "scalars" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{step},{value}\n" for step, value in points)


def test_the_files_of_a_folder_are_one_log(tmp_path):
    for step in range(100, 1100, 100):
        add(tmp_path / "run", "train/reward", (step, step / 10))
        add(tmp_path / "run", "train/entropy", (step, 0.5))
        add(tmp_path / "run", "loss", (step, 1.0))
    (log,) = read_logs(tmp_path)
    assert (log.name, log.format) == ("run/scalars", "TorchRL CSV")
    expected = {"iteration": 2, "return_mean": 20.0, "entropy": 0.5, "env_steps": 200.0}
    assert log.rows[1] == expected
    assert log.unmapped == ["loss"]


def test_files_that_appear_later_are_read(tmp_path):
    add(tmp_path, "train/reward", (1, 5.0), (2, 6.0))
    (reader,) = find_readers(tmp_path)
    assert len(reader.read()) == 1
    add(tmp_path, "train/reward", (3, 7.0))
    add(tmp_path, "train/entropy", (3, 0.1))
    records = [*reader.read(), *reader.read(final=True)]
    assert records[-1].values == {"train/reward": 7.0, "train/entropy": 0.1, "iteration": 3.0}
