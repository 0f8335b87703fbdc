"""The addresses of the service below ``/api``; ``/api/openapi.json`` describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cluster.dashboard.run_index import RunIndex
from cluster.dashboard.run_view import RunView
from cluster.queue.orders import Order, get_run_state, read_order
from cluster.queue.run_queue import RunQueue, reopen_trial, stop_run
from cluster.web.schemas import Curve, ErrorResponse, JobDetails, JobState, Submission, TrialState
from envs.validation import InputError
from tune_jobs.run_log.events import CheckpointRow, FindingRow, read_log_ends
from tune_jobs.run_log.json_types import to_json_types
from tune_jobs.run_log.outcome import Outcome
from tune_jobs.run_log.stop_requests import request_stop
from tune_jobs.run_log.trial_outcome import TrialOutcome

MOST = 400
"""Points of a curve."""
T = TypeVar("T")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The request is no HTTP as it should be"},
    401: {"model": ErrorResponse, "description": "No token, or another one"},
    403: {"model": ErrorResponse, "description": "The page of another site asks"},
    404: {"model": ErrorResponse, "description": "There is no such job or trial"},
    409: {"model": ErrorResponse, "description": "It cannot be done as things stand"},
    413: {"model": ErrorResponse, "description": "Too large"},
    422: {"model": ErrorResponse, "description": "Something in it cannot be used"},
}


def make_api(routes: list[Route], runs: RunIndex, queue: RunQueue | None) -> FastAPI:
    """The addresses beside others that are given; without a queue nothing can be started."""
    made = FastAPI(
        title="Rungwise",
        version="1",
        description="Runs: submitted, watched, stopped and resumed. Every refusal is a sentence.",
        routes=list(routes),
        openapi_url="/api/openapi.json",
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        responses=_REFUSALS,
        exception_handlers={
            HTTPException: _respond_http_error,
            InputError: _respond_input_error,
            RequestValidationError: _respond_validation_error,
        },
    )
    desk = ApiHandlers(runs, queue)
    job, trial = "/api/jobs/{name}", "/api/jobs/{name}/trials/{trial}"
    reading: list[tuple[str, Callable[..., Any]]] = [
        ("/api/jobs", desk.list_jobs),
        (job, desk.get_job),
        (f"{job}/findings", desk.list_findings),
        (f"{job}/checkpoints", desk.list_checkpoints),
        (f"{job}/metrics", desk.get_curves),
    ]
    acting: list[tuple[str, Callable[..., Any]]] = [
        (f"{job}/stop", desk.stop_job),
        (f"{job}/resume", desk.resume_job),
        (f"{trial}/stop", desk.stop_trial),
        (f"{trial}/resume", desk.resume_trial),
    ]
    for path, answer in reading:
        made.add_api_route(path, answer)
    made.add_api_route("/api/jobs", desk.submit, methods=["POST"], status_code=201)
    for path, answer in acting:
        made.add_api_route(path, answer, methods=["POST"])
    return made


class ApiHandlers:
    """Answers what is asked below ``/api``; the docstrings are its description there."""

    def __init__(self, runs: RunIndex, queue: RunQueue | None) -> None:
        self.runs, self.queue = runs, queue

    async def list_jobs(self) -> list[JobState]:
        """All jobs, the last changed first."""
        return await asyncio.to_thread(lambda: [make_job_state(d) for d in self.runs.list_runs()])

    async def get_job(self, name: str) -> JobDetails:
        """A job with its trials."""
        state = await asyncio.to_thread(make_job_state, self.runs.find_run(name))
        return make_job_details(state, await self._ask(name, RunView.build_outcome))

    async def list_findings(self, name: str) -> list[FindingRow]:
        """What the health rules saw."""
        return list((await self._ask(name, RunView.build_outcome)).findings)

    async def list_checkpoints(self, name: str) -> list[CheckpointRow]:
        """The checkpoints that are there: of each trial the latest and the best are kept."""

        def question(board: RunView) -> list[CheckpointRow]:
            rows = [row for _, row in board.other_rows if isinstance(row, CheckpointRow)]
            return [row for row in rows if (board.directory / row.path).is_dir()]

        return await self._ask(name, question)

    async def get_curves(
        self,
        name: str,
        metric: Annotated[str, Query(description="Its name; the score without one")] = "",
    ) -> list[Curve]:
        """A metric of every trial by iteration."""

        def question(board: RunView) -> list[Curve]:
            curves = {
                trial: board.get_curve(trial, metric, MOST) for trial in sorted(board.trial_results)
            }
            return [
                Curve(trial, metric, [x for x, _ in points], [y for _, y in points])
                for trial, points in curves.items()
            ]

        return await self._ask(name, question)

    async def submit(self, submission: Submission) -> JobState:
        """Put a job into the queue."""
        queue, order = self._queue(), Order(submission.priority)
        given = (submission.job, submission.preset, submission.name or "", order)
        return make_job_state(await asyncio.to_thread(queue.submit, *given))

    async def stop_job(self, name: str) -> JobState:
        """Stop a job, so that it can be resumed."""
        directory = self.runs.find_run(name)
        try:
            await asyncio.to_thread(stop_run, directory)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        return make_job_state(directory)

    async def resume_job(self, name: str) -> JobState:
        """Go on with a job from its last checkpoints."""
        directory = self.runs.find_run(name)
        if (state := get_run_state(directory)[0]) in ("running", "queued"):
            raise HTTPException(409, f"{name} is {state} already.")
        await asyncio.to_thread(self._queue().resume, directory)
        return make_job_state(directory)

    async def stop_trial(self, name: str, trial: str) -> TrialState:
        """Stop a trial after its next result, or at once where it waits at a rung."""
        found, directory = await self._trial(name, trial), self.runs.find_run(name)
        if found.end_reason is not None or get_run_state(directory)[0] != "running":
            raise HTTPException(409, f"Trial {trial} of {name} does not run: {found.status_text}.")
        await asyncio.to_thread(request_stop, directory, trial)
        return make_trial_state(found)

    async def resume_trial(self, name: str, trial: str) -> TrialState:
        """Go on with a trial that was stopped by hand: now, or when the job's other trials end."""
        found, directory = await self._trial(name, trial), self.runs.find_run(name)
        queue = self._queue()
        if found.end_reason != "stopped":
            raise HTTPException(409, f"Trial {trial} was not stopped by hand: {found.status_text}.")
        if get_run_state(directory)[0] == "running" and read_order(directory) is None:
            raise HTTPException(409, f"{name} runs elsewhere: resume the trial when it has ended.")
        await asyncio.to_thread(reopen_trial, directory, trial, found.iterations)
        await asyncio.to_thread(queue.resume, directory)
        return make_trial_state(await self._trial(name, trial))

    async def _ask(self, name: str, query: Callable[[RunView], T]) -> T:
        """Ask the board of a run, once its log is read to the end."""
        if not (self.runs.find_run(name) / "events.jsonl").is_file():
            raise HTTPException(409, f"{name} has not begun, so there is nothing to tell of it.")
        while await self.runs.query_run(name, RunView.refresh):
            pass
        return await self.runs.query_run(name, query)

    async def _trial(self, name: str, trial: str) -> TrialOutcome:
        trials = (await self._ask(name, RunView.build_outcome)).trials
        found = next((one for one in trials if one.id == trial), None)
        if found is None:
            raise HTTPException(404, f"{name} has no trial {trial!r}.")
        return found

    def _queue(self) -> RunQueue:
        if self.queue is None:
            raise HTTPException(409, "This page only looks on: `rungwise service` starts runs.")
        return self.queue


