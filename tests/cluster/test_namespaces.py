# pyright: basic
"""Sweeps on nodes that share nothing, and what happens to them when a node is lost.

Run by ``make test-cluster``, as root.
"""

import shutil
import signal
import subprocess
import time

import pytest
from live_runs import read_rows
from namespaces import HOME, can_make_nodes, cluster
from programs import RESUMABLE
from waiting import wait_until

from rungwise.run_log.events import (
    CheckpointRow,
    EndRow,
    FindingRow,
    JobEndRow,
    JobRow,
    ResultRow,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_make_nodes(), reason="nodes that share nothing need root"),
]

WORLD = """
import time
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    def step(self, action):
        time.sleep(0.001)
        return super().step(action)

gym.register("Slow-v0", entry_point=Slow, max_episode_steps=200)
"""
JOB = """
env: my_envs:Slow-v0
trials: 4
iterations: 12
checkpoint_interval: 2
scheduler: none
evaluation_episodes: 0
max_failures: 1
settings: {num_envs: 8, rollout_length: 64, minibatch_size: 128}
search: {lr: {loguniform: [1.0e-4, 1.0e-2]}}
"""
OWN = JOB.replace("my_envs:Slow-v0", "CausalOptimisation-v0").replace("64,", "256,")
TRIALS = "00", "01", "02", "03"
PROGRAM = f"""
command: python {HOME}/train.py {{out}} {{x}}
resume: --load {{checkpoint}}
search: {{x: {{uniform: [0, 1]}}}}
scheduler: none
trials: 4
metric: return_mean
mode: max
progress: env_steps
budget: 10
iterations: 10
checkpoint_interval: 1
max_failures: 1
"""


@pytest.fixture
def nodes(tmp_path):
    with cluster(tmp_path, 2) as nodes:
        project = nodes[0].home / "project"
        project.mkdir()
        (project / "my_envs.py").write_text(WORLD)
        (project / "job.yaml").write_text(JOB)
        yield nodes


def start(head, *words, **variables):
    """A command on the head's node, in the folder with the user's module."""
    inside = ["bash", "-c", 'cd project && exec python -m rungwise "$@"', "rungwise", *words]
    environment = {"RAY_ADDRESS": f"{head.address}:6379", **variables}
    said = (head.folder / "said").open("w")
    return subprocess.Popen(head.words(*inside, **environment), stdout=said, stderr=said)


def finish(head, driver):
    status = driver.wait(400)
    said = (head.folder / "said").read_text()
    assert status == 0, said[-4000:]
    return said


def read_scores(run):
    return {(row.trial, row.iteration): row.score for row in read_rows(run, ResultRow)}


def read_repeated(run):
    """How many iterations of each trial ran more than once."""
    rows = [(row.trial, row.iteration) for row in read_rows(run, ResultRow)]
    return {trial: sum(t == trial for t, _ in rows) - 12 for trial, _ in rows}


def test_sweep_on_nodes_that_share_nothing_equals_one_machine(nodes):
    head = nodes[0]
    run, alone = (head.home / "project" / name for name in ("run", "alone"))
    said = finish(head, start(head, "tune", "job.yaml", "--out", "run"))
    assert f"on the Ray at {head.address}:6379" in said
    finish(head, start(head, "tune", "job.yaml", "--out", "alone", "--address", "local"))
    assert not read_rows(run, FindingRow) or {"preempted", "crashed"}.isdisjoint(
        row.symptom for row in read_rows(run, FindingRow)
    )
    for row in read_rows(run, CheckpointRow)[-2:]:
        assert (run / row.path / "manifest.json").is_file()
    scores = read_scores(run)
    assert scores == read_scores(alone) and len(scores) == 48
    assert {row.node for row in read_rows(run, ResultRow)} == {node.address for node in nodes[1:]}
    assert {row.node for row in read_rows(alone, ResultRow)} == {""}


def test_programs_of_a_lost_node_continue_on_another(nodes):
    head, taken, _ = nodes
    for node in nodes:
        (node.home / "train.py").write_text(RESUMABLE.replace("time.sleep(0.1)", "time.sleep(2)"))
    (head.home / "project/job.yaml").write_text(PROGRAM)
    run = head.home / "project/run"
    driver = start(head, "tune", "job.yaml", "--out", "run")
    wait_until(lambda: len(read_rows(run, CheckpointRow)) >= 4, process=driver)
    saved = {row.trial: row.iteration for row in read_rows(run, CheckpointRow)}
    moved = [path.name for path in (taken.home / "project/run/programs").glob("*")]
    assert moved, "no program was on the node"
    lose(taken)
    finish(head, driver)
    for trial in saved:
        log = (run / "programs" / trial / "out/progress.csv").read_text().split()
        rows = [int(line.split(",")[0]) for line in log[1:]]
        assert rows[-1] == 10 and sorted(set(rows)) == list(range(1, 11))
        repeated = len(rows) - 10
        assert repeated <= (2 if trial in moved else 0)
    symptoms = {row.symptom for row in read_rows(run, FindingRow)}
    assert "preempted" in symptoms and "crashed" not in symptoms


