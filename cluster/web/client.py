"""Client of the service, in the types that the service itself uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from pydantic import TypeAdapter

from cluster.web.schemas import ControlAction, Curve, JobDetails, JobState, Submission
from rungwise.run_log.events import CheckpointRow, FindingRow
from rungwise.run_log.trial_outcome import TrialSummary
from rungwise.validation import InputError

T = TypeVar("T")
TIMEOUT_S = 120.0
"""Longest time to wait for an answer."""


class Client:
    """Client of a service.

    Args:
        url: address of the service, such as ``http://127.0.0.1:8470``.
        token: token of the service.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url.rstrip("/"), token

    def list_jobs(self) -> list[JobState]:
        """List the jobs, the last changed first."""
        return self._request(list[JobState], "")

    def submit(self, submission: Submission) -> JobState:
        """Put a job into the queue."""
        return self._request(JobState, "", asdict(submission))

    def get_job(self, name: str) -> JobDetails:
        """Return a job with its trials."""
        # Slashes are quoted, too: a name must not address another endpoint.
        return self._request(JobDetails, f"/{quote(name, '')}")

    def control_job(
        self, name: str, action: ControlAction, extension: Mapping[str, int] | None = None
    ) -> JobState:
        """Stop or resume a job; the extension is a larger budget, such as ``{"trials": 64}``."""
        # With a body, if an empty one, urllib sends a POST.
        return self._request(JobState, f"/{quote(name, '')}/{action}", extension or {})

    def control_trial(self, name: str, trial: str, action: ControlAction) -> TrialSummary:
        """Stop or resume a trial."""
        return self._request(
            TrialSummary, f"/{quote(name, '')}/trials/{quote(trial, '')}/{action}", {}
        )

    def list_findings(self, name: str) -> list[FindingRow]:
        """List the findings of the health rules."""
        return self._request(list[FindingRow], f"/{quote(name, '')}/findings")

    def list_checkpoints(self, name: str) -> list[CheckpointRow]:
        """List the checkpoints that exist."""
        return self._request(list[CheckpointRow], f"/{quote(name, '')}/checkpoints")

    def get_curves(self, name: str, metric: str = "") -> list[Curve]:
        """Return a metric of every trial by iteration; without a name, the score."""
        query = urlencode({"metric": metric})
        return self._request(list[Curve], f"/{quote(name, '')}/metrics?{query}")

    def _request(self, kind: type[T], path: str, body: Mapping[str, Any] | None = None) -> T:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            request = Request(f"{self.url}/api/jobs{path}", data, headers)
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return TypeAdapter(kind).validate_json(answer.read())
        except HTTPError as error:
            raise InputError(_read_error(error)) from error
        # OSError: nothing listens, or it ends during the request. The others: another program
        # answers, or the address is no URL.
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "reason", error)
            raise InputError(
                f"There is no service at {self.url} ({why}): start one with `rungwise service`, or "
                "give its address with --service."
            ) from error


def _read_error(error: HTTPError) -> str:
    """Return the message of the service about a request that it refuses."""
    try:
        return str(json.loads(error.read())["error"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return f"{error.url} answers {error.code}: give the address of a Rungwise service."
