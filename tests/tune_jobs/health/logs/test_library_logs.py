"""Recorded runs of other libraries: the healthy pass, and planted faults get their name."""

import tarfile

import pytest
from paths import DATA

from tune_jobs.health.doctor import doctor
from tune_jobs.health.logs import find_readers, read_logs


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder of the recorded logs."""
    folder = tmp_path_factory.mktemp("logs")
    with tarfile.open(DATA / "library_logs.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize(
    ("name", "right"),
    [("skrl-healthy", set()), ("skrl-no-reward", {"constant_reward", "zero_reward"})],
)
def test_a_recorded_run_gets_the_right_name(logs, name, right):
    findings = doctor(logs / name)["findings"]
    warned = {finding["symptom"] for finding in findings if finding["severity"] != "note"}
    assert bool(warned & right) == bool(right)
    assert right or not warned


def test_a_run_of_skrl_is_read_under_our_names(logs):
    (log,) = read_logs(logs / "skrl-healthy")
    assert len(log.rows) == 45
    names = {"return_mean", "return_min", "return_max", "reward_mean", "episode_length"}
    assert names | {"policy_loss", "value_loss"} <= log.rows[-1].keys()
    # Counted once for all 16 environments: episodes estimated from it would be far too few.
    assert not {"env_steps", "episodes"} & log.rows[-1].keys()
    # It contains its weight, which the log does not have.
    assert "Loss / Entropy loss" in log.unmapped
    (reader,) = find_readers(logs / "skrl-healthy")
    reader.limit = 1000
    live = [record.location for _ in range(60) for record in reader.read()]
    assert live + [r.location for r in reader.read(final=True)] == [
        f"step {25 * i}" for i in range(1, 46)
    ]
