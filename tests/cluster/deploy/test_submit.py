# pyright: basic
"""A job for a cluster: its files are what the cluster's own rules accept, and are handed over."""

import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml
from command_line import answer, command, rungwise
from jsonschema import Draft202012Validator
from paths import SHARED

from cluster.deploy.cluster_spec import MAX_LENGTHS, TEMPLATE_DIR, ClusterSpec
from cluster.deploy.kubernetes import (
    make_raycluster_manifest,
    make_rayjob_manifest,
    make_rayservice_manifest,
)
from cluster.deploy.submit import (
    load_launcher_file,
    make_slurm_script,
    make_submission_folder,
    run_if_installed,
    submit_job,
)
from envs.validation import InputError
from tune_jobs.jobs.job_yaml import dump_job, load_job, parse_job

CRDS = SHARED / "kuberay_crds.tar.gz"
ON_KUBERNETES = {"name": "sweep", "image": "registry/rungwise:1", "claim": "runs", "nodes": 3}
HOSTILE = "/shared/runs/$(touch sprung)'; touch sprung #\n\"x"


def manifests(**changed):
    cluster = ClusterSpec(**ON_KUBERNETES | changed)
    text = make_rayjob_manifest(
        cluster, dump_job(load_job("cartpole")), Path("/runs/sweep"), "sweep-1"
    )
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def schemas():
    """The schemas as Kubernetes holds them, by kind: what they do not name is refused."""
    if not CRDS.is_file():
        pytest.skip("KubeRay's definitions are not on this machine (shared/data)")
    found = {}
    with tarfile.open(CRDS) as archive:
        for kind in ("RayJob", "RayCluster", "RayService"):
            member = next(m for m in archive if m.name.endswith(f"{kind.lower()}s.yaml"))
            file = archive.extractfile(member)
            assert file is not None
            versions = yaml.load(file, yaml.CSafeLoader)["spec"]["versions"]
            schema = next(v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")
            found[kind] = Draft202012Validator(strict(schema))
    return found


def strict(node):
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if "properties" in node and "x-kubernetes-preserve-unknown-fields" not in node:
            node.setdefault("additionalProperties", False)
    return [strict(one) for one in node] if isinstance(node, list) else node


def rendered(kind, **changed):
    """A manifest, and the part of it that describes the pods."""
    if kind == "RayJob":
        manifest = manifests(**changed)[kind]
        return manifest, manifest["spec"]["rayClusterSpec"]
    cluster = ClusterSpec(**ON_KUBERNETES | changed)
    if kind == "RayCluster":
        text = make_raycluster_manifest(cluster, Path("/runs"))
    else:
        text = make_rayservice_manifest(cluster, Path("/runs/sweep/checkpoint_000002"))
    manifest, policy = yaml.safe_load_all(text)
    assert (manifest["kind"], policy["kind"]) == (kind, "NetworkPolicy")
    pods = manifest["spec"] if kind == "RayCluster" else manifest["spec"]["rayClusterConfig"]
    return manifest, pods


KINDS = pytest.mark.parametrize("kind", ["RayJob", "RayCluster", "RayService"])


@KINDS
def test_a_manifest_is_what_kuberay_accepts_and_a_typo_is_not(schemas, kind):
    manifest, pods = rendered(kind, gpus=2)
    assert [error.message for error in schemas[kind].iter_errors(manifest)] == []
    pods["headGroupSpec"]["rayStartParms"] = {}
    assert any("rayStartParms" in error.message for error in schemas[kind].iter_errors(manifest))


@KINDS
def test_workers_with_gpus_come_and_go_with_the_work_and_a_token_is_asked_for(kind):
    _, pods = rendered(kind, gpus=2, nodes=5)
    (workers,) = pods["workerGroupSpecs"]
    assert pods["enableInTreeAutoscaling"] and pods["authOptions"] == {"mode": "token"}
    assert (workers["minReplicas"], workers["maxReplicas"]) == (0, 4)
    assert limits_of(workers)["nvidia.com/gpu"] == "2"


def limits_of(group):
    return group["template"]["spec"]["containers"][0]["resources"]["limits"]


@pytest.mark.parametrize("kind", ["RayCluster", "RayService"])
def test_what_stays_outlives_its_head(kind, schemas):
    kept = rendered(kind)[1]["gcsFaultToleranceOptions"]
    assert kept == {"backend": "rocksdb", "storage": {"size": "1Gi"}}
    manifest, pods = rendered(kind, redis="redis:6379")
    assert pods["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"
    assert [error.message for error in schemas[kind].iter_errors(manifest)] == []


def test_the_served_policy_has_its_token_from_a_secret_and_its_checkpoint_from_the_config():
    manifest, pods = rendered("RayService")
    (app,) = yaml.safe_load(manifest["spec"]["serveConfigV2"])["applications"]
    module, _, name = app["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert app["args"] == {"checkpoint": "/runs/sweep/checkpoint_000002"}
    for group in (pods["headGroupSpec"], *pods["workerGroupSpecs"]):
        (variable,) = group["template"]["spec"]["containers"][0]["env"]
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "sweep-token"
        assert variable["name"] == "RUNGWISE_TOKEN"


def test_the_command_writes_a_standing_cluster_and_a_served_policy(tmp_path):
    words = ("--image", "i:1", "--claim", "c", "--render", "--json")
    told = answer(rungwise("deploy", *words, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["raycluster.yaml"]
    told = answer(rungwise("deploy", "/runs/x/checkpoint_000001", *words, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["rayservice.yaml"]
    done = rungwise("deploy", "--claim", "c", "--render", cwd=tmp_path)
    assert done.returncode == 2 and "--image" in done.stderr


def test_the_rayjob_asks_for_what_the_cluster_has_and_for_a_token():
    spec = manifests(gpus=2, cpus=6)["RayJob"]["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    (workers,) = spec["workerGroupSpecs"]
    assert workers["maxReplicas"] == 2
    for group in (spec["headGroupSpec"], workers):
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits == {"cpu": "6", "memory": "32Gi", "nvidia.com/gpu": "2"}


def test_the_job_arrives_in_the_cluster_as_it_is():
    job = load_job("cartpole")
    told = manifests()["ConfigMap"]["data"]["job.yaml"]
    assert parse_job(told, "job.yaml") == job


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


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "My Job"}, "lower-case letters"),
        ({"namespace": "a;b"}, "lower-case letters"),
        ({"nodes": 0}, "nodes"),
        ({"setup": "a\nrm -rf /"}, "one line"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        ClusterSpec(**changed)


def test_a_slurm_script_is_sound_bash_and_asks_for_the_cluster(tmp_path):
    cluster = ClusterSpec(nodes=2, cpus=4, gpus=1, hours=1.5, partition="short", setup="true")
    script = make_slurm_script(cluster, tmp_path / "job.yaml", tmp_path / "run")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    asked = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    for option in ("--nodes=2", "--time=90", "--gpus-per-node=1", "--partition=short", "--requeue"):
        assert f"#SBATCH {option}" in asked


def test_the_launcher_file_that_we_ship_is_accepted_by_ray_and_a_typo_is_not(tmp_path):
    assert load_launcher_file(TEMPLATE_DIR / "launcher.yaml")["provider"]["type"] == "local"
    typo = tmp_path / "typo.yaml"
    typo.write_text((TEMPLATE_DIR / "launcher.yaml").read_text() + "head_node_typo: {}\n")
    with pytest.raises(InputError, match="head_node_typo"):
        load_launcher_file(typo)
    with pytest.raises(InputError, match="fill it in"):
        load_launcher_file(tmp_path / "none.yaml")


def test_the_command_writes_the_files_and_says_what_is_left(tmp_path):
    run = ("--run", "/shared/runs/sweep", "--render", "--json")
    told = answer(rungwise("submit", "cartpole", "--slurm", *run, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["job.yaml", "slurm.sh"]
    script = Path(told["files"][1])
    assert told["commands_left"] == [f"sbatch {script}"]
    assert script.parent.parent == tmp_path / "submitted"
    neither = rungwise("submit", "cartpole", *run, cwd=tmp_path)
    assert neither.returncode == 2 and "exactly one of" in neither.stderr


def test_every_submission_has_files_of_its_own_that_no_later_one_changes(tmp_path):
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


def test_the_longest_name_leaves_room_for_the_time_of_the_submission(tmp_path):
    assert (
        len(make_submission_folder(tmp_path, "a" * MAX_LENGTHS["name"]).name) <= 47
    )  # KubeRay's limit
    with pytest.raises(InputError, match="at most 30"):
        ClusterSpec(name="a" * (MAX_LENGTHS["name"] + 1))


def test_a_tool_that_refuses_is_quoted():
    assert run_if_installed(["no-such-tool-here"]) is None
    with pytest.raises(InputError, match="failed: nothing to be had"):
        run_if_installed(["sh", "-c", "echo nothing to be had >&2; exit 3"])


# A real SLURM of one node, as root and alone: it is a cluster of its own and touches no other.


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
        idle = ["sinfo", "-h", "-o", "%t"]
        while (
            "idle"
            not in subprocess.run(
                idle, env=environment, capture_output=True, text=True
            ).stdout.split()
        ):
            if time.monotonic() > until:
                logs = [p.read_text()[-500:] for p in place.glob("*.log")]
                pytest.skip(f"SLURM does not start here: {logs}")
            time.sleep(0.5)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)


def ended(environment, number, seconds):
    """How a SLURM job ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        shown = subprocess.run(
            ["scontrol", "show", "job", number], env=environment, capture_output=True, text=True
        ).stdout
        state = shown.partition("JobState=")[2].partition(" ")[0]
        if state not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"):
            return state
        time.sleep(1)
    return "still running"


def batch(environment, tmp_path, run, job="cartpole"):
    """Submit by the command; the job's number."""
    setup = f"export PATH={Path(sys.executable).parent}:$PATH HOME={tmp_path}"
    words = ("--run", run, "--name", run.name, "--cpus", 1, "--memory-gib", 1, "--hours", 0.5)
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
def test_a_job_runs_under_a_real_slurm_and_a_failed_start_is_failed(slurm_cluster, tmp_path):
    job = tmp_path / "tiny.yaml"
    job.write_text("env: CartPole-v1\nalgo: ppo\niterations: 2\nevaluation_episodes: 0\n")
    good = batch(slurm_cluster, tmp_path, tmp_path / "good", job)
    # Two on one node: the end of neither touches the other.
    other = batch(slurm_cluster, tmp_path, tmp_path / "other", job)
    for number, run in ((good, "good"), (other, "other")):
        log = tmp_path / f"{run}.log"
        state = ended(slurm_cluster, number, 400)
        assert state == "COMPLETED", log.read_text()[-3000:] if log.exists() else state
        assert (tmp_path / run / "report.html").is_file()
    # Its directory is used and holds no run: nothing can start there.
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "something").write_text("")
    assert ended(slurm_cluster, batch(slurm_cluster, tmp_path, tmp_path / "bad", job), 400) == (
        "FAILED"
    )
