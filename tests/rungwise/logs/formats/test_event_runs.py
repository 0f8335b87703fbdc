"""Event files in one folder: parts of one run, or runs of their own."""

from pathlib import Path

import pytest
from foreign_logs import find_events_file, write_events
from health_runs import rising
from paths import DATA

from rungwise.logs.discovery import find_in_directory, find_readers
from rungwise.logs.formats import LogReader, tensorboard
from rungwise.logs.formats.event_runs import EventSpan, group_files
from rungwise.logs.read_logs import read_logs
from tune_jobs.audit.audit import audit
from tune_jobs.audit.replayed_run import JudgingOptions

D16 = DATA / "strangers" / "d16_resumed"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path_factory.mktemp("cache")))


def write_part(folder, number, returns, first=100, tag="rollout/ep_rew_mean"):
    """An event file of a score and a loss every 100 steps."""
    place = folder.parent / f"part-{number}"
    steps = [first + 100 * i for i in range(len(returns))]
    scalars = [
        (t, v, s) for v, s in zip(returns, steps, strict=True) for t in (tag, "train/value_loss")
    ]
    write_events(place, scalars)
    folder.mkdir(exist_ok=True)
    return find_events_file(place).rename(folder / f"events.out.tfevents.{number}.vm")


def test_a_resume_whose_steps_begin_anew_is_joined():
    (log,) = read_logs(D16)
    assert len(log.rows) == 300
    steps = [int(place.removeprefix("step ")) for place in _list_places(D16)]
    assert steps == [100 * i for i in range(1, 301)]
    assert "begins its steps anew" in log.note and "read from step 15000 on" in log.note
    assert log.rows[0]["return_mean"] < 5 and log.rows[-1]["return_mean"] > 250
    (run,) = audit([D16], JudgingOptions(), workers=1).runs
    assert run.stop is None and len(run.scores) == 300 and "begins its steps anew" in run.note


def _list_places(folder):
    (reader,) = find_readers(folder)
    return [record.location for record in reader.read(final=True)]


@pytest.mark.parametrize(
    ("second", "first", "runs"),
    [
        (rising(40, 50.0, 60.0), 100, [80]),  # the score goes on: a resume that counts anew
        (rising(40, 50.0, 60.0), 4100, [80]),  # its steps go on
        (rising(40, 30.0, 60.0), 2100, [60]),  # it repeats steps from a checkpoint
        (rising(40, 0.0, 50.0), 100, [40, 40]),  # an untrained agent: another run
    ],
)
def test_what_a_second_file_is_follows_from_steps_and_score(tmp_path, second, first, runs):
    folder = tmp_path / "run"
    write_part(folder, 1, rising(40, 0.0, 50.0))
    write_part(folder, 2, second, first)
    logs = read_logs(folder)
    assert [len(log.rows) for log in logs] == runs
    steps = [row["env_steps"] for row in logs[0].rows]
    assert steps == sorted(set(steps))
    assert len({log.name for log in logs}) == len(runs)
    assert all(("several runs" in log.note) == (len(runs) > 1) for log in logs)
    judged = audit([folder], JudgingOptions(), workers=1).runs
    assert [len(run.scores) for run in judged] == runs


def test_files_written_at_the_same_time_are_two_runs():
    tags = frozenset({"return", "loss"})
    first = EventSpan(tags, (10.0, 50.0), 0, 900, (0.0, 5.0))
    later = EventSpan(tags, (51.0, 90.0), 0, 900, (5.0, 9.0))

    def group(span):
        return [[*run.values()] for run in group_files({Path("a"): first, Path("b"): span})]

    assert group(later) == [[0, 901]]
    assert group(later._replace(times=(20.0, 60.0))) == [[0], [0]]
    assert group(later._replace(returns=())) == [[0], [0]]
    assert group(EventSpan(frozenset({"eval/x"}), (20.0, 60.0), 0, 900)) == [[0, 0]]


def test_an_empty_second_file_changes_nothing(tmp_path):
    folder = tmp_path / "run"
    write_part(folder, 1, rising(40))
    (folder / "events.out.tfevents.2.vm").write_bytes(b"")
    (log,) = read_logs(folder)
    assert len(log.rows) == 40 and not log.note


def test_a_resume_is_joined_while_it_is_followed(tmp_path):
    folder = tmp_path / "run"
    write_part(folder, 1, rising(40, 0.0, 50.0))
    (reader,) = find_readers(folder)
    records = reader.read()
    write_part(folder, 2, rising(40, 50.0, 60.0))
    for _ in range(3):
        records += reader.read()
    steps = [int(record.location.removeprefix("step ")) for record in records]
    assert steps == [100 * i for i in range(1, 80)]


def test_an_older_run_in_the_folder_is_not_that_of_a_program(tmp_path):
    folder = tmp_path / "run"
    write_part(folder, 1, rising(40, 0.0, 50.0))
    new = folder / "events.out.tfevents.2.vm"
    new.write_bytes(b"")
    assert list(find_in_directory(folder, [new], {})) == []  # nothing is known of it yet
    write_part(folder, 2, rising(10, 0.0, 12.0))
    (reader,) = find_in_directory(folder, [new], {})
    assert isinstance(reader, LogReader)
    assert len(reader.read(final=True)) == 10 and reader.files == [new]


def test_only_folders_of_several_files_are_measured(tmp_path, monkeypatch):
    write_part(tmp_path / "run", 1, rising(9))
    monkeypatch.setattr(tensorboard, "_measure", None)
    assert len(read_logs(tmp_path / "run")[0].rows) == 9
