"""Orders to drive a run, and the state of a run, from small files in its directory.

``order.json`` exists while a run waits or is driven. ``driver.lock`` is locked while its driver
lives (:mod:`rungwise.run_log.driver_lock`), so a service that restarts after ``kill -9`` knows
which of its drivers still run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rungwise.formatting import format_duration
from rungwise.run_log.driver_lock import describe_lost_driver, has_driver
from rungwise.run_log.event_log import read_job_end
from rungwise.whole_file import replace_whole

if TYPE_CHECKING:
    from pydantic import TypeAdapter

RUN_NAME_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
"""Valid names of runs: safe as directory names and in URLs. For ``fullmatch``: to ``match`` a name
may end with a line break."""
ORDER, DRIVER_LOG = "order.json", "driver.log"
SILENT_AFTER_S = 120
"""Seconds without a row after which a run without a driver on this machine is silent."""
RunState = Literal["queued", "running", "failed", "ended", "interrupted", "stopped", "silent"]
ENDS: dict[str, RunState] = {"done": "ended", "error": "failed", "stopped": "stopped"}
"""The state of a run by the reason of its end; every other reason means interrupted."""


@dataclasses.dataclass(frozen=True)
class Order:
    """An order to drive a run."""

    priority: int = 0
    ordered_at: float = 0.0
    """Time of the order, in seconds since 1970."""
    num_starts: int = 0
    """Number of drivers started for it."""
    log_size: int = 0
    """Size of the event log at the last of these starts, in bytes."""
    num_lost: int = 0
    """The latest of these starts whose driver was found lost; 0 for none."""
    restart_after_end: bool = False
    """Whether to start another driver when this one ends: a trial was resumed meanwhile."""
    waits: str = ""
    """Why no driver is started for now; empty while its turn decides."""
    failure: str = ""
    """Why no more drivers are started; empty while they are."""


@functools.cache
def _make_reader() -> TypeAdapter[Order]:
    from pydantic import TypeAdapter  # late: the state of a run without an order needs none

    return TypeAdapter(Order)


def read_order(directory: Path) -> Order | None:
    """Return the order of a run; None if there is none, one with a failure if it is damaged."""
    path = directory / ORDER
    try:
        data = path.read_bytes()
        # Unknown fields are ignored: an order of another version must not stop the queue.
        return _make_reader().validate_json(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        failure = f"its {ORDER} cannot be read ({why}): resume the run to order it anew"
        return Order(failure=failure)


def write_order(directory: Path, order: Order) -> None:
    """Write the order of a run atomically.

    Raises:
        OSError: the disk is full, or the directory was deleted.
    """
    with replace_whole(directory / ORDER) as unfinished, unfinished.open("w") as file:
        file.write(json.dumps(dataclasses.asdict(order)))
        file.flush()
        # A power failure may otherwise keep the new name and lose what is in the file.
        os.fsync(file.fileno())


def delete_order(directory: Path) -> None:
    """Delete the order of a run."""
    (directory / ORDER).unlink(missing_ok=True)


def list_orders(root: Path) -> list[tuple[Path, Order]]:
    """List the orders below a directory, the first to start first."""
    read = [(path.parent, read_order(path.parent)) for path in root.glob(f"*/{ORDER}")]
    # Another process may have deleted an order since its path was listed.
    orders = [(directory, order) for directory, order in read if order is not None]
    return sorted(orders, key=lambda pair: (-pair[1].priority, pair[1].ordered_at))


def _read_clock(directory: Path) -> float:
    """Return the time by the clock of a file system, which that of this machine may differ from."""
    with suppress(OSError), tempfile.TemporaryFile(dir=directory) as file:
        return os.fstat(file.fileno()).st_mtime
    return time.time()  # it cannot be written


def get_run_state(directory: Path) -> tuple[RunState, str]:
    """Return the state of a run, and a message that explains it."""
    log, order = directory / "events.jsonl", read_order(directory)
    # The lock comes first: it is the only fact that ends with the process. Order and log outlive a
    # driver that was killed.
    if has_driver(directory):
        return "running", ""
    end = read_job_end(log, order.log_size if order else 0) if log.is_file() else None
    # The queue deletes an order at its next look after the end.
    has_ended = end is not None and end.reason != "error" and order is not None and order.num_starts
    if order is not None and (order.failure or order.restart_after_end or not has_ended):
        return ("failed", order.failure) if order.failure else ("queued", order.waits)
    if not log.is_file():
        return "stopped", "stopped before it started"
    if end:
        state = ENDS.get(end.reason, "interrupted")
        return state, f"failed: {end.sentence}" if state == "failed" else ""
    if loss := describe_lost_driver(directory):
        return "failed", f"failed: {loss}"
    # Another machine drives it, or did so until it crashed: its locks are not visible here.
    quiet = _read_clock(directory) - log.stat().st_mtime
    return (
        ("running", "")
        if quiet < SILENT_AFTER_S
        else ("silent", f"silent for {format_duration(quiet)}")
    )
