"""Process that drives one run of the queue, holding the lock that the queue acquired for it.

``python -m cluster.queue.driver RUN ADDRESS LOCK [CPUS]`` starts or continues the run. It does not
depend on the service, which may end and restart meanwhile.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.queue.orders import Order, read_order, write_order
from rungwise.interruption import (
    TERMINATED,
    received_sigterm,
    run_last_words,
    treat_sigterm_as_ctrl_c,
)
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.user_packages import extend_packages
from rungwise.validation import InputError
from tune_jobs.env_module import restore_module
from tune_jobs.ray_session import RayStartError, ray_session


def drive_run(directory: Path, address: str, lock: int, cpus: int | None) -> None:
    """Run a prepared job until it ends or a stop is requested."""
    from tune_jobs.session.prepare import check_machine, check_reporting, open_run
    from tune_jobs.session.run_lifecycle import drive, end_interrupted

    def write_last_words() -> None:
        end_interrupted(directory)
        _renew_order(directory)

    # The lock has been held since before this process started, so no other process could take the
    # run in between.
    with hold_driver_lock(directory, lock), run_last_words(write_last_words):
        restore_module(directory, required=True)
        job, _ = open_run(directory)
        check_machine(job, address, cpus)
        check_reporting(job)
        with ray_session(address, cpus, directory):
            drive(directory, lambda _: None)


def main() -> None:
    """Drive the run of the command line and print its errors on stderr."""
    from tune_jobs.disk_space import DiskFullError
    from tune_jobs.session.run_lifecycle import DriverError

    treat_sigterm_as_ctrl_c()
    if str(Path.cwd()) not in sys.path:  # as on the command line
        sys.path.insert(0, str(Path.cwd()))
    extend_packages()
    directory, address, lock, *cpus = sys.argv[1:]
    try:
        drive_run(Path(directory), address, int(lock), int(cpus[0]) if cpus else None)
    except (InputError, DiskFullError, DriverError, RayStartError) as error:
        sys.exit(f"rungwise: {error}")
    # A stop is no error: the queue reads from the log how the run ended.
    except KeyboardInterrupt:
        pass
    if received_sigterm():  # its machine shuts down, perhaps: the next service starts the run again
        _renew_order(Path(directory))
        sys.exit(TERMINATED)


def _renew_order(directory: Path) -> None:
    """Reset the order of a run as if no driver had been started for it."""
    # A machine that shuts down must not use up the starts of its runs.
    if order := read_order(directory):
        write_order(directory, Order(order.priority, order.ordered_at))


if __name__ == "__main__":
    main()
