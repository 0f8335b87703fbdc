# pyright: basic
"""What a person reads when Ray does not start, and who may read the token that it asks for."""

import os
import subprocess
import sys

from cluster.session import keep_token_secret


def test_a_ray_that_does_not_start_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    code = "from cluster.session import session\nwith session(): pass"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RAY_TMPDIR": str(tmp_path / "file"), "HOME": str(tmp_path)},  # no folder
        capture_output=True,
        text=True,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "Ray did not start on this machine: " in last and "Not a directory" in last
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


def test_the_token_of_ray_is_for_its_owner_only_whoever_made_it(tmp_path):
    path = tmp_path / ".ray" / "auth_token"
    keep_token_secret(path)
    token = path.read_text()
    assert len(token) == 64
    path.chmod(0o644)  # as Ray makes it
    keep_token_secret(path)
    assert path.read_text() == token and path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
