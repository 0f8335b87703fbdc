# pyright: basic
"""A job for a cluster: its files are what the cluster's own rules accept, and are handed over."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from command_line import answer, command
from live_runs import read_rows
from waiting import wait_until

from cluster.deploy.cluster_spec import MAX_LENGTHS, TEMPLATE_DIR, ClusterSpec
from cluster.deploy.kubernetes import make_rayjob_manifest
from cluster.deploy.submit import (
    load_launcher_file,
    make_slurm_script,
    make_submission_folder,
    run_if_installed,
    submit_job,
)
from rungwise.run_log.events import JobRow, ResultRow
from rungwise.validation import InputError

ON_KUBERNETES = {"name": "sweep", "image": "registry/rungwise:1", "claim": "runs", "nodes": 3}


HOSTILE = "/shared/runs/$(touch sprung)'; touch sprung #\n\"x"


def test_nothing_in_a_path_becomes_a_command(tmp_path):
    script = make_slurm_script(ClusterSpec(), tmp_path / "job.yaml", Path(HOSTILE))
    line = next(line for line in script.splitlines() if line.startswith("export RUN="))
    rest = script[script.index(line) :].partition(" JOB=")[0]
    done = subprocess.run(
        ["bash", "-c", f'{rest}; printf %s "$RUN"'], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == HOSTILE and not (tmp_path / "sprung").exists()
    text = make_rayjob_manifest(
        ClusterSpec(**ON_KUBERNETES), "a: 1\n---\nb: 2\n", Path(HOSTILE), "sweep-1"
    )
    documents = list(yaml.safe_load_all(text))
    assert [d["kind"] for d in documents] == ["ConfigMap", "RayJob", "NetworkPolicy"]


def test_a_slurm_script_is_sound_bash_and_asks_for_the_cluster(tmp_path):
    cluster = ClusterSpec(nodes=2, cpus=4, gpus=1, hours=1.5, partition="short", setup="true")
    script = make_slurm_script(cluster, tmp_path / "job.yaml", tmp_path / "run")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    asked = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    for option in ("--nodes=2", "--time=90", "--gpus-per-node=1", "--partition=short", "--requeue"):
        assert f"#SBATCH {option}" in asked


def test_ray_accepts_the_launcher_file_and_refuses_a_typo(tmp_path):
    assert load_launcher_file(TEMPLATE_DIR / "launcher.yaml")["provider"]["type"] == "local"
    typo = tmp_path / "typo.yaml"
    typo.write_text((TEMPLATE_DIR / "launcher.yaml").read_text() + "head_node_typo: {}\n")
    with pytest.raises(InputError, match="head_node_typo"):
        load_launcher_file(typo)
    with pytest.raises(InputError, match="fill it in"):
        load_launcher_file(tmp_path / "none.yaml")


def test_no_later_submission_changes_the_files_of_another(tmp_path):
    def submit(job, where="slurm"):
        given = (Path("/shared/runs/a"), cluster, tmp_path, where, "")
        return submit_job(job, *given, submit=False)

    cluster = ClusterSpec(**ON_KUBERNETES)
    first = submit("cartpole")
    before = {path: Path(path).read_text() for path in first["files"]}
    others = [submit("causal"), submit("causal", "kuberay"), submit("causal", "kuberay")]
    folders = {Path(told["files"][0]).parent for told in (first, *others)}
    assert len(folders) == 4 and all(folder.name.startswith("sweep-") for folder in folders)
    assert {path: Path(path).read_text() for path in first["files"]} == before
    # Objects on Kubernetes are named after the folder, and are never replaced by others.
    for told in others[1:]:
        documents = list(yaml.safe_load_all(Path(told["files"][1]).read_text()))
        folder = Path(told["files"][0]).parent.name
        assert {d["metadata"]["name"] for d in documents} == {folder, f"{folder}-job"}
        assert told["commands_left"] == [f"kubectl create -f {told['files'][1]}"]


def test_the_longest_name_leaves_room_for_the_time(tmp_path):
    assert (
        len(make_submission_folder(tmp_path, "a" * MAX_LENGTHS["name"]).name) <= 47
    )  # KubeRay's limit
    with pytest.raises(InputError, match="at most 30"):
        ClusterSpec(name="a" * (MAX_LENGTHS["name"] + 1))


def test_a_tool_that_refuses_is_quoted():
    assert run_if_installed(["no-such-tool-here"]) is None
    with pytest.raises(InputError, match="failed: nothing to be had"):
        run_if_installed(["sh", "-c", "echo nothing to be had >&2; exit 3"])


SLOW = """
import time
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    def step(self, action):
        time.sleep(0.004)
        return super().step(action)

