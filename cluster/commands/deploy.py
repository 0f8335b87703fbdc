"""Commands for clusters: ``submit`` a job, ``deploy`` Ray or a policy, ``monitoring`` of both."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from cluster.commands.command import Command
from cluster.deploy.cluster_spec import ClusterSpec
from cluster.errors import Answer
from rungwise.formatting import format_command
from rungwise.validation import InputError


@dataclass(frozen=True, kw_only=True)
class Submit(Command):
    """Run a job on a cluster: --slurm, --kuberay, --launcher FILE or --to ADDRESS."""

    job: tyro.conf.Positional[str]
    """A preset, or a job file ending in .yaml."""
    run: Path
    """The run directory on the cluster, on storage that all of its machines share."""
    slurm: bool = False
    """Write a batch script and submit it with `sbatch`."""
    kuberay: bool = False
    """Write a RayJob and create it with `kubectl`; its image: cluster/deploy/Dockerfile."""
    launcher: Path | None = None
    """Start the cluster of this Ray launcher file, and the job on it."""
    to: str = ""
    """Submit the job to a running Ray: ray://HOST:10001 or http://HOST:8265."""
    cluster: Annotated[ClusterSpec, tyro.conf.arg(name="")] = field(default_factory=ClusterSpec)
    files: Path = Path("submitted")
    """Folder for the files; each submission gets its own subfolder."""
    render: bool = False
    """Write and check the files, and submit nothing."""

    def __call__(self, console: Console) -> Answer:
        """Write and check the files, then submit them."""
        from cluster.deploy.submit import submit_job

        flags = {"slurm": self.slurm, "kuberay": self.kuberay}
        flags |= {"launcher": self.launcher is not None, "to": bool(self.to)}
        destinations = [name for name, is_set in flags.items() if is_set]
        if len(destinations) != 1:
            given = " and ".join(f"--{name}" for name in destinations) or "none of them"
            raise InputError(
                "`rungwise submit` needs exactly one of --slurm, --kuberay, --launcher FILE and "
                f"--to ADDRESS, but it got {given}."
            )
        target = str(self.launcher or self.to)
        answer = submit_job(
            self.job, self.run, self.cluster, self.files, destinations[0], target, not self.render
        )
        for file in answer["files"]:
            console.print(f"Written: {file}", highlight=False, soft_wrap=True)
        for message in answer["messages"]:
            console.print(message, highlight=False, soft_wrap=True)
        for command in answer["commands_left"]:
            console.print(f"Now: {command}", highlight=False, soft_wrap=True)
        return answer


@dataclass(frozen=True, kw_only=True)
class Deploy(Command):
    """Write a standing Ray cluster for Kubernetes, or with a checkpoint a policy served there."""

    checkpoint: tyro.conf.Positional[Path | None] = None
    """A checkpoint directory in the pods; without one, a cluster for jobs is written."""
    cluster: Annotated[ClusterSpec, tyro.conf.arg(name="")] = field(default_factory=ClusterSpec)
    files: Path = Path("submitted")
    """Folder for the file; it gets a subfolder of the cluster's name."""
    render: bool = False
    """Write the file, and create nothing."""

    def __call__(self, console: Console) -> Answer:
        """Write the manifest, and apply it if `kubectl` is installed."""
        from cluster.deploy import kubernetes
        from cluster.deploy.submit import IN_FILES, run_if_installed
        from rungwise.write_errors import refuse_unwritable

        path = self.checkpoint or self.cluster.mount or kubernetes.MOUNT
        text = (
            kubernetes.make_rayservice_manifest(self.cluster, path)
            if self.checkpoint
            else kubernetes.make_raycluster_manifest(self.cluster, path)
        )
        folder = self.files.absolute() / self.cluster.name
        file = folder / ("rayservice.yaml" if self.checkpoint else "raycluster.yaml")
        with refuse_unwritable(folder, IN_FILES):
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        command = ["kubectl", "apply", "-f", str(file)]
        message = None if self.render else run_if_installed(command)
        outcome = f"Now: {shlex.join(command)}" if message is None else message
        for line in (f"Written: {file}", outcome):
            console.print(line, highlight=False, soft_wrap=True)
        return {"files": [str(file)], "messages": [message] if message else []}


@dataclass(frozen=True, kw_only=True)
class Monitoring(Command):
    """Write files for Prometheus and Grafana: scraping, alert rules, a dashboard."""

    out: Path = Path("monitoring")
    """Directory for the files."""
    ray_files: Path = Path("/tmp/ray")
    """Directory where the monitored Ray keeps its files (its --temp-dir)."""
    servers: tuple[str, ...] = ()
    """HOST:PORT of services, dashboards and runs with --metrics to scrape: `127.0.0.1:8470`."""

    def __call__(self, console: Console) -> Answer:
        """Write the files."""
        from cluster.deploy.prometheus_files import write_monitoring_files
        from cluster.web.auth import get_token_path
        from rungwise.write_errors import refuse_unwritable

        with refuse_unwritable(self.out):
            ray_files, token_file = self.ray_files.absolute(), get_token_path()
            files = write_monitoring_files(self.out, ray_files, self.servers, token_file)
        for file in files:
            console.print(f"Written: {file}", highlight=False, soft_wrap=True)
        config = f"--config.file={self.out / 'prometheus.yaml'}"
        command = format_command("prometheus", config)
        console.print(f"Now: {command}", highlight=False, soft_wrap=True)
        return {"files": list(map(str, files))}
