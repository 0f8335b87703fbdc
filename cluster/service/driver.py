"""The process that drives one run of the queue: ``python -m cluster.service.driver RUN ADDRESS``.

It starts the run or goes on with it, and needs nobody: the service may end and come back.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.session import session
from envs.validation import InputError
from tune_jobs.wishes import JOB, forget


def drive(directory: Path, address: str, cpus: int | None) -> None:
    """Run a prepared job to its end, or to the wish that it stops."""
    from tune_jobs.loading import read_job
    from tune_jobs.run import check_room, resume, start

    forget(directory, JOB)
    job = read_job(directory / "job.yaml")
    if address == "local":
        check_room(job, cpus)
    with session(address, cpus):
        if (directory / "events.jsonl").exists():
            resume(directory, lambda _: None)
        else:
            start(job, directory, lambda _: None)


def main() -> None:
    """Drive the run named on the command line; its errors are sentences on stderr."""
    from tune_jobs.run import DiskFull

    directory, address, *cpus = sys.argv[1:]
    try:
        drive(Path(directory), address, int(cpus[0]) if cpus else None)
    except (InputError, DiskFull) as error:
        sys.exit(f"rungwise: {error}")


if __name__ == "__main__":
    main()
