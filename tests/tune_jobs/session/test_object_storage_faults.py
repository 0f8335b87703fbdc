# pyright: basic
"""Whatever fails while a run is copied, the copy is right and complete in the end."""

import contextlib
import itertools
import os
import shutil
import socket

import pyarrow as pa
import pytest
from failing_storage import FailingStorage
from mirrored_runs import begun, copying, list_files, make_full
from pyarrow import fs
from waiting import wait_until

from tune_jobs.session import object_storage
from tune_jobs.session.object_storage import MIRROR_VARIABLE, Mirror, _copy_or_warn, mirror_run


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """Make a storage of which one operation fails; return its handler and its folder."""

    def make(number):
        monkeypatch.setattr(object_storage, "PROGRAMS_EVERY", 0.0)
        handler, place = FailingStorage(number), tmp_path / str(number) / "there"
        opened = fs.PyFileSystem(handler), str(place)
        monkeypatch.setattr(object_storage, "open_filesystem", lambda uri: opened)
        return handler, place

    return make


def test_a_copy_is_whole_whichever_operation_fails(tmp_path, storage):
    for number in itertools.count(1):
        handler, place = storage(number)
        mirror = Mirror(make_full(tmp_path / str(number) / "run", 1), "")
        for step in (2, 3):
            with contextlib.suppress(OSError):
                mirror.update()
            make_full(mirror.directory, step)
        while not _copy_or_warn(mirror.finish, "there"):
            pass
        assert list_files(place / "run") == list_files(mirror.directory), number
        if handler.left > 0:
            break
    assert number > 60


def test_the_end_of_a_run_is_copied_whichever_operation_fails(tmp_path, storage):
    """No update follows that could make it good."""
    for number in itertools.count(1):
        handler, place = storage(number)
        run = make_full(tmp_path / str(number) / "run", 1)
        with copying(run, "there"):
            make_full(run, 2)
        assert list_files(place / "run") == list_files(run), number
        if handler.left > 0:
            break
    assert number > 30


def test_a_file_that_cannot_be_read_holds_up_no_other(tmp_path, capsys):
    """It may be root's, or a link to itself."""
    run, place = make_full(tmp_path / "run", 1), tmp_path / "there"
    for folder in (run, run / "programs/00/out", run / "trials/checkpoint_1"):
        (folder / "bad").symlink_to("bad")
    mirror = Mirror(run, place.as_uri())
    for _ in range(2):
        mirror.update()
    mirror.finish()
    assert list_files(place / "run") == list_files(run)
    assert capsys.readouterr().err.count("programs/00/out/bad is not up to date") == 1


def test_what_cannot_be_listed_is_not_deleted(tmp_path, monkeypatch):
    run, place = make_full(tmp_path / "run", 1), tmp_path / "there"
    monkeypatch.setattr(object_storage, "PROGRAMS_EVERY", 0.0)
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    scandir = os.scandir

    def fail(path):
        if str(path).endswith("out"):
            raise OSError(116, "Stale file handle")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", fail)
        mirror.update()
    assert (place / "run/programs/00/out/model").exists()


def test_the_copy_goes_on_after_any_exception(tmp_path, monkeypatch, capsys):
    run, place = begun(tmp_path / "run", [1]), tmp_path / "there"
    update, errors = Mirror.update, [pa.ArrowNotImplementedError("no"), MemoryError()]

    def fail_first(mirror):
        if errors:
            raise errors.pop()
        update(mirror)

    monkeypatch.setattr(object_storage, "EVERY", 0.01)
    monkeypatch.setattr(Mirror, "update", fail_first)
    with copying(run, place.as_uri()):
        wait_until((place / "run" / "trials" / "checkpoint_1" / "weights").exists)
    assert capsys.readouterr().err.count("not up to date") == 2


def test_deletions_that_fail_are_made_later(tmp_path, capsys):
    run, place = begun(tmp_path / "run", [1, 2, 3]), tmp_path / "there"
    mirror = Mirror(run, place.as_uri())
    mirror.update()
    for number in (1, 2):
        shutil.rmtree(run / f"trials/checkpoint_{number}")
    shutil.rmtree(place / "run/trials/checkpoint_1")  # as where an answer was lost
    for _ in range(2):
        mirror.update()
    assert [path.name for path in (place / "run/trials").iterdir()] == ["checkpoint_3"]
    assert capsys.readouterr().err == ""


def test_storage_that_hangs_does_not_hold_up_the_end_of_a_run(tmp_path, monkeypatch, capfd):
    run = begun(tmp_path / "run", [1])
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        uri = (
            f"s3://a:b@bucket/all?scheme=http&endpoint_override=127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setenv(MIRROR_VARIABLE, uri)
        monkeypatch.setattr(object_storage, "STALLED_S", 1.0)
        with mirror_run(run, ""):
            pass
    said = capfd.readouterr().err
    assert "has not answered for 1 s" in said and "rungwise resume" in said
