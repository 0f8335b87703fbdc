# pyright: basic
"""What a person reads when Ray does not start."""

import os
import subprocess
import sys


def test_a_ray_that_does_not_start_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    code = "from cluster.session import session\nwith session(): pass"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RAY_TMPDIR": str(tmp_path / "file")},  # no folder
        capture_output=True,
        text=True,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "Ray did not start on this machine: " in last and "Not a directory" in last
