# pyright: basic
"""Runs that are copied to an object storage, and what is in a copy."""

import shutil
import threading
from contextlib import contextmanager

from synthetic_sweep import job_row, result

from rungwise.run_log.event_log import EventLog
from rungwise.run_log.events import CheckpointRow, VideoRow
from tune_jobs.session.object_storage import Mirror, copy_until
from tune_jobs.session.stored_run import fetch_run


def begun(directory, checkpoints):
    """A run with some checkpoints, which the log names."""
    directory.mkdir(exist_ok=True)
    (directory / "job.yaml").write_text("env: CartPole-v1\n")
    log = EventLog(directory / "events.jsonl")
    log.append(job_row())
    for at in checkpoints:
        (directory / "trials" / f"checkpoint_{at}").mkdir(parents=True)
        (directory / "trials" / f"checkpoint_{at}" / "weights").write_text(f"{at}")
        log.append(result("00", at, 0.5))
        log.append(CheckpointRow(trial="00", iteration=at, path=f"trials/checkpoint_{at}"))
    return directory


def list_files(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def fetch(uri, directory):
    fetch_run(uri, directory)
    return list_files(directory)


def make_full(run, number):
    """A run with all kinds of files, and after a step the same with some new and some deleted."""
    run.mkdir(parents=True, exist_ok=True)
    begun(run, [number])
    shutil.rmtree(run / "trials" / f"checkpoint_{number - 1}", ignore_errors=True)
    for name in (f"videos/{number}.mp4", "programs/00/out/model", f"programs/00/out/{number}"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(f"{name} {number}" * number)
    (run / f"programs/00/out/{number - 1}").unlink(missing_ok=True)
    EventLog(run / "events.jsonl").append(
        VideoRow(trial="00", checkpoint="", path=f"videos/{number}.mp4")
    )
    (run / "report.html").write_text("<p>" * number)
    return run


@contextmanager
def copying(run, uri):
    """Copy a run in this process, which may have faults planted, until the block ends."""
    stop = threading.Event()
    copier = threading.Thread(target=copy_until, args=(stop, Mirror(run, uri)))
    copier.start()
    try:
        yield
    finally:
        stop.set()
        copier.join()
