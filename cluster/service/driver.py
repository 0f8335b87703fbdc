"""The process that drives one run of the queue, with the lock that the queue took for it.

``python -m cluster.service.driver RUN ADDRESS LOCK [CPUS]`` starts the run or goes on with it, and
needs nobody: the service may end and come back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.interruption import TERMINATED, last_words, terminated, treat_sigterm_as_ctrl_c
from cluster.service.orders import Order, order_of, write_order
from cluster.session import offered_cpus, session
from envs.validation import InputError
from tune_jobs.driver_lock import driving
from tune_jobs.wishes import JOB, forget


def drive_run(directory: Path, address: str, lock: int, cpus: int | None) -> None:
    """Run a prepared job to its end, or to the wish that it stops."""
    from tune_jobs.room import check_room
    from tune_jobs.run import check_reporting, drive, end_interrupted, open_run

    def say() -> None:
        end_interrupted(directory)
        _order_anew(directory)

    forget(directory, JOB)
    with driving(directory, lock), last_words(say):
        job, _ = open_run(directory)
        if address == "local":
            check_room(job, offered_cpus(cpus))
        check_reporting()
        with session(address, cpus):
            drive(directory, lambda _: None)


def main() -> None:
    """Drive the run named on the command line; its errors are sentences on stderr."""
    from cluster.answers import Failed
    from tune_jobs.room import DiskFull
    from tune_jobs.run import DriverFailed

    treat_sigterm_as_ctrl_c()
    directory, address, lock, *cpus = sys.argv[1:]
    try:
        drive_run(Path(directory), address, int(lock), int(cpus[0]) if cpus else None)
    except (InputError, DiskFull, DriverFailed, Failed) as error:
        sys.exit(f"rungwise: {error}")
    except KeyboardInterrupt:
        pass
    if terminated():  # with its machine, say: the next service begins it again
        _order_anew(Path(directory))
        sys.exit(TERMINATED)


def _order_anew(directory: Path) -> None:
    """Keep the order of a run as if no driver had been started for it."""
    if order := order_of(directory):
        write_order(directory, Order(order.priority, order.since))


if __name__ == "__main__":
    main()
