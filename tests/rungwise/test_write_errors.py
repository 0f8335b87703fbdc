# pyright: basic
"""Files that cannot be written: what was called for is refused, what repeats a result is not."""

import errno
import os

import pytest

from rungwise.validation import InputError, InputWarning
from rungwise.write_errors import refuse_unwritable, warn_of_unwritable


def test_a_path_that_cannot_be_written_is_refused_with_its_flag(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "folder"
    with pytest.raises(InputError) as refused, refuse_unwritable(path):
        path.mkdir(parents=True)
    cause = os.strerror(errno.ENOTDIR)
    assert str(refused.value) == (
        f"{path} cannot be written ({cause}): choose another place with --out."
    )


def test_what_is_lost_with_a_full_disk_is_said(tmp_path):
    with (
        pytest.warns(InputWarning, match=r"page cannot be written \(No space .*\): free some\."),
        warn_of_unwritable(tmp_path / "page", "free some"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_error_that_has_only_a_text_is_said_too(tmp_path):
    with (
        pytest.warns(InputWarning, match=r"page cannot be written \(half a row\): free some\."),
        warn_of_unwritable(tmp_path / "page", "free some"),
    ):
        raise OSError("half a row")
