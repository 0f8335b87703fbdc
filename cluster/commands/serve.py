"""The commands around trained policies and running jobs: how they are called and what they do."""

from __future__ import annotations

import shlex
import signal
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from cluster.deploy.cluster_spec import ClusterSpec
from envs.validation import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cluster.errors import Answer, Terminal


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What all commands that listen are told."""

    host: str = "127.0.0.1"
    """Where to listen; 0.0.0.0 lets other machines in, if they have the token."""
    port: int = 8470
    """0 takes a free one."""
    token: bool = True
    """--no-token asks for none, which only works on this machine."""
    json: bool = False
    """Print one JSON object with the address on stdout and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class Dashboard(ServerOptions):
    """Show runs on a page: live curves, and every decision and finding in words."""

    directory: tyro.conf.Positional[Path] = Path("runs")
    """A run, or a directory of runs."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C."""
        from cluster.web.auth import choose_token
        from cluster.web.server import make_app

        token = choose_token(self.host, self.token)
        page = make_app(self.directory, token)  # refuses a directory that is not there
        door = bind_socket(self.host, self.port)
        print_address(door.getsockname(), token, console)
        serve_app(page, door)


@dataclass(frozen=True, kw_only=True)
class Serve(ServerOptions):
    """Let a trained policy act over HTTP: `POST /act`, batched by Ray Serve."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint directory, or a run directory, whose best checkpoint it is then."""
    port: int = 8471
    """0 takes a free one."""
    replicas: int = 1
    """Processes that hold the policy."""
    follow: bool = False
    """Take every newer checkpoint of the same trial, between two requests."""
    address: str = "local"
    """`local` starts a Ray for this; else the address of a Ray to join."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C."""
        from algos.policy import Policy
        from cluster.web.auth import choose_token
        from tune_jobs.ray_session import ray_session
        from tune_jobs.run_log.best_checkpoint import find_checkpoint

        token, checkpoint = choose_token(self.host, self.token), find_checkpoint(self.checkpoint)
        Policy.load(checkpoint)  # says what is wrong with it before Ray starts
        door = bind_socket(self.host, self.port)
        port = door.getsockname()[1]
        door.close()
        with ray_session(self.address):
            from cluster.serving import policy_server

            policy_server.start_serving(checkpoint, self.host, port, token, self.replicas)
            print_address((self.host, port), token, console)
            tell, stop = Console(stderr=True).print, make_interrupt_event()
            if self.follow:
                swap = policy_server.deploy_checkpoint
                policy_server.follow_checkpoints(
                    checkpoint, lambda c: swap(c, token, self.replicas), tell, stop
                )
            stop.wait()
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Export:
    """Write a policy for other runtimes: `torch.export`, and ONNX with --onnx."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint directory, or a run directory, whose best checkpoint it is then."""
    out: Path = Path("exported")
    """Directory for the files; it must not hold any yet."""
    onnx: bool = False
    """Write policy.onnx too (needs the extra `onnx`)."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Write, and compare with the policy itself."""
        from algos.policy import Policy
        from cluster.serving.export import export_policy
        from tune_jobs.run_log.best_checkpoint import find_checkpoint

        parity = export_policy(Policy.load(find_checkpoint(self.checkpoint)), self.out, self.onnx)
        for name, found in parity.items():
            console.print(
                f"{self.out / name}: off by {found['largest']:.1e} at most, "
                f"{found['choices_differ']} of {found['of']:,} choices differ",
                highlight=False,
                soft_wrap=True,
            )
        return {"directory": str(self.out), "parity": parity}


@dataclass(frozen=True)
class Import:
    """Take over somebody else's checkpoint without running anything in it."""

    checkpoint: tyro.conf.Positional[Path]
    """Their checkpoint directory."""
    out: Path
    """Where yours is written."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Verify and copy."""
        from cluster.serving.export import import_checkpoint

        about = import_checkpoint(self.checkpoint, self.out).metadata
        said = f"{about['algo']} on {about['env']}, iteration {about['iteration']}"
        console.print(f"{self.out}: {said}", highlight=False, soft_wrap=True)
        known = {name: about[name] for name in ("env", "algo", "iteration")}
        return {"checkpoint": str(self.out.absolute()), **known}


@dataclass(frozen=True)
class Fetch:
    """Bring a run back from the object storage that RUNGWISE_MIRROR named; then resume it."""

    source: tyro.conf.Positional[str]
    """Address of the run there: s3://bucket/folder/RUN."""
    out: Path
    """Directory for it, which must not exist yet."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Copy it."""
        from tune_jobs.run_log.object_storage import fetch_run

        fetch_run(self.source, self.out)
        console.print(f"Now: rungwise resume {self.out}", highlight=False, soft_wrap=True)
        return {"run": str(self.out)}


