"""The commands ``rungwise service`` and ``rungwise jobs``: how they are called and what they do."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console

from cluster.commands.serve import ServerOptions, bind_socket, print_address, serve_app
from envs.validation import InputError

if TYPE_CHECKING:
    from cluster.errors import Terminal
    from cluster.web.client import Client


@dataclass(frozen=True, kw_only=True)
class Service(ServerOptions):
    """Run jobs from a queue, over HTTP and on the page: submit, watch, stop, resume."""

    directory: tyro.conf.Positional[Path] = Path("runs")
    """Where runs are kept; the queue is kept there too."""
    address: str = "local"
    """`local` starts a Ray for each run; else the address of the Ray that all runs share."""
    cpus: int | None = None
    """CPUs of each run on this machine (all by default)."""
    at_once: int = 1
    """Runs that are driven at the same time; the others wait, by their priority."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C; runs that have begun go on, and the next service finds them."""
        from cluster.queue.queue import RunQueue
        from cluster.web.auth import choose_token
        from cluster.web.server import make_app
        from tune_jobs.run_log.driver_lock import file_lock

        token = choose_token(self.host, self.token)
        self.directory.mkdir(parents=True, exist_ok=True)
        queue = RunQueue(self.directory, self.address, self.cpus, self.at_once)
        with file_lock(self.directory / ".service.lock") as own:
            if own is None:
                raise InputError(
                    f"Another service works on {self.directory}: stop it, or name another one."
                )
            door = bind_socket(self.host, self.port)
            print_address(door.getsockname(), token, console)
            stop = threading.Event()
            worker = threading.Thread(target=queue.run_until_stopped, args=(stop,))
            worker.start()
            try:
                serve_app(make_app(self.directory, token, queue), door)
            finally:
                stop.set()
                worker.join()


@dataclass(frozen=True)
class Jobs:
    """Talk to a service: `rungwise jobs submit causal`, then `rungwise jobs stop RUN`."""

    action: tyro.conf.Positional[
        Literal["list", "submit", "show", "stop", "resume", "findings", "checkpoints", "metrics"]
    ] = "list"
    """What to do."""
    job: tyro.conf.Positional[str] = ""
    """The job: its name, or to submit one a preset or a job file ending in .yaml."""
    trial: str = ""
    """Stop or resume this trial only."""
    metric: str = ""
    """Of `metrics`: which one; the score without it."""
    name: str | None = None
    """Of `submit`: the name of the run; by default environment, date and number."""
    priority: int = 0
    """Of `submit`: jobs with a higher one begin first."""
    service: str = "http://127.0.0.1:8470"
    """Where the service listens."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> dict[str, Any]:
        """Ask, and show the answer."""
        from cluster.web.auth import load_or_create_token
        from cluster.web.client import Client

        if self.action != "list" and not self.job:
            raise InputError(
                f"`rungwise jobs {self.action}` needs a job: `rungwise jobs` lists them."
            )
        # Of a service on another machine the token comes by the environment: flags can be read.
        client = Client(self.service, os.environ.get("RUNGWISE_TOKEN") or load_or_create_token())
        answer = self._answer(client)
        for line in _lines(self.action, answer):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return answer

    def _answer(self, client: Client) -> dict[str, Any]:
        match self.action:
            case "list":
                return {"jobs": [asdict(job) for job in client.list_jobs()]}
            case "submit":
                return {"job": asdict(client.submit(self._submission()))}
            case "stop" | "resume" if self.trial:
                return {"trial": asdict(client.control_trial(self.job, self.trial, self.action))}
            case "stop" | "resume":
                return {"job": asdict(client.control_job(self.job, self.action))}
            case "show":
                return asdict(client.get_job(self.job))
            case "findings":
                return {"findings": [asdict(row) for row in client.list_findings(self.job)]}
            case "checkpoints":
                return {"checkpoints": [asdict(row) for row in client.list_checkpoints(self.job)]}
            case "metrics":
                curves = client.get_curves(self.job, self.metric)
                return {"metrics": [asdict(curve) for curve in curves]}

    def _submission(self) -> Any:
        import yaml
        from pydantic import ValidationError

        from cluster.web.schemas import Submission
        from tune_jobs.jobs.job_yaml import dump_job, load_job

        job = yaml.safe_load(dump_job(load_job(self.job)))
        try:
            return Submission(job=job, name=self.name, priority=self.priority)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"--{first['loc'][0]}: {first['msg']}.") from error


QUEUE_COMMANDS: dict[str, type] = {"service": Service, "jobs": Jobs}
"""By the name that they are called by; each is called with a console."""


def _lines(action: str, answer: dict[str, Any]) -> list[str]:
    """An answer as lines to read."""
    match action:
        case "list":
            rows = [
                [job["name"], job["message"] or job["state"], _about(job)] for job in answer["jobs"]
            ]
            return _columns(rows) or ["No job yet: `rungwise jobs submit causal` makes one."]
        case "show":
            job, trials = answer["job"], answer["trials"]
            head = [f"{job['name']}: {job['message'] or job['state']}, {_about(job)}"]
            rows = [[t["id"], f"{t['iterations']}/{t['budget']}", t["status_text"]] for t in trials]
            return head + _columns(rows)
        case "findings":
            return [
                f"trial {f['trial']} {f['severity']} {f['symptom']} since iteration {f['since']}: "
                f"{f['evidence']}"
                + (f" (withdrawn at iteration {f['withdrawn']})" if f["withdrawn"] else "")
                for f in answer["findings"]
            ] or ["Nothing was found."]
        case "checkpoints":
            return _columns(
                [[c["trial"], str(c["iteration"]), c["path"]] for c in answer["checkpoints"]]
            ) or ["No checkpoint yet."]
        case "metrics":
            return _columns(
                [
                    [c["trial"], str(c["iterations"][-1]), str(c["values"][-1])]
                    for c in answer["metrics"]
                ]
            ) or ["No result yet."]
        case _ if "trial" in answer:
            return [f"trial {answer['trial']['id']}: {answer['trial']['status_text']}"]
        case _:
            return [
                f"{answer['job']['name']}: {answer['job']['message'] or answer['job']['state']}"
            ]


def _about(job: dict[str, Any]) -> str:
    priority = "" if job["priority"] is None else f", priority {job['priority']}"
    return f"{job['env'].split(':')[-1]}, {job['algo']}, trials {job['trials']}{priority}"


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
