"""The program of one trial: its folder, its start, and where its log is."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

from rungwise.logs.formats.tail import HALF_LINES, find_half_line
from tune_jobs.jobs.job import Job
from tune_jobs.jobs.program_settings import fill, fill_command, list_placeholders, split_command
from tune_jobs.jobs.trials import TrialPlan, derive_trial_seed, get_trial_number
from tune_jobs.programs.followed_program import FollowedProgram, Reached
from tune_jobs.programs.log_follower import LogFollower
from tune_jobs.programs.log_places import LogPlaces
from tune_jobs.programs.process import (
    GRACE_S,
    ProgramProcess,
    end_with_this_process,
    find_program,
    read_start_time,
    start_program,
)

CLOCK_S = 2.0
"""How far the clocks of two file systems may be apart."""
BEFORE = "before_s"
"""File of a program's folder: the training time before its start, whatever clocks say."""
CUT = "half_lines.json"
"""File of the last lines of its logs, as an end without warning left them: see ``HALF_LINES``."""


def get_program_folder(directory: Path, trial: str) -> Path:
    """Return the folder of a trial's program: its output, and what it writes to `{out}`."""
    return directory.absolute() / "programs" / trial


def can_continue(job: Job, folder: Path, reached: int) -> bool:
    """Return whether a start of a trial's program continues what it wrote until an iteration."""
    return bool(job.program.resume) and reached > 0 and (folder / "out").exists()


def open_trial_program(
    job: Job,
    plan: TrialPlan,
    directory: Path,
    process: ProgramProcess | None,
    reached: Reached,
    *,
    is_guarded: bool = False,
) -> FollowedProgram:
    """Follow the program of a trial, and start it first unless it was left to be followed.

    Args:
        job: whose trials are programs.
        plan: the trial.
        directory: the run directory.
        process: its program, running or ended, where one was left; None to start it.
        reached: what is reported already.
        is_guarded: whether a program that is started ends with this process.

    Raises:
        InputError: there is no such program.
    """
    folder = get_program_folder(directory, plan.trial)
    continues = can_continue(job, folder, reached.iteration)
    if process is None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BEFORE).write_text(str(reached.trained_s))
        process = _start(job, plan, folder, continues=continues)
        if is_guarded:
            end_with_this_process(folder)
    before_s = reached.before_s if process.started == reached.started else reached.trained_s
    with suppress(FileNotFoundError):  # an earlier version has started it
        before_s = float((folder / BEFORE).read_text())
    if continues:
        _know_half_lines(folder)
    log = _find_log(job, folder, process, continues=continues)
    return FollowedProgram(job, plan.trial, process, log, reached, before_s)


def _start(job: Job, plan: TrialPlan, folder: Path, *, continues: bool) -> ProgramProcess:
    """Start the program of a trial, which may continue what it wrote before to its folder."""
    settings, out = job.program, folder / "out"
    if out.exists() and not continues:
        # Its old log would be read as that of the new start.
        others = (folder.with_name(f"{plan.trial}-{i}") for i in count(1))
        out.rename(next(path for path in others if not path.exists()))
    out.mkdir(parents=True, exist_ok=True)
    if continues:
        _remember_half_lines(folder, LogFollower(*_find_places(job, folder, Path.cwd())))
    else:
        _forget_half_lines(folder)
    values = {
        "seed": derive_trial_seed(job.seed, get_trial_number(plan.trial)),
        **plan.config,
        "trial": plan.trial,
        "out": out,
        "checkpoint": out,
    }
    variables = {name: fill(text, values) for name, text in settings.environment.items()}
    return start_program(
        fill_command(settings, values, continues=continues), folder, os.environ | variables
    )


def _find_log(job: Job, folder: Path, process: ProgramProcess, *, continues: bool) -> LogFollower:
    """Return the log of a program; what is older than its start is part of it if continued."""
    roots, pattern = _find_places(job, folder, process.directory)
    same_clock = len({path.stat().st_dev for path in (folder, *roots)}) == 1
    since = 0 if continues else read_start_time(folder) - (0 if same_clock else CLOCK_S)
    outside = None
    if not job.program.log and job.trials == 1:  # of several, places outside may be shared
        command = split_command(job.program.command)
        outside = LogPlaces(process, command, [folder, process.directory])
    return LogFollower(roots, pattern, job.program.rename, since, outside)


def _find_places(job: Job, folder: Path, working: Path) -> tuple[list[Path], str]:
    """Return below which folders a program logs, and the pattern of its logs."""
    pattern = Path(job.program.log)
    if pattern.is_absolute():
        return [Path(pattern.anchor)], str(pattern.relative_to(pattern.anchor))
    # Where it is given a folder, what others write to the working directory is not its log.
    roots = [folder] if "out" in list_placeholders(job.program) else [folder, working]
    return roots, job.program.log


def _remember_half_lines(folder: Path, logs: LogFollower) -> None:
    """Add what stands behind the last line breaks now, before the program is continued."""
    half_lines = _read_half_lines(folder)
    for path in logs.list_new_files():
        with suppress(OSError):  # not ours to read
            size, half = find_half_line(path)
            if half:
                half_lines.setdefault(str(path), {})[str(size)] = half.decode("latin-1")
    (folder / CUT).write_text(json.dumps(half_lines))


def _know_half_lines(folder: Path) -> None:
    for path, places in _read_half_lines(folder).items():
        halves = {int(end): half.encode("latin-1") for end, half in places.items()}
        HALF_LINES.setdefault(Path(path), {}).update(halves)


def _forget_half_lines(folder: Path) -> None:
    """Forget those of an earlier start: a new log may have other lines at the same places."""
    for path in _read_half_lines(folder):
        HALF_LINES.pop(Path(path), None)
    (folder / CUT).unlink(missing_ok=True)


def _read_half_lines(folder: Path) -> dict[str, dict[str, str]]:
    with suppress(FileNotFoundError, ValueError):  # the disk was full
        return json.loads((folder / CUT).read_text())
    return {}


def end_programs(directory: Path, grace_s: float = GRACE_S) -> None:
    """End all programs of a run that still run on this machine, at the same time.

    Args:
        directory: the run directory.
        grace_s: seconds between two signals.
    """
    folders = (directory.absolute() / "programs").glob("*")
    running = [p for folder in folders if (p := find_program(folder)) and p.is_running]
    with ThreadPoolExecutor(len(running) or 1) as threads:
        for program in running:
            threads.submit(program.end, grace_s)