@dataclass(frozen=True)
class Submit:
    """Run a job on a cluster: --slurm, --kuberay, --launcher FILE or --to ADDRESS."""

    job: tyro.conf.Positional[str]
    """A preset, or a job file ending in .yaml."""
    run: Path
    """The run directory as the cluster sees it, on storage that all of its machines share."""
    slurm: bool = False
    """Write a batch script and hand it to `sbatch`."""
    kuberay: bool = False
    """Write a RayJob and hand it to `kubectl`."""
    launcher: Path | None = None
    """Start the cluster of this launcher file of Ray, and the job on it."""
    to: str = ""
    """Hand the job to a Ray that runs: ray://HOST:10001 or http://HOST:8265."""
    cluster: Annotated[ClusterSpec, tyro.conf.arg(name="")] = field(default_factory=ClusterSpec)
    files: Path = Path("submitted")
    """Where the files are written, in a new folder named after the job and the time."""
    render: bool = False
    """Write and check the files, and hand over nothing."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Write, check, hand over."""
        from cluster.deploy.submit import submit_job

        wanted = {"slurm": self.slurm, "kuberay": self.kuberay}
        wanted |= {"launcher": self.launcher is not None, "to": bool(self.to)}
        asked = [where for where, on in wanted.items() if on]
        if len(asked) != 1:
            raise InputError("Say where: one of --slurm, --kuberay, --launcher FILE, --to ADDRESS.")
        target = str(self.launcher or self.to)
        answer = submit_job(
            self.job, self.run, self.cluster, self.files, asked[0], target, not self.render
        )
        for file in answer["files"]:
            console.print(f"Written: {file}", highlight=False, soft_wrap=True)
        for said in answer["messages"]:
            console.print(said, highlight=False, soft_wrap=True, markup=False)
        for command in answer["commands_left"]:
            console.print(f"Now: {command}", highlight=False, soft_wrap=True, markup=False)
        return answer


@dataclass(frozen=True)
class Deploy:
    """Write a Ray cluster for Kubernetes that stays; with a checkpoint, the policy served there."""

    checkpoint: tyro.conf.Positional[Path | None] = None
    """A checkpoint directory as the pods see it."""
    storage: Path = Path("/runs")
    """Where the pods see the volume with the runs."""
    cluster: Annotated[ClusterSpec, tyro.conf.arg(name="")] = field(default_factory=ClusterSpec)
    files: Path = Path("submitted")
    """Where the file is written, in a folder of the cluster's name."""
    render: bool = False
    """Write the file, and hand over nothing."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Write it, and hand it to `kubectl` where that is here."""
        from cluster.deploy.kubernetes import make_raycluster_manifest, make_rayservice_manifest
        from cluster.deploy.submit import run_if_installed

        place = self.checkpoint or self.storage
        if not place.is_absolute():
            raise InputError(f"{place} must be a full path: it is that of the cluster's machines.")
        text = (
            make_rayservice_manifest(self.cluster, place)
            if self.checkpoint
            else make_raycluster_manifest(self.cluster, place)
        )
        file = self.files.absolute() / self.cluster.name
        file.mkdir(parents=True, exist_ok=True)
        file /= "rayservice.yaml" if self.checkpoint else "raycluster.yaml"
        file.write_text(text)
        command = ["kubectl", "apply", "-f", str(file)]
        said = None if self.render else run_if_installed(command)
        shown = [f"Written: {file}", f"Now: {shlex.join(command)}" if said is None else said]
        for line in shown:
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return {"files": [str(file)], "messages": [said] if said else []}


@dataclass(frozen=True)
class Monitoring:
    """Write what Prometheus and Grafana need: scraping, alert rules, a dashboard."""

    out: Path = Path("monitoring")
    """Directory for the files."""
    ray_files: Path = Path("/tmp/ray")
    """Where the Ray that is watched keeps its files (its --temp-dir)."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Answer:
        """Write the files."""
        from cluster.deploy.prometheus_files import write_monitoring_files

        files = write_monitoring_files(self.out, self.ray_files.absolute())
        for file in files:
            console.print(f"Written: {file}", highlight=False, soft_wrap=True)
        config = f"{self.out / 'prometheus.yaml'}"
        console.print(f"Now: prometheus --config.file={config}", highlight=False, soft_wrap=True)
        return {"files": list(map(str, files))}


SERVICE_COMMANDS: dict[str, type] = {
    "dashboard": Dashboard,
    "serve": Serve,
    "export": Export,
    "import": Import,
    "submit": Submit,
    "deploy": Deploy,
    "fetch": Fetch,
    "monitoring": Monitoring,
}
"""By the name that they are called by; each is called with a console."""


def bind_socket(host: str, port: int) -> socket.socket:
    """The socket to serve on.

    Raises:
        InputError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{host}, port {port} cannot be listened on ({error}): choose another with --port, 0 "
            "for a free one."
        ) from error


def print_address(socket_name: tuple[str | int, ...], token: str | None, console: Terminal) -> None:
    """Print the address, with the token, so that it can be opened or given to a program.

    At once and not with the command's end: what serves has none.
    """
    host, port = str(socket_name[0]), socket_name[1]
    # 0.0.0.0 is every address of this machine; a browser needs one of them.
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    address = url + (f"?token={token}" if token else "")
    console.print_answer({"address": address, "url": url, "token": token})
    console.print(f"Open {address}", soft_wrap=True, highlight=False)
    console.print("Ctrl-C stops it.", style="dim")


def make_interrupt_event() -> threading.Event:
    """What the first Ctrl-C sets from now on; the second interrupts as ever.

    An exception in the midst of a call of Ray's may be lost in there.
    """
    event = threading.Event()

    def stop(*_: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    return event


def serve_app(app: ASGIApp, listening_socket: socket.socket) -> None:
    """Serve until the process is asked to stop."""
    import uvicorn

    # No access log: the token is in the first address that is opened.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listening_socket])
    # It raises the signal anew only after its loop has begun to end, where asyncio may swallow it.
    if server.should_exit:
        raise KeyboardInterrupt
