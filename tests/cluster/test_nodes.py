# pyright: basic
"""A sweep over several nodes: it spreads, and neither a node nor the head's memory is missed.

Each node has a GPU that exists only in Ray's books. A trial holds one and half of a node's only
CPU: by CPUs alone two trials would share a node.
"""

import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import psutil
import pytest
import torch
from command_line import command
from live_runs import read_rows
from paths import ROOT, SUPPORT
from programs import RARE_JOB
from waiting import find_free_port, wait_until

from rungwise.run_log.events import CheckpointRow, EndRow, FindingRow, JobEndRow, ResultRow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = {"00", "01", "02"}
JOB = """
env: CartPole-v1
trials: 3
iterations: {iterations}
checkpoint_interval: 1
scheduler: none
evaluation_episodes: 0
cpus_per_trial: 0.5
gpus_per_trial: 1
search:
  lr: {{loguniform: [1.0e-4, 1.0e-3]}}
"""
ANOTHER_HOST = "import socket\nsocket.gethostname = lambda: 'another-host'\n"


@contextmanager
def nodes(place, count=3, **environment):
    """A cluster that asks for a token; the environment of its drivers, and what to tell it."""
    token = place / "ray_token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    environment = (
        os.environ
        | environment
        | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    )
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "nodes.py"), str(count)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(place / "nodes.log").open("w"),
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None

    def answered():
        for line in process.stdout or []:
            if line.startswith(("[", '"', *"0123456789")):
                return json.loads(line)
        raise AssertionError((place / "nodes.log").read_text()[-3000:])

    def tell(words):
        assert process.stdin is not None
        process.stdin.write(words + "\n")
        process.stdin.flush()
        return answered()

    try:
        yield environment | {"ADDRESS": answered()}, tell
    finally:
        process.stdin.close()
        process.wait(120)


@contextmanager
def sweep(place, environment, iterations):
    """A sweep of three trials under way; its directory and its process."""
    (place / "job.yaml").write_text(JOB.format(iterations=iterations))
    words = ("tune", "job.yaml", "--out", "run", "--address", environment["ADDRESS"])
    with (place / "tune.log").open("w") as said:
        process = subprocess.Popen(
            command(*words), cwd=place, env=environment, stdout=said, stderr=said
        )
        try:
            yield place / "run", process
        finally:
            process.kill()
            process.wait(60)


def all_saved(run):
    return {row.trial for row in read_rows(run, CheckpointRow)} == NAMES


def find_reasons(run):
    return {row.trial: row.reason for row in read_rows(run, EndRow)}


def test_trials_of_a_killed_node_continue_on_others(tmp_path):
    with nodes(tmp_path) as (environment, tell), sweep(tmp_path, environment, 40) as (run, driver):
        wait_until(lambda: all_saved(run), process=driver)
        where = tell("where")
        assert [len(trials) for trials in where] == [1, 1, 1]
        before = len(read_rows(run, ResultRow))
        saved = {row.trial: row.iteration for row in read_rows(run, CheckpointRow)}
        tell("kill 0")
        assert driver.wait(400) == 0, (tmp_path / "tune.log").read_text()[-3000:]
    assert find_reasons(run) == dict.fromkeys(saved, "budget")
    (moved,) = {row.trial for row in read_rows(run, FindingRow) if row.symptom == "preempted"}
    if not torch.backends.cuda.is_built():
        idle = {row.trial for row in read_rows(run, FindingRow) if row.symptom == "idle_gpu"}
        assert idle == set(saved), "a GPU that torch cannot use is named"
    rows = [row.iteration for row in read_rows(run, ResultRow) if row.trial == moved]
    back = [later for earlier, later in itertools.pairwise(rows) if later <= earlier]
    # Nothing was run twice but what came after the last checkpoint, which is one iteration here.
    assert len(back) <= 1 and len(rows) <= 41 and rows[-1] == 40
    assert before < 3 * 40


