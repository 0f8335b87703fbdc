# pyright: basic
"""The commands that write the files of clusters."""

from pathlib import Path

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


def test_brackets_in_the_folder_are_printed_as_they_are(tmp_path):
    run = ("--run", "/shared/runs/sweep", "--files", tmp_path / "jobs[v2]", "--render")
    done = call("submit", "cartpole", "--slurm", *run, cwd=tmp_path)
    assert f"Written: {tmp_path}/jobs[v2]/" in done.stdout, done.stderr
