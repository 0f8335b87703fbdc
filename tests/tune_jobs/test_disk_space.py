# pyright: basic
"""The disk of a run: checked before the start, and named when it is full."""

import errno
import shutil

import pytest

from rungwise.validation import InputError
from tune_jobs.disk_space import DiskFullError, report_full_disk
from tune_jobs.session.prepare import claim_run_directory


def test_a_nearly_full_disk_is_said_before_the_start(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    with pytest.raises(InputError, match="Only 1 MiB are free"):
        claim_run_directory(tmp_path / "run")


def test_a_full_disk_is_found_among_the_causes_of_an_error(tmp_path):
    with pytest.raises(DiskFullError, match="rungwise resume"), report_full_disk(tmp_path):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("Tune failed") from error


def test_an_error_on_a_disk_with_space_is_left_as_it_is(tmp_path):
    with pytest.raises(RuntimeError, match="Tune failed"), report_full_disk(tmp_path):
        raise RuntimeError("Tune failed")
