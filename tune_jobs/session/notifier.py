"""Messages about a run to a chat or a server of the user's: one POST of JSON for each.

They are sent from a thread: a receiver that is slow or gone never delays or ends training.
"""

from __future__ import annotations

import html
import json
import socket
import sys
from collections import Counter
from http.client import HTTPMessage
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import sleep
from types import TracebackType
from typing import IO, Any, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from rungwise.formatting import count, format_duration, format_end_reason, format_identifier
from rungwise.run_log.evaluation_status import EvaluationStatus
from rungwise.run_log.events import EndRow, JobRow, Row
from rungwise.run_log.outcome import Outcome
from tune_jobs.jobs.notify_url import find_notify_url, mask_url
from tune_jobs.report.result_score import find_result_score

TRIES, PAUSE_S, TIMEOUT_S = 3, 1.0, 5.0
"""How many times a message is sent until it is taken, and the seconds between and for each time."""
WAIT_S = 5.0
"""How long the end of a run waits for its messages."""
MOST_FAILURES = 10
"""Failed trials of a session that have a message each: a sweep may lose all of its trials."""
LONGEST = 1900
"""Characters of a message; Discord refuses more than 2,000."""
# Discord's servers refuse the name that urllib gives itself.
HEADERS = {"Content-Type": "application/json", "User-Agent": "rungwise"}


class Notifier:
    """Sends the messages of a run, and warns on stderr of those that it cannot send.

    As a context, it sends a message about the error that ends the block, and waits at most
    :data:`WAIT_S` for what is not sent yet.

    Args:
        directory: the run directory; where neither its job nor the process environment gives a
            URL, no message is sent.
    """

    def __init__(self, directory: Path) -> None:
        self._url, self._run = find_notify_url(directory), directory.absolute().name
        self._bodies: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._is_sweep, self._failures = False, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.send("run_failed", str(error))
        self.finish()
        if self._thread is not None:
            self._thread.join(WAIT_S)
            if self._thread.is_alive():
                self._warn(f"was not sent in {WAIT_S:g} s, and the run does not wait for it")

    def finish(self) -> None:
        """Let the thread end once all messages are sent, without waiting for it."""
        self._bodies.put(None)

    def send(self, event: str, text: str, **facts: str) -> None:
        """Send a message from the thread.

        Args:
            event: what has happened, for programs.
            text: the same for people, in English.
            facts: more of it for programs.
        """
        if not self._url:
            return
        host = socket.gethostname()
        text = f"{self._run} on {host}: {text}"
        text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        body: dict[str, Any] = {
            # Slack and Mattermost show `text`, where & and < would begin an entity or a mention;
            # Discord shows `content` and mentions whom it names, unless that is switched off.
            "text": html.escape(text, quote=False),
            "content": text,
            "allowed_mentions": {"parse": []},
            **{"event": event, "run": self._run, "host": host},
            **facts,
        }
        self._bodies.put(json.dumps(body).encode())
        if self._thread is None:
            self._thread = Thread(target=self._send_all, name="notifier", daemon=True)
            self._thread.start()

    def observe(self, row: Row | EvaluationStatus) -> None:
        """Send a message about a trial of a sweep that has failed for good."""
        if isinstance(row, JobRow):
            self._is_sweep = row.trials > 1
        elif isinstance(row, EndRow) and row.reason == "error" and self._is_sweep:
            self._failures += 1
            if self._failures > MOST_FAILURES:
                return
            text = f"trial {row.trial} failed after {count(row.iteration, 'iteration')}: "
            text += row.sentence
            if self._failures == MOST_FAILURES:
                text += " Trials that fail from now on have no message."
            self.send("trial_failed", text, trial=row.trial, reason=row.reason)

    def send_end(self, outcome: Outcome) -> None:
        """Send a message about the end of a run that its driver has completed."""
        reason = outcome.end.reason if outcome.end else "done"
        only = outcome.trials[0] if outcome.job.trials == 1 and outcome.trials else None
        if only is not None and only.end_reason in ("health", "error"):
            event, what = "trial_failed", "failed"
            if only.end_reason == "health":
                event, what = "ended_by_health", "ended by health"
            text = f"{what} after {count(only.iterations, 'iteration')}: {only.sentence}"
            self.send(event, text, trial=only.id, reason=only.end_reason)
        else:
            self.send("run_ended", _describe_end(outcome, reason), reason=reason)

    def _send_all(self) -> None:
        opener = build_opener(_SameHost)
        while (body := self._bodies.get()) is not None:
            tries = 1
            while (problem := self._post(opener, body)) and tries < TRIES:
                sleep(PAUSE_S)
                tries += 1
            if problem:
                self._warn(f"was not taken in {tries} tries ({problem})")

    def _post(self, opener: OpenerDirector, body: bytes) -> str:
        """Send one message once; return why it was not taken, else an empty text."""
        try:
            opener.open(Request(self._url, body, HEADERS), timeout=TIMEOUT_S).close()
        except HTTPError as error:
            error.close()
            is_redirect = 300 <= error.code < 400
            return f"HTTP {error.code}" + (", a redirect elsewhere" if is_redirect else "")
        # Anything else, too: the thread has more to send. The text of an error may hold the URL.
        except Exception as error:
            reason = getattr(error, "reason", error)
            return getattr(reason, "strerror", None) or type(reason).__name__
        return ""

    def _warn(self, what: str) -> None:
        url = mask_url(self._url)
        sys.stderr.write(f"rungwise: a message of {self._run} to {url} {what}.\n")


class _SameHost(HTTPRedirectHandler):
    """Sends a message again to where it is redirected, if that is on the same host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the same POST to the other URL; None, which is an error, for another host."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.netloc != old.netloc or new.scheme not in (old.scheme, "https"):
            return None
        return Request(newurl, req.data, HEADERS)


def _describe_end(outcome: Outcome, reason: str) -> str:
    """Describe the end of a run: how long it took, how its trials ended, and its best score."""
    text = f"{reason} after {format_duration(outcome.end.seconds)}" if outcome.end else reason
    ends = Counter(format_end_reason(trial.end_reason or "interrupted") for trial in outcome.trials)
    if len(outcome.trials) > 1:
        parts = ", ".join(f"{number} {name}" for name, number in ends.most_common())
        text += f", {count(len(outcome.trials), 'trial')}: {parts}"
    text += "."
    score, best = find_result_score(outcome), outcome.best
    if score and best:
        metric = format_identifier(score.metric)
        text += f" Best: trial {best.id}, {metric} {score.text} {score.source}."
    return text
