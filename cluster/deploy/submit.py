"""The same job on a cluster: files for SLURM, KubeRay and Ray's launcher, and a running Ray.

Everything that differs between clusters is in :class:`cluster.deploy.cluster_spec.ClusterSpec`; the
templates in ``deploy/`` hold the rest. Each file is checked before it is handed over, and handed
over where its tool is here.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from cluster.deploy.cluster_spec import TEMPLATE_DIR, ClusterSpec, fill_template
from cluster.deploy.kubernetes import make_rayjob_manifest
from envs.validation import InputError


def submit_job(
    name: str,
    run: Path,
    cluster: ClusterSpec,
    files: Path,
    destination: str,
    target: str,
    hand_over: bool,
) -> dict[str, Any]:
    """Write the files of a job for a cluster, and hand them over where that can be done from here.

    Args:
        name: a preset or a job file.
        run: the run directory as the cluster sees it.
        cluster: what to ask for.
        files: where a folder of its own is made for the files.
        destination: ``slurm``, ``kuberay``, ``launcher`` or ``to``.
        target: the launcher file, or the address of a Ray.
        hand_over: false only writes and checks.

    Returns:
        ``files`` written, the tools' ``messages``, and ``commands_left`` for the user to run.

    Raises:
        InputError: something in it cannot be used, or a tool refuses.
    """
    from tune_jobs.jobs.job_yaml import dump_job, load_job

    job = load_job(name)
    if job.gpus_per_trial > cluster.gpus and destination in ("slurm", "kuberay"):
        raise InputError(
            f"A trial of this job holds {job.gpus_per_trial:g} GPUs, and each machine has "
            f"{cluster.gpus}: ask for more with --gpus, or set --gpus-per-trial 0 in the job."
        )
    if not run.is_absolute():
        raise InputError(f"--run {run} must be a full path: it is that of the cluster's machines.")
    folder = own_folder(files.absolute(), cluster.name)
    job_file = folder / "job.yaml"
    job_file.write_text(text := dump_job(job))
    written, commands = [job_file], list[list[str]]()
    if destination == "slurm":
        written.append(folder / "slurm.sh")
        written[-1].write_text(make_slurm_script(cluster, job_file, run))
        commands = [["sbatch", str(written[-1])]]
    elif destination == "kuberay":
        written.append(folder / "rayjob.yaml")
        written[-1].write_text(make_rayjob_manifest(cluster, text, run, folder.name))
        commands = [["kubectl", "create", "-f", str(written[-1])]]
    elif destination == "launcher":
        commands = make_launcher_commands(Path(target), job_file, run)
    said: list[str] = []
    if destination == "to" and hand_over:
        said = [submit_to_ray(target, job_file, run)]
    while hand_over and commands and (heard := run_if_installed(commands[0])) is not None:
        said.append(heard)
        commands = commands[1:]
    left = [shlex.join(command) for command in commands]
    return {"files": list(map(str, written)), "messages": said, "commands_left": left}


def own_folder(files: Path, name: str) -> Path:
    """Make a folder that no other submission has.

    A queued script reads its job when it starts, which may be after the next `submit`. The name is
    also that of the objects on Kubernetes, hence the time and not a number that begins anew in
    every directory.
    """
    while True:
        folder = files / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            time.sleep(0.1)
        else:
            return folder


def make_slurm_script(cluster: ClusterSpec, job: Path, run: Path) -> str:
    """The batch script that starts the run, or goes on with it."""
    extra = [f"#SBATCH --partition={shlex.quote(cluster.partition)}"] if cluster.partition else []
    extra += [f"#SBATCH --gpus-per-node={cluster.gpus}"] if cluster.gpus else []
    return fill_template(
        "slurm.sh",
        cluster,
        minutes=max(1, round(60 * cluster.hours)),
        extra="\n".join(extra),
        log=shlex.quote(f"{run}.log"),
        run=shlex.quote(str(run)),
        job=shlex.quote(str(job)),
        setup=cluster.setup,
    )


def make_launcher_commands(file: Path, job: Path, run: Path) -> list[list[str]]:
    """What starts the cluster of a launcher file and the job on it.

    Raises:
        InputError: Ray refuses the file.
    """
    load_launcher_file(file)
    there = f"~/{job.parent.name}.job.yaml"
    tune = f"rungwise tune {there} --out {shlex.quote(str(run))} --address auto"
    return [
        ["ray", "up", "--yes", str(file)],
        ["ray", "rsync-up", str(file), str(job), there],
        ["ray", "exec", "--tmux", str(file), tune],
    ]


def load_launcher_file(file: Path) -> dict[str, Any]:
    """A launcher file as Ray completes it.

    Raises:
        InputError: naming what Ray finds wrong.
    """
    import yaml
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    if not file.is_file():
        raise InputError(
            f"There is no {file}. {TEMPLATE_DIR / 'launcher.yaml'} is one to start from."
        )
    try:
        config = prepare_config(yaml.safe_load(file.read_text()))
        validate_config(config)
    except ValidationError as error:
        place = ".".join(map(str, error.absolute_path))
        raise InputError(
            f"{file} is no launcher file of Ray{f', at {place}' if place else ''}: {error.message}."
        ) from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{file} is no launcher file of Ray ({error!r}).") from error
    return config


def submit_to_ray(address: str, job: Path, run: Path) -> str:
    """Hand the job to a Ray that runs, through its job server; the id it gets there.

    Raises:
        InputError: there is no Ray at the address, or it refuses.
    """
    from ray._private.authentication import authentication_token_setup
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # Away from the folder that Ray made for the job: where nodes share a disk, the first to be done
    # with it clears it away, and a process that stands in it falls.
    tune = f'rungwise tune "$job" --out {shlex.quote(str(run))} --address auto'
    tune = f'job="$PWD/job.yaml" && cd / && {tune}'
    # A driver does this when it joins a Ray; the job client leaves it to the user.
    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        client = JobSubmissionClient(address)
        # The folder holds the job file alone: the cluster has its own rungwise.
        return client.submit_job(entrypoint=tune, runtime_env={"working_dir": str(job.parent)})
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        told = f"{address} does not take the job: {error}"
        if "No available agent" in told:
            told += (
                " If it has just begun, give it a minute. If another Ray began before it on its "
                "machine, that one has its job agent's port: start it with "
                "--dashboard-agent-listen-port=0."
            )
        raise InputError(told) from error


def run_if_installed(command: list[str]) -> str | None:
    """Run a tool if it is here; what it says, or None where it is not.

    Raises:
        InputError: it refuses.
    """
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"`{shlex.join(command)}` says: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
