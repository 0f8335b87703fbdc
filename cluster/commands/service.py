"""Commands around the queue: ``service`` runs it, ``jobs`` is its client."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console

from cluster.commands.command import Command
from cluster.commands.serve import PageCommand
from cluster.errors import Answer
from rungwise.validation import InputError, unknown_name_error

if TYPE_CHECKING:
    from cluster.errors import Terminal
    from cluster.web.client import Client
    from cluster.web.schemas import Curve, Submission
    from rungwise.run_log.events import CheckpointRow, FindingRow

FLAG_ACTIONS = {
    "trial": ("stop", "resume", "findings", "checkpoints", "metrics"),
    "metric": ("metrics",),
    "name": ("submit",),
    "priority": ("submit",),
}
"""Actions of ``jobs`` that a flag belongs to; those that extend a job have a sentence of theirs."""


@dataclass(frozen=True, kw_only=True)
class Service(PageCommand):
    """Run jobs from a queue, controlled over HTTP and on the page."""

    directory: tyro.conf.Positional[Path] = Path("runs")
    """Directory of the runs and of the queue."""
    address: str = "local"
    """`local` starts a Ray for each run; otherwise the address of the Ray that all runs share."""
    cpus: int | None = None
    """CPUs of this machine for each run; all by default."""
    at_once: int = 1
    """Runs that are driven at the same time; the others wait, ordered by priority."""
    disk_limit: float | None = None
    """GiB of disk: while the runs take more, none is started; no limit by default."""

    def __call__(self, console: Terminal) -> None:
        """Serve until Ctrl-C; runs that have started continue, and the next service finds them."""
        from cluster.pages.site import make_dashboard
        from cluster.queue.run_queue import RunQueue
        from cluster.web.auth import choose_token
        from cluster.web.auth_users import load_users
        from cluster.web.listening import bind_socket, print_address, serve_app
        from rungwise.run_log.driver_lock import file_lock
        from rungwise.write_errors import refuse_unwritable

        token, users = choose_token(self.host, self.token), load_users(self.users)
        with refuse_unwritable(self.directory, "name another directory"):
            self.directory.mkdir(parents=True, exist_ok=True)
        queue = RunQueue(
            self.directory,
            self.address,
            self.cpus,
            self.at_once,
            accepts_programs=token is not None,
            disk_limit=self.disk_limit,
        )
        # Two queues on one directory would count and judge the starts of the same orders.
        with file_lock(self.directory / ".service.lock") as lock:
            if lock is None:
                raise InputError(
                    f"Another service uses {self.directory}: stop it, or name another directory."
                )
            listening_socket = bind_socket(self.host, self.port)
            print_address(listening_socket.getsockname(), token, console)
            stop = threading.Event()
            worker = threading.Thread(target=queue.run_until_stopped, args=(stop,))
            worker.start()
            try:
                page = make_dashboard(self.directory, token, queue, users)
                serve_app(page, listening_socket)
            finally:
                stop.set()
                # The last tick ends before the lock on the directory is released.
                worker.join()


@dataclass(frozen=True, kw_only=True)
class Jobs(Command):
    """Control the jobs of a service: `rungwise jobs submit causal`, `rungwise jobs stop RUN`."""

    action: tyro.conf.Positional[
        Literal["list", "submit", "show", "stop", "resume", "findings", "checkpoints", "metrics"]
    ] = "list"
    """The action to take."""
    job: tyro.conf.Positional[str] = ""
    """Name of the job; with `submit`, a preset or a job file ending in .yaml."""
    trial: str = ""
    """Stop, resume or list this trial only."""
    metric: str = ""
    """With `metrics`: the metric; by default the score."""
    name: str | None = None
    """With `submit`: the name of the run; by default environment, date and number."""
    priority: int = 0
    """With `submit`: jobs with a higher priority start first."""
    trials: int | None = None
    """With `resume`: extend the job to this many trials."""
    iterations: int | None = None
    """With `resume`: extend the budget of each trial to this many iterations."""
    steps: int | None = None
    """With `resume`: the same in environment steps of each seed."""
    service: str = "http://127.0.0.1:8470"
    """Address of the service."""

    def __call__(self, console: Console) -> Answer:
        """Send the request and print the answer."""
        from cluster.web.auth import load_or_create_token
        from cluster.web.client import Client

        if self.action != "list" and not self.job:
            raise InputError(
                f"`rungwise jobs {self.action}` needs a job: `rungwise jobs` lists them."
            )
        for flag, actions in FLAG_ACTIONS.items():
            value = getattr(self, flag)
            if value != getattr(Jobs, flag) and self.action not in actions:
                raise InputError(
                    f"--{flag} {value} is a flag of {', '.join(actions)}: leave it out of "
                    f"`rungwise jobs {self.action}`."
                )
        given = {"trials": self.trials, "iterations": self.iterations, "steps": self.steps}
        extension = {name: n for name, n in given.items() if n is not None}
        if extension and (self.action != "resume" or self.trial):
            flag, number = next(iter(extension.items()))
            raise InputError(
                f"--{flag} extends a job that has ended: `rungwise jobs resume JOB --{flag} "
                f"{number}`, without --trial."
            )
        # The token of a service elsewhere comes from the environment: other users can read flags.
        client = Client(self.service, os.environ.get("RUNGWISE_TOKEN") or load_or_create_token())
        answer = self._request(client, extension)
        for line in _format_answer(self.action, answer):
            console.print(line, highlight=False, soft_wrap=True)
        return answer

    def _request(self, client: Client, extension: Mapping[str, int]) -> Answer:
        match self.action:
            case "list":
                return {"jobs": [asdict(job) for job in client.list_jobs()]}
            case "submit":
                return {"job": asdict(client.submit(self._make_submission()))}
            case "stop" | "resume" if self.trial:
                return {"trial": asdict(client.control_trial(self.job, self.trial, self.action))}
            case "stop" | "resume":
                return {"job": asdict(client.control_job(self.job, self.action, extension))}
            case "show":
                return asdict(client.get_job(self.job))
            case "findings":
                return {"findings": self._list_rows(client, client.list_findings(self.job))}
            case "checkpoints":
                return {"checkpoints": self._list_rows(client, client.list_checkpoints(self.job))}
            case "metrics":
                curves = client.get_curves(self.job, self.metric)
                return {"metrics": self._list_rows(client, curves)}

    def _list_rows(
        self, client: Client, rows: Sequence[FindingRow | CheckpointRow | Curve]
    ) -> list[Answer]:
        """List rows as dictionaries: those of the trial that is named, or all."""
        if self.trial:
            # A trial that does not exist would look like one without findings.
            trials = [trial.id for trial in client.get_job(self.job).trials]
            if self.trial not in trials:
                raise unknown_name_error("trial", self.trial, trials)
        return [asdict(row) for row in rows if self.trial in ("", row.trial)]

    def _make_submission(self) -> Submission:
        from pydantic import ValidationError

        from cluster.web.schemas import Submission
        from tune_jobs.jobs.job_yaml import load_job, make_plain

        job = make_plain(load_job(self.job))
        try:
            return Submission(job=job, name=self.name, priority=self.priority)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"--{first['loc'][0]}: {first['msg']}.") from error


def _format_answer(action: str, answer: Answer) -> list[str]:
    """Format an answer as lines of text."""
    match action:
        case "list":
            rows = [[job["name"], _get_state(job), _summarise_job(job)] for job in answer["jobs"]]
            return _align(rows) or ["No job yet: submit one with `rungwise jobs submit causal`."]
        case "show":
            job, trials = answer["job"], answer["trials"]
            head = [f"{job['name']}: {_get_state(job)}, {_summarise_job(job)}"]
            rows = [[t["id"], f"{t['iterations']}/{t['budget']}", t["status_text"]] for t in trials]
            return head + _align(rows)
        case "findings":
            return [
                f"trial {f['trial']} {f['severity']} {f['symptom']} since iteration {f['since']}: "
                f"{f['evidence']}"
                + (f" (withdrawn at iteration {f['withdrawn']})" if f["withdrawn"] else "")
                for f in answer["findings"]
            ] or ["No findings."]
        case "checkpoints":
            rows = [[c["trial"], str(c["iteration"]), c["path"]] for c in answer["checkpoints"]]
            return _align(rows) or ["No checkpoint yet."]
        case "metrics":
            points = [(c["trial"], c["iterations"][-1], c["values"][-1]) for c in answer["metrics"]]
            return _align([list(map(str, point)) for point in points]) or ["No result yet."]
        case _ if "trial" in answer:
            return [f"trial {answer['trial']['id']}: {answer['trial']['status_text']}"]
        case _:
            return [f"{answer['job']['name']}: {_get_state(answer['job'])}"]


def _get_state(job: Answer) -> str:
    return job["message"] or job["state"]


def _summarise_job(job: dict[str, Any]) -> str:
    priority = "" if job["priority"] is None else f", priority {job['priority']}"
    return f"{job['env'].split(':')[-1]}, {job['algo']}, trials {job['trials']}{priority}"


def _align(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
