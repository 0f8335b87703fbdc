"""Recorded runs of other libraries: the healthy pass, and planted faults get their name."""

import tarfile

import pytest
from paths import DATA

from tune_jobs.foreign_logs.discovery import find_readers
from tune_jobs.foreign_logs.read_logs import read_logs
from tune_jobs.judging.doctor import doctor


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder of the recorded logs."""
    folder = tmp_path_factory.mktemp("logs")
    with tarfile.open(DATA / "library_logs.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *[(f"{library}-healthy", set()) for library in ("skrl", "rsl_rl", "cleanrl")],
        ("skrl-no-reward", {"constant_reward", "zero_reward"}),
    ],
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


def test_a_run_of_rsl_rl_is_read_under_our_names(logs):
    (log,) = read_logs(logs / "rsl_rl-healthy")
    assert len(log.rows) == 80
    names = {"return_mean_100", "episode_length", "policy_loss", "value_loss", "entropy", "lr"}
    assert names <= log.rows[-1].keys()
    assert log.rows[0]["return_mean_100"] < -50 < -5 < log.rows[-1]["return_mean_100"]


def test_a_run_of_cleanrl_is_read_under_our_names(logs):
    (log,) = read_logs(logs / "cleanrl-healthy")
    assert len(log.rows) == 80
    names = {"policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance"}
    assert names | {"lr", "env_steps"} <= log.rows[-1].keys()
    assert [row["env_steps"] for row in log.rows] == [256 * i for i in range(1, 81)]


def test_a_run_of_tianshou_is_read_without_its_wrong_lengths(logs):
    (log,) = read_logs(logs / "tianshou-short")
    assert [row["env_steps"] for row in log.rows] == [400 * i for i in range(1, 11)]
    assert log.rows[-1]["return_mean"] == pytest.approx(71.83, abs=0.01)
    # The losses of an update come before the returns of its steps.
    assert log.rows[0]["policy_loss"] == pytest.approx(-0.01639, abs=1e-5)
    assert not any("episode_length" in row for row in log.rows)
