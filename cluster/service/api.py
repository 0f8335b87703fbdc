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

from cluster.dashboard.board import Board, first_and_last
from cluster.dashboard.runs import Runs
from cluster.service.messages import Curve, JobState, Progress, Refusal, Submission, TrialState
from cluster.service.orders import Order, order_of, state_of
from cluster.service.queue import Queue, let_go_on, stop
from envs.validation import InputError
from tune_jobs.events import CheckpointRow, FindingRow, plain
from tune_jobs.outcome import Outcome
from tune_jobs.trial_outcome import TrialOutcome
from tune_jobs.wishes import ask_to_stop

MOST = 400
"""Points of a curve."""
T = TypeVar("T")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The request is no HTTP as it should be"},
    401: {"model": Refusal, "description": "No token, or another one"},
    403: {"model": Refusal, "description": "The page of another site asks"},
    404: {"model": Refusal, "description": "There is no such job or trial"},
    409: {"model": Refusal, "description": "It cannot be done as things stand"},
    413: {"model": Refusal, "description": "Too large"},
    422: {"model": Refusal, "description": "Something in it cannot be used"},
}


def application(routes: list[Route], runs: Runs, queue: Queue | None) -> FastAPI:
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
            HTTPException: _said,
            InputError: _refused,
            RequestValidationError: _misread,
        },
    )
    desk = Desk(runs, queue)
    job, trial = "/api/jobs/{name}", "/api/jobs/{name}/trials/{trial}"
    reading: list[tuple[str, Callable[..., Any]]] = [
        ("/api/jobs", desk.jobs),
        (job, desk.job),
        (f"{job}/findings", desk.findings),
        (f"{job}/checkpoints", desk.checkpoints),
        (f"{job}/metrics", desk.metrics),
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


class Desk:
    """Answers what is asked below ``/api``; the docstrings are its description there."""

    def __init__(self, runs: Runs, queue: Queue | None) -> None:
        self.runs, self.queue = runs, queue

    async def jobs(self) -> list[JobState]:
        """All jobs, the last changed first."""
        return await asyncio.to_thread(lambda: [job_state(d) for d in self.runs.jobs()])

    async def job(self, name: str) -> Progress:
        """A job with its trials."""
        state = await asyncio.to_thread(job_state, self.runs.directory(name))
        return progress(state, await self._ask(name, Board.outcome))

    async def findings(self, name: str) -> list[FindingRow]:
        """What the health rules saw."""
        return list((await self._ask(name, Board.outcome)).findings)

    async def checkpoints(self, name: str) -> list[CheckpointRow]:
        """The checkpoints that are there: of each trial the latest and the best are kept."""

        def question(board: Board) -> list[CheckpointRow]:
            rows = [row for _, row in board.told if isinstance(row, CheckpointRow)]
            return [row for row in rows if (board.directory / row.path).is_dir()]

        return await self._ask(name, question)

    async def metrics(
        self,
        name: str,
        metric: Annotated[str, Query(description="Its name; the score without one")] = "",
    ) -> list[Curve]:
        """A metric of every trial by iteration."""

        def question(board: Board) -> list[Curve]:
            curves = {trial: board.curve(trial, metric, MOST) for trial in sorted(board.courses)}
            return [
                Curve(trial, metric, [x for x, _ in points], [y for _, y in points])
                for trial, points in curves.items()
            ]

        return await self._ask(name, question)

    async def submit(self, asked: Submission) -> JobState:
        """Put a job into the queue."""
        queue, order = self._queue(), Order(asked.priority)
        given = (asked.job, asked.preset, asked.name or "", order)
        return job_state(await asyncio.to_thread(queue.submit, *given))

    async def stop_job(self, name: str) -> JobState:
        """Stop a job, so that it can be resumed."""
        directory = self.runs.directory(name)
        try:
            await asyncio.to_thread(stop, directory)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        return job_state(directory)

    async def resume_job(self, name: str) -> JobState:
        """Go on with a job from its last checkpoints."""
        directory = self.runs.directory(name)
        if (state := state_of(directory)[0]) in ("running", "queued"):
            raise HTTPException(409, f"{name} is {state} already.")
        await asyncio.to_thread(self._queue().resume, directory)
        return job_state(directory)

    async def stop_trial(self, name: str, trial: str) -> TrialState:
        """Stop a trial after its next result, or at once where it waits at a rung."""
        found, directory = await self._trial(name, trial), self.runs.directory(name)
        if found.end_reason is not None or state_of(directory)[0] != "running":
            raise HTTPException(409, f"Trial {trial} of {name} does not run: {found.state}.")
        await asyncio.to_thread(ask_to_stop, directory, trial)
        return trial_state(found)

    async def resume_trial(self, name: str, trial: str) -> TrialState:
        """Go on with a trial that was stopped by hand: now, or when the job's other trials end."""
        found, directory = await self._trial(name, trial), self.runs.directory(name)
        queue = self._queue()
        if found.end_reason != "stopped":
            raise HTTPException(409, f"Trial {trial} was not stopped by hand: {found.state}.")
        if state_of(directory)[0] == "running" and order_of(directory) is None:
            raise HTTPException(409, f"{name} runs elsewhere: resume the trial when it has ended.")
        await asyncio.to_thread(let_go_on, directory, trial, found.iterations)
        await asyncio.to_thread(queue.resume, directory)
        return trial_state(await self._trial(name, trial))

    async def _ask(self, name: str, question: Callable[[Board], T]) -> T:
        """Ask the board of a run, once its log is read to the end."""
        if not (self.runs.directory(name) / "events.jsonl").is_file():
            raise HTTPException(409, f"{name} has not begun, so there is nothing to tell of it.")
        while await self.runs.ask(name, Board.refresh):
            pass
        return await self.runs.ask(name, question)

    async def _trial(self, name: str, trial: str) -> TrialOutcome:
        trials = (await self._ask(name, Board.outcome)).trials
        found = next((one for one in trials if one.id == trial), None)
        if found is None:
            raise HTTPException(404, f"{name} has no trial {trial!r}.")
        return found

    def _queue(self) -> Queue:
        if self.queue is None:
            raise HTTPException(409, "This page only looks on: `rungwise service` starts runs.")
        return self.queue


def job_state(directory: Path) -> JobState:
    """How a run stands, from its small files and the ends of its log."""
    from tune_jobs.loading import read_job

    state, said = state_of(directory)
    order, log = order_of(directory), directory / "events.jsonl"
    row = first_and_last(log)[0] if log.is_file() else None
    known: Any = row
    if row is None and (file := directory / "job.yaml").is_file():
        known = read_job(file)
    about = (known.env, known.algo, known.trials) if known else ("", "", 0)
    return JobState(directory.name, state, said, order and order.priority, *about)


def progress(job: JobState, outcome: Outcome) -> Progress:
    """A run with its trials."""
    return Progress(
        job=job,
        metric=outcome.job.metric,
        mode=outcome.job.mode,
        best=outcome.best.id if outcome.best else None,
        compute_saved=outcome.compute_saved,
        trials=[trial_state(trial) for trial in outcome.trials],
    )


def trial_state(trial: TrialOutcome) -> TrialState:
    """A trial."""
    return TrialState(
        id=trial.id,
        score=trial.finite_score,
        iterations=trial.iterations,
        budget=trial.budget,
        end_reason=trial.end_reason,
        state=trial.state,
        config=plain(trial.config),
        checkpoint=trial.checkpoint,
    )


async def _said(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _refused(_: Request, error: InputError) -> Response:
    return JSONResponse({"error": str(error)}, status_code=422)


async def _misread(_: Request, error: RequestValidationError) -> Response:
    """The first thing that is wrong with a request, in a sentence."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return JSONResponse({"error": f"{place}: {first['msg']}."}, status_code=422)
