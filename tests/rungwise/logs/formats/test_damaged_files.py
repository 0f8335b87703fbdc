"""Whatever is wrong with a file of any format becomes a sentence, never a traceback."""

import gzip
import io
import json
import random

import numpy as np
import pytest
from foreign_logs import find_events_file, write_events

from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

ROWS = [{"step": i, "reward": 2.0 * i} for i in range(1, 40)]
BOX = "-----------------\n| eprewmean | {i} |\n| total_timesteps | {i}00 |\n-----------------\n"
BLOCK = "Learning iteration {i}/40\n\n Mean reward: {i}.5\n Mean surrogate loss: 0.1\n ETA: 3s\n"
UNITY = "[INFO] Ball. Step: {i}00. Time Elapsed: 1.0 s. Mean Reward: {i}.0. Std of Reward: 0.5.\n"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path_factory.mktemp("cache")))


def save_arrays(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def repeat(text):
    return "".join(text.replace("{i}", str(i)) for i in range(1, 40)).encode()


def write_tensorboard(folder):
    return find_events_file(write_events(folder, [("reward", 2.0 * i, i) for i in range(1, 40)]))


SACRED = {"return": {"steps": [*range(40)], "timestamps": [], "values": [0.5] * 40}}
SCORES = [{"task": "pong", "seed": s, "xs": [*range(9)], "ys": [1.5] * 9} for s in (0, 1)]
FILES = {
    "evaluations.npz": save_arrays(timesteps=np.arange(40), results=np.ones((40, 5))),
    "log.txt": repeat(BOX),
    "rsl.log": repeat(BLOCK),
    "unity.log": repeat(UNITY),
    "history.json": json.dumps({"config": {"lr": 1}, "log_history": ROWS}, indent=1).encode(),
    "scores.json.gz": gzip.compress(json.dumps(SCORES).encode()),
    "metrics.json": json.dumps(SACRED).encode(),
    "metrics.jsonl": repeat('{"step": {i}00, "reward": {i}}\n{"step": {i}50, "x": 1}\n'),
    "tag-rollout_ep_rew_mean.csv": b"Wall time,Step,Value\n" + repeat("1.0,{i}00,{i}\n"),
    "wandb.csv": b'"Step","a - reward","a - reward__MIN"\n' + repeat('"{i}","{i}","{i}"\n'),
    "utf16.csv": ("step,reward\n" + repeat("{i},2\n").decode()).encode("utf-16"),
    "excel.csv": b"sep=;\nstep;reward\n" + repeat("{i};1,5\n"),
    "trainer_state.json": json.dumps({"global_step": 9, "log_history": ROWS}).encode(),
    "result.json": repeat('{"training_iteration": {i}, "episode_reward_mean": {i}}\n'),
    "monitor.csv": b'#{"t_start": 0}\nr,l,t\n' + repeat("{i},10,{i}\n"),
}
JUNK = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "one byte": lambda data: data[:1],
    "noise": lambda data: random.Random(0).randbytes(2000),
    "noise behind": lambda data: data[:60] + random.Random(1).randbytes(2000),
    "NUL": lambda data: bytes(2000),
}


@pytest.mark.parametrize("damage", JUNK)
@pytest.mark.parametrize("name", FILES)
def test_damage_is_told_in_a_sentence(tmp_path, name, damage):
    path = tmp_path / name
    path.write_bytes(JUNK[damage](FILES[name]))
    for place in (path, tmp_path):
        try:
            assert read_logs(place)
        except InputError as error:
            assert str(error).endswith(".") and str(tmp_path) in str(error)
        try:
            notes = [run.note for run in audit([place], JudgingOptions(), workers=1).unread]
            assert not any("cannot be judged" in note for note in notes), notes
        except InputError as error:
            assert str(error).endswith(".")


@pytest.mark.parametrize("name", FILES)
def test_a_sound_file_of_the_same_kind_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    logs = read_logs(tmp_path)
    assert all(len(log.rows) >= 7 and not log.note for log in logs)


@pytest.mark.parametrize("damage", JUNK)
def test_damage_of_a_second_event_file_leaves_the_first(tmp_path, damage):
    path = write_tensorboard(tmp_path)
    (tmp_path / "events.out.tfevents.9999999999.b").write_bytes(JUNK[damage](path.read_bytes()))
    try:
        (log, *_) = read_logs(tmp_path)
        assert len(log.rows) >= 19
    except InputError as error:
        assert "events.out.tfevents.9999999999.b" in str(error)
