"""A trainer state is written anew with each checkpoint and read once per entry."""

import json

import numpy as np
from foreign_logs import write_columns

from rungwise.judging.doctor import doctor
from rungwise.logs.discovery import find_readers
from rungwise.logs.read_logs import read_logs


def save(root, step):
    path = root / f"checkpoint-{step}" / "trainer_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"step": i, "reward": 0.1 * i, "frac_reward_zero_std": 0.25, "kl": 0.5}
        for i in range(1, step + 1)
    ]
    path.write_text(json.dumps({"global_step": step, "log_history": entries}, indent=2))
    return path


def test_the_newest_checkpoint_has_the_history_of_all(tmp_path):
    for step in (20, 40, 100):
        save(tmp_path, step)
    (log,) = read_logs(tmp_path)
    assert (len(log.rows), log.rows[-1]["iteration"]) == (100, 100)
    assert log.rows[0] == {
        "iteration": 1, "return_mean": 0.1, "group_signal": 0.75, "reference_kl": 0.5,
    }  # fmt: skip
    (early,) = read_logs(tmp_path / "checkpoint-20" / "trainer_state.json")
    assert len(early.rows) == 20


def test_a_null_is_a_number_that_was_not_finite(tmp_path):
    path = save(tmp_path, 20)
    state = json.loads(path.read_text())
    for entry in state["log_history"]:
        entry["completions/mean_length"] = 8.0
    state["log_history"][-1]["reward"] = None
    path.write_text(json.dumps(state))
    (log,) = read_logs(tmp_path)
    assert np.isnan(log.rows[-1]["return_mean"])
    assert [f["symptom"] for f in doctor(tmp_path)["findings"]] == ["not_finite"]


def test_later_checkpoints_add_their_entries_only(tmp_path):
    save(tmp_path, 10)
    (reader,) = find_readers(tmp_path)
    assert len(reader.read()) == 10
    assert reader.read() == []
    save(tmp_path, 30)
    assert [record.values["step"] for record in reader.read()] == list(range(11, 31))
    newest = save(tmp_path, 40)
    newest.write_text(newest.read_text()[:200])  # while it is being written
    assert reader.read() == [] and not reader.damage


def test_a_table_next_to_it_is_not_read_twice(tmp_path):
    save(tmp_path, 10)
    write_columns(tmp_path / "checkpoint-10" / "log.csv", step=[1, 2], reward=[1, 2])
    assert [reader.name for reader in find_readers(tmp_path)] == ["Transformers trainer_state.json"]


def test_checkpoints_after_the_end_are_those_of_a_continued_training(tmp_path):
    end = tmp_path / "trainer_state.json"
    save(tmp_path, 20).rename(end)
    (tmp_path / "checkpoint-20").rmdir()
    assert len(read_logs(tmp_path)[0].rows) == 20
    save(tmp_path, 10)
    assert len(read_logs(tmp_path)[0].rows) == 20
    save(tmp_path, 40)
    (log,) = read_logs(tmp_path)
    assert len(log.rows) == 40