def test_results_after_a_lost_node_equal_those_of_one_machine(nodes):
    head, taken, _ = nodes
    (head.home / "project/job.yaml").write_text(OWN)
    run, alone = (head.home / "project" / name for name in ("run", "alone"))
    driver = start(head, "tune", "job.yaml", "--out", "run")
    wait_until(
        lambda: len({row.trial for row in read_rows(run, CheckpointRow)}) == 4, process=driver
    )
    lose(taken)
    finish(head, driver)
    finish(head, start(head, "tune", "job.yaml", "--out", "alone", "--address", "local"))
    assert [row.symptom for row in read_rows(run, FindingRow)].count("preempted") == 2
    assert read_scores(run) == read_scores(alone)


def test_run_on_a_storage_that_hangs_continues_on_another_node(nodes):
    head, other, store = nodes
    (head.home / "project/job.yaml").write_text(
        OWN.replace("256,", "1024,").replace(": 12", ": 32")
    )
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test")
    serving = store.words("moto_server", "-H", store.address, "-p", 5000)
    server = subprocess.Popen(serving, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    place = f"?scheme=http&region=us-east-1&endpoint_override={store.address}:5000"
    make = (
        "from pyarrow import fs; fs.S3FileSystem(allow_bucket_creation=True, scheme='http', "
        f"region='us-east-1', endpoint_override='{store.address}:5000').create_dir('runs')"
    )
    wait_until(lambda: head.run("python", "-c", make, **keys).returncode == 0, 1, server)
    words = "tune", "job.yaml", "--out", "run", "--storage", f"s3://runs/all{place}"
    run, driver = head.home / "project/run", start(head, *words, **keys)
    wait_until(lambda: read_rows(run, CheckpointRow), process=driver)
    (hung,) = (p for p in store.list_processes() if "moto_server" in " ".join(p.cmdline()))
    hung.suspend()
    before = len(read_rows(run, ResultRow))
    time.sleep(60)
    assert len(read_rows(run, ResultRow)) > before + 4 and driver.poll() is None
    hung.resume()
    copy = f"s3://runs/all/run{place}"
    read = ("python", "-m", "rungwise", "fetch", copy, "--out", "seen")

    def is_copied():
        shutil.rmtree(head.home / "seen", ignore_errors=True)
        done = head.run(*read, **keys)
        return not done.returncode and len(read_rows(head.home / "seen", CheckpointRow)) >= 8

    wait_until(is_copied, 2, driver)
    lose(head)
    driver.wait(60)
    resume = ("python", "-m", "rungwise", "resume", copy, "--address", "local", "--cpus", 2)
    resumed = subprocess.Popen(other.words(*resume, **keys), stdout=subprocess.DEVNULL)
    brought = other.home / "runs/run"
    wait_until(lambda: len(read_rows(brought, JobRow)) == 2, 1, resumed)
    saved = {row.trial: row.iteration for row in read_rows(brought, CheckpointRow)}
    num_before = len(read_rows(brought, ResultRow))
    wait_until(lambda: len(read_rows(brought, ResultRow)) > num_before + 1, 1, resumed)
    for row in read_rows(brought, ResultRow)[num_before:][:2]:
        assert row.iteration == saved.get(row.trial, 0) + 1
    resumed.kill()


def lose(node):
    node.lose()


def pause(node):
    node.signal(signal.SIGSTOP)


def unplug(node):
    node.plug("down")


@pytest.mark.parametrize("fault", [lose, pause, unplug])
def test_trials_of_a_lost_node_continue_on_another(nodes, fault):
    head, taken, _ = nodes
    run = head.home / "project/run"
    driver = start(head, "tune", "job.yaml", "--out", "run")
    wait_until(
        lambda: len({row.trial for row in read_rows(run, CheckpointRow)}) == 4, process=driver
    )
    fault(taken)
    finish(head, driver)
    ends = {row.trial: row.reason for row in read_rows(run, EndRow)}
    assert ends == dict.fromkeys(TRIALS, "budget")
    symptoms = [row.symptom for row in read_rows(run, FindingRow)]
    assert symptoms.count("preempted") == 2 and {"crashed", "hung"}.isdisjoint(symptoms)
    assert all(repeated <= 2 for repeated in read_repeated(run).values())
    assert str(HOME) not in "".join(row.evidence for row in read_rows(run, FindingRow))


def test_a_lost_head_ends_the_driver_with_a_sentence(nodes):
    head = nodes[0]
    run = head.home / "project/run"
    driver = start(head, "tune", "job.yaml", "--out", "run")
    wait_until(lambda: read_rows(run, CheckpointRow), process=driver)
    for process in head.list_processes():
        if process.name() == "gcs_server":
            process.kill()
    assert driver.wait(150) == 1
    said = (head.folder / "said").read_text()
    assert "the head of the Ray at" in said and "rungwise resume" in said
    assert "bug in Ray" not in said
    assert {row.reason for row in read_rows(run, JobEndRow)} == {"interrupted"}
