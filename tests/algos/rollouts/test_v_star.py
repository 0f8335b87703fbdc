# pyright: basic
"""V* by start: progress, cache and state, without Ray."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from algos.rollouts.v_star import UNKNOWN, VStarTable, make_batch, store_batch


def batch(starts, returns, success=None):
    returns = np.array(returns, np.float32)
    solved = np.full(returns.shape, UNKNOWN) if success is None else np.array(success)
    return make_batch(np.array(starts), returns, returns.max(1), solved)


def table(*batches):
    made = VStarTable()
    for part in batches:
        made.add(part)
    return made


def test_missing_starts_are_those_without_v_star_in_order():
    made = table(batch([3, 1], [[0, 1], [2, 2]]))
    assert made.values == {3: 1.0, 1: 2.0}
    assert made.list_missing(6) == [0, 2, 4, 5] and made.list_missing(0) == []


def test_of_a_repeated_start_the_latest_estimate_counts():
    made = table(batch([4, 4], [[0, 1], [2, 2]]))
    assert made.values == {4: 2.0} and made.flat == {4: True}


def test_progress_counts_only_the_starts_of_the_trial():
    made = table(batch([0, 1, 7], [[0, 1], [3, 3], [9, 9]], [[0, 1], [0, 0], [1, 1]]))
    metrics = made.summarise(4)
    assert (metrics["v_star_starts"], metrics["v_star_starts_left"]) == (2, 2)
    assert (metrics["v_star_mean"], metrics["v_star_std"]) == (2.0, 1.0)
    assert metrics["v_star_max"] == 3.0
    assert metrics["v_star_flat_fraction"] == metrics["v_star_failed_fraction"] == 0.5


def test_without_reported_success_no_share_of_it_is_given():
    part = batch([0, 1], [[0, 1], [2, 3]], [[UNKNOWN, UNKNOWN], [UNKNOWN, 0]])
    assert part["solved"].tolist() == [UNKNOWN, 0]
    assert "v_star_failed_fraction" not in table(batch([0], [[0, 1]])).summarise(1)
    assert table(part).summarise(2)["v_star_failed_fraction"] == 1


def test_progress_before_the_first_batch_has_only_counts():
    assert VStarTable().summarise(3) == {"v_star_starts": 0, "v_star_starts_left": 3}


def test_the_time_left_follows_the_pace_of_this_process():
    made = table(batch([0, 1], [[0, 1], [3, 3]]))
    made.record_time(1, 30.0)  # the other start came from a cache
    metrics = made.summarise(5)
    assert (metrics["v_star_s"], metrics["v_star_left_s"]) == (30.0, 90.0)


def test_stored_batches_are_read_to_the_bit(tmp_path):
    parts = batch([0, 1], [[0.1, 0.7], [3, 3]], [[0, 1], [0, 0]]), batch([2, 3], [[5, 6], [7, 7]])
    for part in parts:
        store_batch(part, tmp_path / "key", env="")
    read = VStarTable()
    read.load(tmp_path / "key")
    assert read.get_state() == table(*parts).get_state()


@pytest.mark.parametrize("made", [False, True])
def test_a_cache_without_a_batch_is_empty(made, tmp_path):
    if made:
        (tmp_path / ".000000000-000000001.parquet.123").write_bytes(b"half a fi")
    read = VStarTable()
    read.load(tmp_path if made else tmp_path / "key")
    assert read.list_missing(2) == [0, 1]


def test_a_state_restores_the_table():
    made, again = table(batch([0, 1], [[0, 1], [3, 3]], [[0, 1], [0, 0]])), VStarTable()
    again.set_state(made.get_state())
    assert again.summarise(4) == made.summarise(4)


def test_a_killed_process_leaves_its_complete_batches(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
import numpy as np
from algos.rollouts.v_star import make_batch, store_batch
for start in (0, 1):
    returns = np.full((1, 2), start, np.float32)
    batch = make_batch(np.array([start]), returns, returns[:, 0], returns)
    store_batch(batch, Path(sys.argv[1]), "")
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    read = VStarTable()
    read.load(tmp_path)
    assert read.values == {0: 0.0, 1: 1.0}
