"""A client of the service, in the types that the service itself uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from pydantic import TypeAdapter

from cluster.web.schemas import ControlAction, Curve, JobDetails, JobState, Submission, TrialState
from envs.validation import InputError
from tune_jobs.run_log.events import CheckpointRow, FindingRow

T = TypeVar("T")


class Client:
    """Talks to a service.

    Args:
        url: where it listens, such as ``http://127.0.0.1:8470``.
        token: its token.
        seconds: how long an answer may take.
    """

    def __init__(self, url: str, token: str, timeout_s: float = 120.0) -> None:
        self.url, self.token, self.seconds = url.rstrip("/"), token, timeout_s

    def list_jobs(self) -> list[JobState]:
        """All jobs, the last changed first."""
        return self._ask(list[JobState], "")

    def submit(self, submission: Submission) -> JobState:
        """Put a job into the queue."""
        return self._ask(JobState, "", asdict(submission))

    def get_job(self, name: str) -> JobDetails:
        """A job with its trials."""
        return self._ask(JobDetails, f"/{quote(name, '')}")

    def control_job(self, name: str, action: ControlAction) -> JobState:
        """Stop or resume a job."""
        return self._ask(JobState, f"/{quote(name, '')}/{action}", {})

    def control_trial(self, name: str, trial: str, action: ControlAction) -> TrialState:
        """Stop or resume a trial."""
        return self._ask(TrialState, f"/{quote(name, '')}/trials/{quote(trial, '')}/{action}", {})

    def list_findings(self, name: str) -> list[FindingRow]:
        """What the health rules saw."""
        return self._ask(list[FindingRow], f"/{quote(name, '')}/findings")

    def list_checkpoints(self, name: str) -> list[CheckpointRow]:
        """The checkpoints that are there."""
        return self._ask(list[CheckpointRow], f"/{quote(name, '')}/checkpoints")

    def get_curves(self, name: str, metric: str = "") -> list[Curve]:
        """A metric (the score without a name) of every trial by iteration."""
        asked = urlencode({"metric": metric})
        return self._ask(list[Curve], f"/{quote(name, '')}/metrics?{asked}")

    def _ask(self, kind: type[T], path: str, body: Mapping[str, Any] | None = None) -> T:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            request = Request(f"{self.url}/api/jobs{path}", data, headers)
            with urlopen(request, timeout=self.seconds) as answer:
                return TypeAdapter(kind).validate_json(answer.read())
        except HTTPError as error:
            raise InputError(_sentence(error)) from error
        except (URLError, TimeoutError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise InputError(
                f"There is no service at {self.url} ({why}): start one with `rungwise service`, or "
                "say where it is with --service."
            ) from error


def _sentence(error: HTTPError) -> str:
    """What the service says about a request that it refuses."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answers {error.code}, so it is no service of Rungwise."
