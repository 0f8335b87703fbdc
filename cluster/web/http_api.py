"""Endpoints of the service below ``/api``, described by ``/api/openapi.json``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cluster.queue.orders import Order, get_run_state, read_order
from cluster.queue.run_queue import RunQueue, reopen_trial, stop_run
from cluster.web.auth_users import recorded_action
from cluster.web.run_index import RunIndex
from cluster.web.run_metrics import RunMetrics
from cluster.web.run_view import RunView
from cluster.web.schemas import Curve, ErrorResponse, Extension, JobDetails, JobState, Submission
from rungwise.run_directory import read_number_of_trials
from rungwise.run_log.event_log import read_log_ends
from rungwise.run_log.events import CheckpointRow, FindingRow, JobRow
from rungwise.run_log.stop_requests import request_stop
from rungwise.run_log.trial_outcome import TrialOutcome, TrialSummary
from rungwise.validation import InputError

if TYPE_CHECKING:
    from tune_jobs.jobs.job import Job

METRICS = "/metrics"
"""The path that Prometheus scrapes."""
MAX_POINTS = 400
"""Points of a curve, at most."""
T = TypeVar("T")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The request is not valid HTTP"},
    401: {"model": ErrorResponse, "description": "The token is missing or wrong"},
    403: {
        "model": ErrorResponse,
        "description": "The user may only read, or a page of another site",
    },
    404: {"model": ErrorResponse, "description": "There is no such job or trial"},
    409: {"model": ErrorResponse, "description": "The state of the job or trial does not allow it"},
    413: {"model": ErrorResponse, "description": "The request is too large"},
    422: {"model": ErrorResponse, "description": "A value cannot be used"},
}


def make_api(handlers: ApiHandlers) -> FastAPI:
    """Make the API; without a queue it refuses to start runs."""
    api = FastAPI(
        title="Rungwise",
        version="1",
        description="Submit, watch, stop and resume runs. Every error has a message.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its scripts would come from another host
        redoc_url=None,
        responses=_REFUSALS,
        exception_handlers={
            HTTPException: _respond_http_error,
            InputError: _respond_input_error,
            RequestValidationError: _respond_validation_error,
        },
    )
    job, trial = "/api/jobs/{name}", "/api/jobs/{name}/trials/{trial}"
    reading: list[tuple[str, Callable[..., Any]]] = [
        ("/api/jobs", handlers.list_jobs),
        (job, handlers.get_job),
        (f"{job}/findings", handlers.list_findings),
        (f"{job}/checkpoints", handlers.list_checkpoints),
        (f"{job}/metrics", handlers.get_curves),
    ]
    acting: list[tuple[str, Callable[..., Any]]] = [
        (f"{job}/stop", handlers.stop_job),
        (f"{job}/resume", handlers.resume_job),
        (f"{trial}/stop", handlers.stop_trial),
        (f"{trial}/resume", handlers.resume_trial),
    ]
    for path, answer in reading:
        api.add_api_route(path, answer)
    metrics = RunMetrics(handlers.runs, handlers.queue)
    api.add_api_route(METRICS, metrics.respond, include_in_schema=False)
    api.add_api_route("/api/jobs", handlers.submit, methods=["POST"], status_code=201)
    for path, answer in acting:
        api.add_api_route(path, answer, methods=["POST"])
    return api


class ApiHandlers:
    """Handlers of the endpoints; their docstrings are the descriptions in OpenAPI."""

    def __init__(self, runs: RunIndex, queue: RunQueue | None) -> None:
        self.runs, self.queue = runs, queue

    async def list_jobs(self) -> list[JobState]:
        """List the jobs, the last changed first."""
        # In a thread: the files of many runs on shared storage take long, and streams must
        # continue.
        return await asyncio.to_thread(lambda: [make_job_state(d) for d in self.runs.list_runs()])

    async def get_job(self, name: str) -> JobDetails:
        """Return a job with its trials."""
        state = await asyncio.to_thread(make_job_state, self.runs.find_run(name))
        outcome = await self._query_run(name, RunView.build_outcome)
        return JobDetails(
            job=state,
            metric=outcome.job.metric,
            mode=outcome.job.mode,
            best=outcome.best.id if outcome.best else None,
            compute_saved=outcome.compute_saved,
            trials=[trial.summarise() for trial in outcome.trials],
        )

    async def list_findings(self, name: str) -> list[FindingRow]:
        """List the findings of the health rules."""
        return list((await self._query_run(name, RunView.build_outcome)).findings)

    async def list_checkpoints(self, name: str) -> list[CheckpointRow]:
        """List the checkpoints that exist: the latest and the best of each trial."""

        def query(view: RunView) -> list[CheckpointRow]:
            rows = [row for _, row in view.other_rows if isinstance(row, CheckpointRow)]
            return [row for row in rows if (view.directory / row.path).is_dir()]

        return await self._query_run(name, query)

    async def get_curves(
        self,
        name: str,
        metric: Annotated[str, Query(description="Name of the metric; by default the score")] = "",
    ) -> list[Curve]:
        """Return a metric of every trial by iteration."""

        def query(view: RunView) -> list[Curve]:
            curves = {
                trial: view.read_curve(trial, metric, MAX_POINTS)
                for trial in sorted(view.trial_results)
            }
            return [
                Curve(trial, metric, [p.iteration for p in points], [p.value for p in points])
                for trial, points in curves.items()
            ]

        return await self._query_run(name, query)

    async def submit(self, submission: Submission) -> JobState:
        """Put a job into the queue."""
        queue, order = self._require_queue(), Order(submission.priority)
        arguments = (submission.job, submission.preset, submission.name or "", order)
        with recorded_action(self.runs.root, "submit") as runs:
            directory = await asyncio.to_thread(queue.submit, *arguments)
            runs.append(directory.name)
        return make_job_state(directory)

    async def stop_job(self, name: str) -> JobState:
        """Stop a job; it can be resumed."""
        directory = self.runs.find_run(name)
        try:
            with recorded_action(self.runs.root, "stop", name):
                await asyncio.to_thread(stop_run, directory)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        return make_job_state(directory)

    async def resume_job(self, name: str, extension: Extension | None = None) -> JobState:
        """Resume a job from its last checkpoints, perhaps with a larger budget."""
        directory = self.runs.find_run(name)
        if (state := get_run_state(directory)[0]) in ("running", "queued"):
            raise HTTPException(409, f"{name} is already {state}.")
        given = {field: n for field, n in vars(extension or Extension()).items() if n is not None}
        with recorded_action(self.runs.root, "resume", name):
            await asyncio.to_thread(self._require_queue().resume, directory, given)
        return make_job_state(directory)

    async def stop_trial(self, name: str, trial: str) -> TrialSummary:
        """Stop a trial after its next result, or at once if it waits at a rung."""
        outcome, directory = await self._find_trial(name, trial), self.runs.find_run(name)
        if outcome.end_reason is not None or get_run_state(directory)[0] != "running":
            raise HTTPException(
                409, f"Trial {trial} of {name} does not run: {outcome.status_text}."
            )
        with recorded_action(self.runs.root, "stop", name, trial):
            await asyncio.to_thread(request_stop, directory, trial)
        return outcome.summarise()

    async def resume_trial(self, name: str, trial: str) -> TrialSummary:
        """Resume a trial that was stopped by hand, at once or after the job's other trials."""
        outcome, directory = await self._find_trial(name, trial), self.runs.find_run(name)
        queue = self._require_queue()
        if outcome.end_reason != "stopped":
            raise HTTPException(
                409, f"Trial {trial} was not stopped by hand: {outcome.status_text}."
            )
        # Without an order its driver is not the queue's, which could therefore not start the next
        # one.
        if get_run_state(directory)[0] == "running" and read_order(directory) is None:
            raise HTTPException(409, f"{name} runs elsewhere: resume the trial when it has ended.")
        # In this order: a driver that starts at once must find the trial open.
        with recorded_action(self.runs.root, "resume", name, trial):
            await asyncio.to_thread(reopen_trial, directory, trial, outcome.iterations)
            await asyncio.to_thread(queue.resume, directory)
        return (await self._find_trial(name, trial)).summarise()

    async def _query_run(self, name: str, query: Callable[[RunView], T]) -> T:
        """Query the view of a run after its log has been read to the end."""
        if not (self.runs.find_run(name) / "events.jsonl").is_file():
            raise HTTPException(409, f"{name} has not started, so it has no results yet.")
        view = self.runs.find_view(name)
        await view.read()
        return await view.query(query)

    async def _find_trial(self, name: str, trial: str) -> TrialOutcome:
        trials = (await self._query_run(name, RunView.build_outcome)).trials
        outcome = next((t for t in trials if t.id == trial), None)
        if outcome is None:
            raise HTTPException(404, f"{name} has no trial {trial!r}.")
        return outcome

    def _require_queue(self) -> RunQueue:
        if self.queue is None:
            raise HTTPException(409, "A dashboard cannot start runs: use `rungwise service`.")
        return self.queue


def make_job_state(directory: Path) -> JobState:
    """Return the state of a run, from its small files and the ends of its log."""
    from tune_jobs.jobs.job_yaml import load_job

    state, message = get_run_state(directory)
    order, log = read_order(directory), directory / "events.jsonl"
    row = read_log_ends(log)[0] if log.is_file() else None
    job: JobRow | Job | None = row
    if row is None and (file := directory / "job.yaml").is_file():
        try:
            job = load_job(file)
        except InputError as error:  # of another version, perhaps: the other runs are listed, too
            message = "; ".join(filter(None, [message, str(error)]))
    trials = read_number_of_trials(directory, job.trials) if job else 0
    summary = (job.env, job.algo, trials) if job else ("", "", 0)
    return JobState(directory.name, state, message, order and order.priority, *summary)


async def _respond_http_error(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _respond_input_error(_: Request, error: InputError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)


async def _respond_validation_error(_: Request, error: RequestValidationError) -> Response:
    """Respond with the first error of a request."""
    first = error.errors()[0]
    path = ".".join(map(str, first["loc"]))
    return JSONResponse({"error": f"{path}: {first['msg']}."}, status_code=422)