@pytest.fixture(params=["rocksdb", "redis"])
def memory(request, tmp_path):
    """Where the head keeps what must outlive it, as Ray's variables say it."""
    if request.param == "rocksdb":
        yield {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(tmp_path / "gcs")}
        return
    if shutil.which("redis-server") is None:
        pytest.skip("no Redis on this machine (apt-get install redis-server)")
    port = find_free_port()
    words = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path]
    server = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL)
    try:
        yield {"RAY_REDIS_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        server.terminate()
        server.wait(20)


def test_a_restarted_head_loses_nothing(tmp_path, memory):
    with (
        nodes(tmp_path, **memory) as (environment, tell),
        sweep(tmp_path, environment, 40) as (run, driver),
    ):
        wait_until(lambda: all_saved(run), process=driver)
        assert tell("gcs") < 30
        assert driver.wait(500) == 0, (tmp_path / "tune.log").read_text()[-3000:]
    assert [row.reason for row in read_rows(run, EndRow)] == ["budget"] * 3
    for trial in ("00", "01", "02"):
        rows = [row.iteration for row in read_rows(run, ResultRow) if row.trial == trial]
        assert rows == list(range(1, 41)), "an iteration was lost or run twice"
    assert {row.symptom for row in read_rows(run, FindingRow)}.isdisjoint({"crashed", "hung"})


def test_a_job_is_handed_to_a_ray_that_runs(tmp_path):
    (tmp_path / "job.yaml").write_text(JOB.format(iterations=2))
    run = tmp_path / "run"
    with nodes(tmp_path, 1) as (environment, tell):
        words = ("submit", "job.yaml", "--to", tell("page"), "--run", run)
        submitted = subprocess.Popen(command(*words), cwd=tmp_path, env=environment)
        assert submitted.wait(120) == 0
        wait_until(lambda: read_rows(run, JobEndRow))
    assert find_reasons(run) == dict.fromkeys(NAMES, "budget")


def test_a_job_handed_over_finds_the_environments_of_a_folder_named_envs(tmp_path):
    folder = tmp_path / "project" / "envs"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    entry = "gymnasium.envs.classic_control:CartPoleEnv"
    (folder / "carts.py").write_text(
        f'import gymnasium\ngymnasium.register("Cart-v0", "{entry}", max_episode_steps=50)\n'
    )
    job = JOB.format(iterations=1).replace("CartPole-v1", "envs.carts:Cart-v0")
    (tmp_path / "job.yaml").write_text(job)
    run, path = tmp_path / "run", os.pathsep.join(map(str, (folder.parent, ROOT)))
    with nodes(tmp_path, 1, PYTHONPATH=path) as (environment, tell):
        words = ("submit", "job.yaml", "--to", tell("page"), "--run", run)
        assert subprocess.run(command(*words), cwd=tmp_path, env=environment).returncode == 0
        wait_until(lambda: read_rows(run, JobEndRow))
    assert find_reasons(run) == dict.fromkeys(NAMES, "budget")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_programs_on_other_hosts_end_with_the_driver(tmp_path, number):
    (tmp_path / "job.yaml").write_text(RARE_JOB)
    (tmp_path / "host").mkdir()
    (tmp_path / "host/sitecustomize.py").write_text(ANOTHER_HOST)
    here = os.environ.get("PYTHONPATH", "")
    there = os.pathsep.join([str(tmp_path / "host"), here])
    with nodes(tmp_path, 2, PYTHONPATH=there) as (environment, _):
        words = ("tune", "job.yaml", "--out", "run", "--address", environment["ADDRESS"])
        driver = subprocess.Popen(
            command(*words), cwd=tmp_path, env=environment | {"PYTHONPATH": here}
        )
        wait_until(lambda: len(read_rows(tmp_path / "run", ResultRow)) == 2, process=driver)
        assert list_programs(tmp_path / "run")
        driver.send_signal(number)
        driver.wait()
        wait_until(lambda: not list_programs(tmp_path / "run"))


def list_programs(run):
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [words for words in lines if any(f"{run}/programs" in word for word in words)]
