# pyright: basic
"""What several tests of the cluster share."""

import shutil

import pytest
from dashboard_app import desk
from finished_run import write_finished_run
from paths import SUPPORT

from cluster.queue.run_queue import RunQueue


@pytest.fixture
def run(tmp_path):
    """A run of three trials of untrained policies, with two checkpoints each."""
    return write_finished_run(tmp_path / "run")


@pytest.fixture
def project(tmp_path):
    """A user's directory with an environment in my_envs.py."""
    shutil.copy(SUPPORT / "warehouse.py", tmp_path / "my_envs.py")
    return tmp_path


@pytest.fixture
def idle(tmp_path):
    """A service whose queue starts nothing, so that what waits keeps waiting."""
    with desk(tmp_path, RunQueue(tmp_path)) as (_, client):
        yield tmp_path, client
