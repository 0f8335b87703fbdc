# pyright: basic
"""What a person reads when Ray does not start, and who may read the token that it asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from command_line import call
from paths import ROOT

from cluster.queue.run_queue import RunQueue
from rungwise.validation import InputError
from tune_jobs import ray_session
from tune_jobs.ray_session import (
    MOST_PER_CORE,
    check_address,
    ensure_private_ray_token,
    offered_cpus,
)


def test_a_ray_that_does_not_start_is_told_in_a_sentence(tmp_path):
    code = "from tune_jobs.ray_session import ray_session\nwith ray_session(): pass"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"RAY_TMPDIR": "/dev/null", "HOME": str(tmp_path)},  # no folder
        capture_output=True,
        text=True,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "Ray did not start on this machine: " in last and "Not a directory" in last
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


SLOW_ONCE = """
import time
import psutil
import ray
from ray._private import node, services

real, late = services.get_node, [True]

class Later:
    def monotonic(self):
        node.time = time
        return time.monotonic() + 1000.0

def get_node(*args, **kwargs):
    if not late:
        return real(*args, **kwargs)
    late.clear()
    node.time = Later()
    raise RuntimeError("its processes have not registered yet")

services.get_node = get_node
from tune_jobs.ray_session import ray_session
with ray_session(cpus=1):
    heads = [p for p in psutil.Process().children() if p.name() == "gcs_server"]
    alive = [p for p in heads if p.status() != psutil.STATUS_ZOMBIE]
    print(ray.cluster_resources()["CPU"], len(alive))
"""


def test_ray_has_a_folder_in_which_paths_of_sockets_are_allowed(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/scratch")
    assert ray_session.find_ray_folder() == "/scratch/ray"
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", "/scratch/" + 60 * "x")
    assert ray_session.find_ray_folder() == "/tmp/ray"


@pytest.mark.system
def test_ray_starts_with_a_long_folder_for_temporary_files(tmp_path):
    folder = tmp_path / (90 * "x")
    folder.mkdir()
    code = "from tune_jobs.ray_session import ray_session\nwith ray_session(cpus=1): print('up')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "up", done.stderr[-2000:]


@pytest.mark.system
def test_workers_of_a_joined_ray_find_what_is_on_pythonpath(local_ray, tmp_path):
    """As the module of an environment, where a run is resumed from another folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "only_here.py").write_text("PLACE = 'found'\n")
    code = (
        "import ray, sys\n"
        "from tune_jobs.ray_session import ray_session\n"
        "with ray_session(sys.argv[1]):\n"
        "    read = ray.remote(lambda: __import__('only_here').PLACE)\n"
        "    print(ray.get(read.remote()))\n"
    )
    path = os.pathsep.join([str(tmp_path / "mine"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code, ray.get_runtime_context().gcs_address],
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "found", done.stderr[-2000:]


@pytest.mark.system
def test_a_ray_that_starts_too_slowly_is_started_once_more():
    """Ray's own processes are started, and its clock jumps while it waits; none is left over."""
    done = subprocess.run([sys.executable, "-c", SLOW_ONCE], capture_output=True, text=True)
    assert done.stdout.strip() == "1.0 1", done.stderr[-2000:]


def test_the_token_of_ray_is_for_its_owner_only_whoever_made_it(tmp_path):
    path = tmp_path / ".ray" / "auth_token"
    ensure_private_ray_token(path)
    token = path.read_text()
    assert len(token) == 64
    path.chmod(0o644)  # as Ray makes it
    ensure_private_ray_token(path)
    assert path.read_text() == token and path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("cpus", "said"),
    [(0, "at least 1, but it is 0"), (-2, "at least 1"), (9999, "9,999, but this machine has 2")],
)
def test_cpus_with_which_ray_would_hang_or_choke_are_refused(cpus, said, monkeypatch):
    monkeypatch.setattr(ray_session, "count_cores", lambda: 2)
    with pytest.raises(InputError, match=said):
        offered_cpus(cpus)
    with pytest.raises(InputError, match=said):
        RunQueue(Path("runs"), cpus=cpus)


def test_addresses_of_other_kinds_are_left_to_ray():
    for address in ("auto", "other://nowhere:6379"):
        check_address(address)
    with pytest.raises(InputError, match="no Ray to join at ray://no such host:6379"):
        check_address("ray://no such host:6379")


def test_cpus_may_exceed_the_cores_a_little_and_default_to_them(monkeypatch):
    monkeypatch.setattr(ray_session, "count_cores", lambda: 2)
    assert [offered_cpus(n) for n in (None, 1, 3, 2 * MOST_PER_CORE)] == [2, 1, 3, 16]


def test_a_service_that_would_begin_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="--at-once must be at least 1"):
        RunQueue(tmp_path, at_once=0)


def test_commands_refuse_zero_cpus_before_making_a_directory(tmp_path):
    done = call("train", "cartpole", "--cpus", 0, "--out", "run", cwd=tmp_path)
    assert done.returncode == 2 and "--cpus must be at least 1" in done.stderr
    assert not (tmp_path / "run").exists()