def make_job_state(directory: Path) -> JobState:
    """How a run stands, from its small files and the ends of its log."""
    from tune_jobs.jobs.job_yaml import read_job

    state, said = get_run_state(directory)
    order, log = read_order(directory), directory / "events.jsonl"
    row = read_log_ends(log)[0] if log.is_file() else None
    known: Any = row
    if row is None and (file := directory / "job.yaml").is_file():
        known = read_job(file)
    about = (known.env, known.algo, known.trials) if known else ("", "", 0)
    return JobState(directory.name, state, said, order and order.priority, *about)


def make_job_details(job: JobState, outcome: Outcome) -> JobDetails:
    """A run with its trials."""
    return JobDetails(
        job=job,
        metric=outcome.job.metric,
        mode=outcome.job.mode,
        best=outcome.best.id if outcome.best else None,
        compute_saved=outcome.compute_saved,
        trials=[make_trial_state(trial) for trial in outcome.trials],
    )


def make_trial_state(trial: TrialOutcome) -> TrialState:
    """A trial."""
    return TrialState(
        id=trial.id,
        score=trial.finite_score,
        iterations=trial.iterations,
        budget=trial.budget,
        end_reason=trial.end_reason,
        status_text=trial.status_text,
        config=to_json_types(trial.config),
        checkpoint=trial.checkpoint,
    )


async def _respond_http_error(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _respond_input_error(_: Request, error: InputError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)


async def _respond_validation_error(_: Request, error: RequestValidationError) -> Response:
    """The first thing that is wrong with a request, in a sentence."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return JSONResponse({"error": f"{place}: {first['msg']}."}, status_code=422)
