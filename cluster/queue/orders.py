"""Which runs are to be driven, and by whom they are: two small files in each run's directory.

``order.json`` is there while a run waits or is driven. ``driver.lock`` is locked as long as its
driver lives (:mod:`tune_jobs.run_log.driver_lock`); so a service that comes back after ``kill -9``
knows which of its drivers are still at work.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from pathlib import Path
from typing import Literal

from tune_jobs.formatting import format_duration
from tune_jobs.run_log.driver_lock import describe_lost_driver, has_driver
from tune_jobs.run_log.events import read_log_ends

RUN_NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
"""What a run may be called: a name that is safe as a directory and in an address."""
ORDER, DRIVER_LOG = "order.json", "driver.log"
SILENT_AFTER_S = 120
"""Seconds without a row after which a run that nobody here drives is called silent."""
RunState = Literal["queued", "running", "failed", "ended", "interrupted", "stopped", "silent"]
ENDS: dict[str, RunState] = {"done": "ended", "error": "failed", "stopped": "stopped"}
"""The state of a run by the reason of its end; by any other it was interrupted."""


@dataclasses.dataclass(frozen=True)
class Order:
    """That a run is to be driven."""

    priority: int = 0
    ordered_at: float = 0.0
    """When it was ordered, in seconds since 1970."""
    num_starts: int = 0
    """How often a driver was started for it."""
    log_size: int = 0
    """Bytes of the run's log at the latest of these."""
    restart_after_end: bool = False
    """When its driver ends it goes on once more: a trial was resumed meanwhile."""
    failure: str = ""
    """Why no driver is started any more."""


def read_order(directory: Path) -> Order | None:
    """The order of a run, if there is one."""
    try:
        given = json.loads((directory / ORDER).read_text())
    except FileNotFoundError:
        return None
    known = {field.name for field in dataclasses.fields(Order)}
    return Order(**{name: value for name, value in given.items() if name in known})


def write_order(directory: Path, order: Order) -> None:
    """Keep an order, in one step."""
    unfinished = directory / f".{ORDER}.{os.getpid()}"
    unfinished.write_text(json.dumps(dataclasses.asdict(order)))
    unfinished.replace(directory / ORDER)


def delete_order(directory: Path) -> None:
    """The run is not to be driven any more."""
    (directory / ORDER).unlink(missing_ok=True)


def list_orders(root: Path) -> list[tuple[Path, Order]]:
    """All orders below a directory, those that are to begin first in front."""
    found = [(path.parent, read_order(path.parent)) for path in root.glob(f"*/{ORDER}")]
    known = [(directory, order) for directory, order in found if order is not None]
    return sorted(known, key=lambda pair: (-pair[1].priority, pair[1].ordered_at))


def get_run_state(directory: Path) -> tuple[RunState, str]:
    """How a run stands, and more about that in words."""
    log, order = directory / "events.jsonl", read_order(directory)
    if has_driver(directory):
        return "running", ""
    if order is not None:
        return ("failed", order.failure) if order.failure else ("queued", "")
    if not log.is_file():
        return "stopped", "stopped before it began"
    if end := read_log_ends(log)[1]:
        state = ENDS.get(end.reason, "interrupted")
        return state, f"failed: {end.sentence}" if state == "failed" else ""
    if said := describe_lost_driver(directory):
        return "failed", f"failed: {said}"
    # Driven from another machine whose locks are not seen here, or left behind there.
    quiet = time.time() - log.stat().st_mtime
    return (
        ("running", "")
        if quiet < SILENT_AFTER_S
        else ("silent", f"silent for {format_duration(quiet)}")
    )
