# pyright: basic
"""The commands that write the files of clusters."""

import stat
from pathlib import Path

import pytest
import yaml
from command_line import answer, call


def test_deploy_writes_a_standing_cluster_and_a_served_policy(tmp_path):
    words = ("--image", "i:1", "--claim", "c", "--render", "--json")
    told = answer(call("deploy", *words, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["raycluster.yaml"]
    told = answer(call("deploy", "/runs/x/checkpoint_000001", *words, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["rayservice.yaml"]
    done = call("deploy", "--claim", "c", "--render", cwd=tmp_path)
    assert done.returncode == 2 and "--image" in done.stderr


def test_the_command_writes_the_files_and_says_what_is_left(tmp_path):
    run = ("--run", "/shared/runs/sweep", "--render", "--json")
    told = answer(call("submit", "cartpole", "--slurm", *run, cwd=tmp_path))
    assert [Path(f).name for f in told["files"]] == ["job.yaml", "slurm.sh"]
    script = Path(told["files"][1])
    assert told["commands_left"] == [f"sbatch {script}"]
    assert script.parent.parent == tmp_path / "submitted"
    neither = call("submit", "cartpole", *run, cwd=tmp_path)
    assert neither.returncode == 2 and "exactly one of" in neither.stderr


SECRETS = {
    "notify.yaml": "env: CartPole-v1\nnotify: https://example.org/s3cret\n",
    "program.yaml": "command: 'true {out}'\nenvironment: {KEY: s3cret}\n",
}
ON_KUBERNETES = ("--image", "i:1", "--claim", "c", "--render", "--json")


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("where", [("--slurm", *ON_KUBERNETES), ("--kuberay", *ON_KUBERNETES)])
def test_only_the_owner_can_read_the_secrets_of_a_job(tmp_path, name, where):
    (tmp_path / name).write_text(SECRETS[name])
    told = answer(call("submit", name, "--run", "/runs/a", *where, cwd=tmp_path))
    holding = [file for file in map(Path, told["files"]) if "s3cret" in file.read_text()]
    assert holding, "the job is handed over as it is"
    assert {stat.S_IMODE(file.stat().st_mode) for file in holding} == {0o600}
    for file in holding[1:]:
        kinds = {d["kind"]: d for d in yaml.safe_load_all(file.read_text())}
        job = yaml.safe_load(kinds["Secret"]["stringData"]["job.yaml"])
        assert "s3cret" in str(job) and "ConfigMap" not in kinds
        pods = kinds["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
        assert {"name": "job", "secret": {"secretName": kinds["Secret"]["metadata"]["name"]}} in (
            pods["volumes"]
        )


def test_others_can_read_a_job_without_secrets(tmp_path):
    words = ("--slurm", "--run", "/runs/a", "--render", "--json")
    told = answer(call("submit", "cartpole", *words, cwd=tmp_path))
    (plain := tmp_path / "plain").write_text("")
    assert {Path(file).stat().st_mode for file in told["files"]} == {plain.stat().st_mode}


def test_ray_is_given_no_address_of_messages(tmp_path):
    (tmp_path / "notify.yaml").write_text(SECRETS["notify.yaml"])
    words = ("notify.yaml", "--run", "/runs/a", "--to", "http://127.0.0.1:9")
    done = call("submit", *words, cwd=tmp_path)
    assert done.returncode == 2 and "RUNGWISE_NOTIFY" in done.stderr
    assert "s3cret" not in done.stderr and not (tmp_path / "submitted").exists()


@pytest.mark.parametrize(
    ("run", "storage"),
    [("/runs/exp1", ()), ("/runs/team/exp1", ()), ("/a/b/c", ("--mount", "/a"))],
)
def test_a_checkpoint_is_served_from_where_its_run_wrote_it(tmp_path, run, storage):
    words = (*ON_KUBERNETES, *storage)
    told = answer(call("submit", "cartpole", "--kuberay", "--run", run, *words, cwd=tmp_path))
    checkpoint = f"{run}/trials/session-0/00/checkpoint_000003"
    served = answer(call("deploy", checkpoint, *words, cwd=tmp_path))
    cluster = answer(call("deploy", *words, cwd=tmp_path))
    mounts = {
        line.strip()
        for answered in (told, served, cluster)
        for line in Path(answered["files"][-1]).read_text().splitlines()
        if "mountPath" in line and "rungwise" not in line
    }
    assert mounts == {f'mountPath: "{storage[-1] if storage else "/runs"}"'}


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "cartpole", "--kuberay", "--run", "/exp1"),
        ("submit", "cartpole", "--kuberay", "--run", "/runs"),
        ("submit", "cartpole", "--kuberay", "--run", "/data/exp1", "--mount", "/runs"),
        ("submit", "cartpole", "--kuberay", "--run", "/runs/../exp1"),
        ("deploy", "/data/exp1/checkpoint_000001"),
        ("deploy", "/runs", "--mount", "/runs"),
        ("deploy", "/runs/a/checkpoint_000001", "--mount", "runs"),
        ("deploy", "--mount", "/"),
    ],
)
def test_a_path_that_the_volume_cannot_hold_is_refused(tmp_path, words):
    done = call(*words, *ON_KUBERNETES, cwd=tmp_path)
    assert done.returncode == 2 and "--mount" in done.stderr, done.stdout


def test_brackets_in_the_folder_are_printed_as_they_are(tmp_path):
    run = ("--run", "/shared/runs/sweep", "--files", tmp_path / "jobs[v2]", "--render")
    done = call("submit", "cartpole", "--slurm", *run, cwd=tmp_path)
    assert f"Written: {tmp_path}/jobs[v2]/" in done.stdout, done.stderr
