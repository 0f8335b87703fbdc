"""Logs that are one document, which is written anew as a whole."""

import json

import numpy as np
import pytest
from paths import DATA

from rungwise.logs.discovery import find_readers
from rungwise.logs.formats.document import EvaluationsReader
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError

D6 = DATA / "strangers" / "d6_npz"


def save(path, count, **more):
    steps = 100 * np.arange(1, count + 1)
    np.savez(path, timesteps=steps, results=np.outer(np.arange(count), [1.0, 3.0]), **more)


def test_evaluations_of_sb3_are_rows_of_their_means():
    (log,) = read_logs(D6)
    assert (log.format, len(log.rows), log.name) == ("SB3 evaluations.npz", 80, "d6_npz")
    first, last = log.rows[0], log.rows[-1]
    assert first["return_mean"] == pytest.approx(-202.684, abs=1e-3)
    assert (first["env_steps"], last["env_steps"], first["episodes"]) == (2500, 200_000, 5)
    assert last["episode_length"] == pytest.approx(256.6)
    assert first["return_min"] < first["return_mean"] < first["return_max"]


def test_evaluations_are_read_again_as_they_grow(tmp_path):
    path = tmp_path / "evaluations.npz"
    save(path, 3, successes=np.array([[0, 1], [1, 1], [0, 0]], bool))
    (reader,) = find_readers(tmp_path)
    records = reader.read()
    assert [record.values["success_rate"] for record in records] == [0.5, 1.0, 0.0]
    assert reader.read() == []
    sound = path.read_bytes()
    path.write_bytes(sound[:200])  # half-written
    assert reader.read() == [] and not reader.damage
    save(path, 5)
    assert [record.values["return_mean"] for record in reader.read()] == [6.0, 8.0]
    assert reader.read(final=True) == []


def test_evaluations_are_left_to_the_training_beside_them(tmp_path):
    save(tmp_path / "evaluations.npz", 3)
    (tmp_path / "monitor.csv").write_text("#{}\nr,l,t\n" + "1,10,1\n" * 20)
    assert [log.format for log in read_logs(tmp_path)] == ["SB3 monitor"]
    (tmp_path / "monitor.csv").write_text("#{}\nr,l,t\n")
    assert [log.format for log in read_logs(tmp_path)] == ["SB3 evaluations.npz"]


def test_pickled_arrays_are_refused(tmp_path):
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=np.arange(2), results=np.array([[1.0], [1.0, 2.0]], dtype=object))
    with pytest.raises(InputError, match=r"cannot be read as SB3 evaluations.*allow_pickle"):
        read_logs(path)
    np.savez(tmp_path / "mine.npz", weights=np.arange(2))
    assert EvaluationsReader.first_names(tmp_path / "mine.npz") == []


def test_metrics_of_sacred_are_joined_by_step(tmp_path):
    metrics = {
        name: {"steps": [*range(0, 90, 3)], "timestamps": ["t"] * 30, "values": [*range(30)]}
        for name in ("return", "loss")
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "config.json").write_text("{}")
    (log,) = read_logs(tmp_path)
    assert (log.format, log.name, len(log.rows)) == ("JSON document", tmp_path.name, 30)
    assert (log.rows[-1]["return_mean"], log.rows[-1]["env_steps"]) == (29, 87)
    for text in ('{"accuracy": 0.5}', "[1, 2]"):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(InputError, match="There is no log"):
            read_logs(tmp_path)
