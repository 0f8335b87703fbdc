"""Recorded runs of other libraries: the healthy pass, and planted faults get their name."""

import json
import tarfile
from pathlib import Path

import pytest
from paths import DATA

from rungwise.judging.doctor import doctor
from rungwise.judging.watch import TimeLimit, Watch
from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The folder of the recorded logs."""
    folder = tmp_path_factory.mktemp("logs")
    with tarfile.open(DATA / "library_logs.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


TRL: dict[str, set[str]] = {
    **{kind: set() for kind in ("healthy", "healthy-peaked", "healthy-eval", "agentic", "slow")},
    "clipped": {"always_truncated"},
    "kl": {"reference_kl_runaway"},
    "entropy": {"std_blowup"},
    "nosignal": {"groups_without_signal"},
    "overfit": {"overfitting"},
}
"""Kinds of runs of benchmarks/programs/trl_faults.py, and what is warned of; slow ones: a note."""


@pytest.mark.parametrize(
    ("name", "right"),
    [
        *[(f"{library}-healthy", set()) for library in ("skrl", "rsl_rl", "cleanrl")],
        ("skrl-no-reward", {"constant_reward", "zero_reward"}),
        *[(f"trl/{kind}-{seed}", right) for kind, right in TRL.items() for seed in (1, 2, 3)],
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


def replay(path: Path, every: int) -> tuple[set[str], int]:
    """What a watch warns of in a run of TRL, judged at each of these rows, and where it stops."""
    rows = json.loads(path.read_text())["log_history"]
    watch = Watch(budget=100, progress="step", time_limit=TimeLimit(fraction=1e-9))
    warned: set[str] = set()
    for number, row in enumerate(rows, start=1):
        watch.feed(row)
        if number % every == 0:
            watch.judge()
            warned |= {f.symptom for f in watch.diagnosis.findings if f.severity != "note"}
        if watch.stop:
            return warned, row["step"]
    return warned, 0


@pytest.mark.parametrize(
    ("kind", "right", "stop"),
    [
        *[(kind, set(), 0) for kind in TRL if not TRL[kind]],
        ("clipped", {"always_truncated", "constant_reward", "groups_without_signal"}, 92),
        ("nosignal", {"groups_without_signal"}, 40),
        ("overfit", {"overfitting"}, 0),
    ],
)
def test_a_run_of_trl_is_judged_while_it_goes(logs, kind, right, stop):
    for seed in (1, 2, 3):
        warned, at = replay(logs / "trl" / f"{kind}-{seed}" / "trainer_state.json", every=2)
        assert right <= warned and (right or not warned)
        assert at == stop


def test_steps_that_become_slow_get_a_note(logs):
    for seed in (1, 2, 3):
        findings = doctor(logs / "trl" / f"slow-{seed}")["findings"]
        assert [(f["symptom"], f["severity"]) for f in findings] == [("slower_iterations", "note")]
