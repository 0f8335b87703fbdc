"""Submission of a job to SLURM, KubeRay, Ray's launcher or a running Ray.

:class:`cluster.deploy.cluster_spec.ClusterSpec` holds everything that differs between clusters; the
templates in ``deploy/`` hold the rest. Each file is checked, and submitted if the tool for it is
installed here.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from cluster.deploy.cluster_spec import TEMPLATE_DIR, ClusterSpec, fill_template
from cluster.deploy.kubernetes import make_rayjob_manifest
from rungwise.validation import InputError
from rungwise.write_errors import refuse_unwritable

IN_FILES = "choose another folder with --files"
"""Remedy where the files of a cluster cannot be written."""


def submit_job(
    name: str,
    run: Path,
    cluster: ClusterSpec,
    files: Path,
    destination: str,
    target: str,
    submit: bool,
) -> dict[str, Any]:
    """Write the files of a job for a cluster, and submit them if the tool for that is installed.

    Args:
        name: a preset or a job file.
        run: the run directory on the cluster.
        cluster: the resources to request.
        files: folder in which a subfolder for the files is created.
        destination: ``slurm``, ``kuberay``, ``launcher`` or ``to``.
        target: the launcher file, or the address of a Ray.
        submit: False only writes and checks the files.

    Returns:
        The ``files`` written, the ``messages`` of the tools, and the ``commands_left`` to the user.

    Raises:
        InputError: a setting cannot be used, the files cannot be written, or a tool refuses them.
    """
    from tune_jobs.jobs.job_yaml import dump_job, get_file_mode, load_job

    job = load_job(name)
    # The cluster would accept such a job, and Ray would wait forever for a machine with more GPUs.
    if job.gpus_per_trial > cluster.gpus and destination in ("slurm", "kuberay"):
        raise InputError(
            f"A trial of this job needs {job.gpus_per_trial:g} GPUs, but a machine has "
            f"{cluster.gpus}: request more with --gpus, or set gpus_per_trial: 0 in the job."
        )
    if not run.is_absolute():
        raise InputError(f"--run must be an absolute path on the cluster, but it is {run}.")
    if job.notify and destination == "to":
        raise InputError(
            "Ray keeps the job file of --to, but notify is a secret: leave it out, and set "
            "RUNGWISE_NOTIFY where that Ray starts."
        )
    text = dump_job(job)
    mode = get_file_mode(text)
    with refuse_unwritable(files, IN_FILES):
        folder = make_submission_folder(files.absolute(), cluster.name)
        job_file = folder / "job.yaml"
        job_file.touch(mode)
        job_file.write_text(text)
    written, commands = [job_file], list[list[str]]()
    if destination == "slurm":
        written.append(folder / "slurm.sh")
        written[-1].write_text(make_slurm_script(cluster, job_file, run))
        commands = [["sbatch", str(written[-1])]]
    elif destination == "kuberay":
        written.append(folder / "rayjob.yaml")
        written[-1].touch(mode)
        written[-1].write_text(make_rayjob_manifest(cluster, text, run, folder.name))
        commands = [["kubectl", "create", "-f", str(written[-1])]]
    elif destination == "launcher":
        commands = make_launcher_commands(Path(target), job_file, run)
    messages: list[str] = []
    if destination == "to" and submit:
        messages = [submit_to_ray(target, job_file, run)]
    # Each command needs those before it: after the first whose tool is missing, all are left.
    while submit and commands and (output := run_if_installed(commands[0])) is not None:
        messages.append(output)
        commands = commands[1:]
    remaining = [shlex.join(command) for command in commands]
    return {"files": list(map(str, written)), "messages": messages, "commands_left": remaining}


def make_submission_folder(files: Path, name: str) -> Path:
    """Create a folder that no other submission uses, named after the job and the time.

    A queued script reads its job when it starts, which may be after the next `submit`. Objects on
    Kubernetes have the same name, which no other submission of any directory may have.
    """
    folder = files / f"{name}-{time.strftime('%y%m%d-%H%M')}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    return folder


def make_slurm_script(cluster: ClusterSpec, job: Path, run: Path) -> str:
    """Render the batch script that starts a run, or continues it."""
    flags = {name: getattr(cluster, name) for name in ("partition", "account", "qos", "constraint")}
    extra = [f"#SBATCH --{name}={shlex.quote(value)}" for name, value in flags.items() if value]
    extra += [f"#SBATCH --gpus-per-node={cluster.gpus}"] if cluster.gpus else []
    return fill_template(
        "slurm.sh",
        cluster,
        # SLURM takes 0 minutes as no limit.
        minutes=max(1, round(60 * cluster.hours)),
        extra="\n".join(extra),
        log=shlex.quote(f"{run}.log"),
        run=shlex.quote(str(run)),
        job=shlex.quote(str(job)),
        setup=cluster.setup,
    )


def make_launcher_commands(file: Path, job: Path, run: Path) -> list[list[str]]:
    """Return the commands that start the cluster of a launcher file and the job on it.

    Raises:
        InputError: Ray refuses the file.
    """
    load_launcher_file(file)
    # The folder's name ends with the time, so that no later submission replaces the file.
    remote = f"~/{job.parent.name}.job.yaml"
    tune = f"rungwise tune {remote} --out {shlex.quote(str(run))} --address auto"
    return [
        ["ray", "up", "--yes", str(file)],
        ["ray", "rsync-up", str(file), str(job), remote],
        # In tmux the job outlives this connection.
        ["ray", "exec", "--tmux", str(file), tune],
    ]


def load_launcher_file(file: Path) -> dict[str, Any]:
    """Return a launcher file as Ray completes it.

    Raises:
        InputError: Ray refuses the file; the message says why.
    """
    import yaml
    from jsonschema import ValidationError

    from tune_jobs.ray_internals import complete_launcher

    if not file.is_file():
        raise InputError(
            f"There is no {file}: copy {TEMPLATE_DIR / 'launcher.yaml'} and fill it in."
        )
    try:
        return complete_launcher(yaml.safe_load(file.read_text()))
    except ValidationError as error:
        path = ".".join(map(str, error.absolute_path))
        raise InputError(
            f"Ray refuses the launcher file {file}{f' at {path}' if path else ''}: {error.message}."
        ) from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{file} is not a launcher file of Ray ({error!r}).") from error


def submit_to_ray(address: str, job: Path, run: Path) -> str:
    """Submit the job to the job server of a running Ray and return its id there.

    Raises:
        InputError: there is no Ray at the address, or it refuses the job.
    """
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    from tune_jobs.ray_internals import use_token

    # The process leaves the folder that Ray made for the job: if nodes share a disk, the first that
    # is done deletes it, and a process with a deleted working directory fails.
    tune = f'rungwise tune "$job" --out {shlex.quote(str(run))} --address auto'
    tune = f'job="$PWD/job.yaml" && cd / && {tune}'
    use_token()
    try:
        client = JobSubmissionClient(address)
        # The folder holds the job file only: rungwise is installed on the cluster.
        return client.submit_job(entrypoint=tune, runtime_env={"working_dir": str(job.parent)})
    except (ConnectionError, RuntimeError, ValueError, AuthenticationError) as error:
        message = f"{address} does not accept the job: {error}"
        if "No available agent" in message:
            message += (
                " If this Ray has just started, wait a minute. If another Ray was started on its "
                "machine before, that one uses the port of its job agent: start this one with "
                "--dashboard-agent-listen-port=0."
            )
        raise InputError(message) from error


def run_if_installed(command: list[str]) -> str | None:
    """Run a tool and return its output; None if it is not installed.

    Raises:
        InputError: the tool fails.
    """
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"`{shlex.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