gym.register("Slow-v0", entry_point=Slow, max_episode_steps=200)
"""


@pytest.fixture(scope="module")
def slurm_cluster(tmp_path_factory):
    tools = ("slurmctld", "slurmd", "munged", "sbatch", "unshare")
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in tools):
        pytest.skip("no SLURM on this machine (apt-get install slurm-wlm munge, as root)")
    if shutil.which("squeue") and subprocess.run(["squeue"], capture_output=True).returncode == 0:
        pytest.skip("a SLURM runs on this machine, which is left alone")
    place = tmp_path_factory.mktemp("slurm")
    host = os.uname().nodename.partition(".")[0]
    (place / "slurm.conf").write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
SlurmctldPort=26817
SlurmdPort=26818
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=60 State=UP OverSubscribe=FORCE:4
""")
    for folder in ("state", "spool"):
        (place / folder).mkdir()
    key = place / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    environment = os.environ | {"SLURM_CONF": str(place / "slurm.conf")}
    munged = ["munged", "--force", f"--key-file={key}", f"--socket={place}/munge.socket"]
    munged += [f"--{what}-file={place}/munge.{what}" for what in ("pid", "log", "seed")]
    daemons = []
    try:
        for words in ([*munged, "--foreground"], ["slurmctld", "-D"], ["slurmd", "-D"]):
            daemons.append(
                subprocess.Popen(
                    words,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=(place / f"{words[0]}.err").open("w"),
                )
            )
            time.sleep(1)
        until = time.monotonic() + 60
        ask = ["sinfo", "-h", "-o", "%t"]
        while b"idle" not in subprocess.run(ask, env=environment, capture_output=True).stdout:
            if time.monotonic() > until:
                logs = [p.read_text()[-500:] for p in place.glob("*.log")]
                pytest.skip(f"SLURM does not start here: {logs}")
            time.sleep(0.5)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


def ended(environment, number):
    """How a SLURM job ended."""
    show = ["scontrol", "show", "job", number]

    def find_end():
        shown = subprocess.run(show, env=environment, capture_output=True, text=True).stdout
        state = shown.partition("JobState=")[2].partition(" ")[0]
        return state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING") and state

    return wait_until(find_end, 1)


def batch(environment, tmp_path, run, job="cartpole", hours=0.5):
    """Submit by the command; the job's number."""
    setup = f"export PATH={Path(sys.executable).parent}:$PATH HOME={tmp_path}"
    words = ("--run", run, "--name", run.name, "--cpus", 1, "--memory-gib", 1)
    words += ("--hours", hours)
    done = subprocess.run(
        command("submit", job, "--slurm", *words, "--setup", setup, "--json"),
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return answer(done)["messages"][0].split()[-1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_runs_under_slurm_and_a_failed_start_fails(slurm_cluster, tmp_path):
    job = tmp_path / "tiny.yaml"
    job.write_text("env: CartPole-v1\nalgo: ppo\niterations: 2\nevaluation_episodes: 0\n")
    good = batch(slurm_cluster, tmp_path, tmp_path / "good", job)
    # Two on one node: the end of neither touches the other.
    other = batch(slurm_cluster, tmp_path, tmp_path / "other", job)
    for number, run in ((good, "good"), (other, "other")):
        log = tmp_path / f"{run}.log"
        state = ended(slurm_cluster, number)
        assert state == "COMPLETED", log.read_text()[-3000:] if log.exists() else state
        assert (tmp_path / run / "report.html").is_file()
    # Its directory is used and holds no run: nothing can start there.
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "something").write_text("")
    assert ended(slurm_cluster, batch(slurm_cluster, tmp_path, tmp_path / "bad", job)) == "FAILED"


@pytest.mark.slow
@pytest.mark.timeout(1100)
def test_job_at_its_time_limit_is_queued_again_and_continues(slurm_cluster, tmp_path):
    (tmp_path / "slow_envs.py").write_text(SLOW)
    job = tmp_path / "long.yaml"
    # Two seconds an iteration: a job of five minutes is stopped after two, and needs another.
    job.write_text(
        "env: slow_envs:Slow-v0\niterations: 60\ncheckpoint_interval: 1\nobserve: true\n"
        "evaluation_episodes: 0\n"
        "settings: {num_envs: 8, rollout_length: 64, minibatch_size: 128}\n"
    )
    run = tmp_path / "run"
    number = batch(slurm_cluster, tmp_path, run, job, hours=5 / 60)
    state = ended(slurm_cluster, number)
    assert state == "COMPLETED", (tmp_path / "run.log").read_text()[-3000:]
    sessions, rows = read_rows(run, JobRow), read_rows(run, ResultRow)
    iterations = [row.iteration for row in rows]
    assert len(sessions) >= 2 and sorted(set(iterations)) == list(range(1, 61))
    assert len(iterations) <= 60 + 2 * len(sessions), "only what followed a checkpoint is repeated"
