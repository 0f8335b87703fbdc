"""Judge every run at some paths as if it were live, and account for what that would have done."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.health.record import describe_record, format_share
from rungwise.logs.discovery import LeftOut
from rungwise.logs.names.name_matching import check_rename
from rungwise.logs.read_logs import LogSource, find_sources, name_source
from rungwise.validation import NonNegative, check_value
from tune_jobs.audit.audit_cache import AuditCache
from tune_jobs.audit.replayed_run import JudgingOptions, ReplayedRun, replay_source
from tune_jobs.audit.run_groups import RunGroup, StopVerdict, group_runs
from tune_jobs.audit.sweep_savings import Scheduler, SweepSavings, replay_group

WORDS: dict[StopVerdict, str] = {
    "right": "ended in the lower two thirds of their group and did not rise afterwards",
    "wrong": "rose afterwards, by means of tenths, beyond their noise and a tenth of their range",
    "good": "did not rise afterwards, but were at their best, or in the best third of their group",
    "unknown": "have no score by which that could be said",
}
"""The words of each verdict, about the runs that would have been ended."""
FEW, CHUNK = 8, 4
"""Logs that are not worth other processes, and those that one gets at a time."""
Progress = Callable[[int, int], None]
"""Called with the logs that are judged and all of them."""


@dataclass(frozen=True)
class EndedRun:
    """A run that would have been ended."""

    run: ReplayedRun
    group: str
    verdict: StopVerdict
    is_among_best: bool
    """Whether it ended in the best third of its group."""


@dataclass(frozen=True)
class Audit:
    """All runs at some paths, judged."""

    runs: tuple[ReplayedRun, ...]
    """In the order in which their logs were found; a log that cannot be read is one, too."""
    groups: tuple[RunGroup, ...]
    sweeps: tuple[SweepSavings, ...]
    """The savings of a scheduler in each group of eight runs or more."""
    left_out: tuple[LeftOut, ...] = ()
    """Files that look like logs and were not read."""

    @cached_property
    def judged(self) -> list[ReplayedRun]:
        """The runs that could be judged."""
        return [run for run in self.runs if run.is_judged]

    @cached_property
    def unread(self) -> list[ReplayedRun]:
        """The logs that could not."""
        return [run for run in self.runs if not run.is_judged]

    @cached_property
    def ended(self) -> list[EndedRun]:
        """The runs that would have been ended."""
        return [
            EndedRun(run, group.name, group.judge_stop(run), run.name in group.best_third)
            for group in self.groups
            for run in group.runs
            if run.stop is not None
        ]

    @property
    def median_share(self) -> float:
        """How much of its length an ended run had behind it, by the median."""
        return float(np.median([e.run.stop.share for e in self.ended if e.run.stop] or [1.0]))

    def count_verdicts(self, symptom: str = "") -> Counter[StopVerdict]:
        """Count the runs that would have been ended by verdict, of one rule or of all."""
        return Counter(
            ended.verdict
            for ended in self.ended
            if ended.run.stop and symptom in ("", ended.run.stop.symptom)
        )

    @property
    def rules(self) -> list[str]:
        """The rules that would have ended runs, that which ended most first."""
        counts = Counter(ended.run.stop.symptom for ended in self.ended if ended.run.stop)
        return [name for name, _ in counts.most_common()]

    @property
    def wrong_rules(self) -> list[str]:
        """The rules that were wrong at least once."""
        return [symptom for symptom in self.rules if self.count_verdicts(symptom)["wrong"]]

    def describe_rule(self, rule: str) -> str:
        """Return how many of these runs a rule would have ended wrongly, with the upper limit."""
        wrong = self.count_verdicts(rule)["wrong"]
        return f"wrongly ended {format_share(wrong, len(self.judged))} runs"

    @property
    def saved_share(self) -> float:
        """Share of all steps that would not have been run; rows where steps are not logged.

        Runs whose logs count in different units are weighted alike within their unit: by their own
        length, as a share of the mean length of their group.
        """
        saved = total = 0.0
        for group in self.groups:
            mean = float(np.mean([run.length for run in group.runs])) or 1.0
            total += sum(run.length / mean for run in group.runs)
            saved += sum(_count_saved(run) * run.length / mean for run in group.runs)
        return saved / total if total else 0.0

    @property
    def hours(self) -> tuple[float, float]:
        """Hours saved, and hours of all runs, of logs that have times."""
        timed = [(run, run.seconds / 3600) for run in self.judged if run.seconds]
        return sum(_count_saved(run) * h for run, h in timed), sum(h for _, h in timed)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer of ``rungwise audit --json``."""
        saved_hours, hours = self.hours
        return {
            "logs": len(self.runs),
            "judged": len(self.judged),
            "groups": [
                {"name": group.name, "runs": len(group.runs), "kinds": _count_kinds(group.runs)}
                for group in self.groups
            ],
            "kinds": _count_kinds(self.judged),
            "ended": [_describe_ended(ended) for ended in self.ended],
            "verdicts": {verdict: self.count_verdicts()[verdict] for verdict in WORDS},
            "meaning": WORDS,
            "by_rule": {rule: dict(self.count_verdicts(rule)) for rule in self.rules},
            "records": {
                rule: {"here": self.describe_rule(rule), "published": describe_record(rule)}
                for rule in self.rules
            },
            "median_share": self.median_share if self.ended else None,
            "saved_share": self.saved_share,
            "saved_hours": saved_hours,
            "hours": hours,
            "warned": sum(bool(run.warned) for run in self.judged),
            "sweeps": [vars(sweep) for sweep in self.sweeps],
            "cut": [run.name for run in self.judged if run.is_cut],
            "unread": [
                {"name": run.name, "path": run.path, "why": run.note} for run in self.unread
            ],
            "left_out": [{"path": str(f.file), "why": f.why} for f in self.left_out],
            "notes": [{"name": run.name, "note": run.note} for run in self.judged if run.note],
            "health": dict.fromkeys(self.wrong_rules, "warn"),
        }


def audit(
    paths: Sequence[Path],
    options: JudgingOptions,
    *,
    group: str = "",
    scheduler: Scheduler = "asha",
    workers: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> Audit:
    """Judge every run at some paths.

    Args:
        paths: logs and folders of logs, searched to any depth.
        options: how runs are judged.
        group: regular expression that finds a group in a run's path; see :func:`group_runs`.
        scheduler: what is replayed on groups of eight runs or more; ``none`` for nothing.
        workers: processes; 0 for one on each core.
        on_progress: called after every log.

    Raises:
        InputError: there is no log at one of the paths, or a number or a name is not valid.
    """
    check_value("workers", workers, int, NonNegative)
    check_value("budget", options.budget, float, NonNegative)
    check_rename(options.rename)
    sources, left_out = _find_sources(paths, options)
    runs = [run for of_log in _replay_all(sources, options, workers, on_progress) for run in of_log]
    groups = group_runs(runs, group)
    sweeps = [] if scheduler == "none" else [replay_group(g, scheduler) for g in groups]
    return Audit(tuple(runs), tuple(groups), tuple(sweep for sweep in sweeps if sweep), left_out)


def _find_sources(
    paths: Sequence[Path], options: JudgingOptions
) -> tuple[list[tuple[str, LogSource]], tuple[LeftOut, ...]]:
    """Return all logs at the paths with their names, each once, and the files that are left out."""
    root = paths[0] if len(paths) == 1 else None
    sources: dict[str, LogSource] = {}
    left_out: dict[Path, LeftOut] = {}
    identities: set[tuple[Path, str]] = set()
    for path in paths:
        logs, others = find_sources(path, options.rename)
        left_out |= {f.file.resolve(): f for f in others}
        for source in logs:
            file, name = source.files[0], name_source(root, source)
            identity = (file.resolve(), getattr(source, "label", ""))
            if identity not in identities:
                identities.add(identity)
                sources[name if name not in sources else f"{file} {identity[1]}".strip()] = source
    # A file that is a log by another path, or for lack of any other log, is not left out.
    read = {file for file, _ in identities}
    return list(sources.items()), tuple(f for file, f in left_out.items() if file not in read)


def _replay_all(
    sources: Sequence[tuple[str, LogSource]],
    options: JudgingOptions,
    workers: int,
    on_progress: Progress,
) -> list[list[ReplayedRun]]:
    """Return the runs of each log, in the order of the logs."""
    with closing(AuditCache(options)) as cache:
        replayed = [cache.find(*source) for source in sources]
        waiting = [i for i, runs in enumerate(replayed) if runs is None]
        done = len(sources) - len(waiting)
        on_progress(done, len(sources))
        tasks = [(*sources[i], options) for i in waiting]
        judged = _run_tasks(tasks, workers or os.cpu_count() or 1)
        for index, runs in zip(waiting, judged, strict=True):
            replayed[index] = runs
            cache.keep(sources[index][1], runs)
            done += 1
            on_progress(done, len(sources))
    return [runs or [] for runs in replayed]


def _run_tasks(
    tasks: Sequence[tuple[str, LogSource, JudgingOptions]], workers: int
) -> Iterator[list[ReplayedRun]]:
    """Yield the runs of each log in the order of the logs; small numbers without processes."""
    if workers == 1 or len(tasks) < FEW:
        yield from map(_run_task, tasks)
        return
    # Spawned, because a thread of the caller may hold a lock.
    context, remaining = multiprocessing.get_context("spawn"), iter(tasks)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            for runs in pool.map(_run_task, tasks, chunksize=CHUNK):
                next(remaining)
                yield runs
        except BrokenProcessPool:
            why = "a process that judges was killed, or ran out of memory: give fewer --workers"
            for name, source, _ in remaining:
                yield [ReplayedRun(name, str(source.files[0]), source.name, note=why)]


def _run_task(task: tuple[str, LogSource, JudgingOptions]) -> list[ReplayedRun]:
    name, source, options = task
    return replay_source(source, name, options)


def _count_saved(run: ReplayedRun) -> float:
    """Return the share of a run that would not have been run."""
    return 0.0 if run.stop is None else 1 - run.stop.share


def _count_kinds(runs: Sequence[ReplayedRun]) -> dict[str, int]:
    return dict(Counter(run.kind for run in runs).most_common())


def _describe_ended(ended: EndedRun) -> dict[str, Any]:
    run = ended.run
    return {
        "name": run.name,
        "path": run.path,
        "group": ended.group,
        "verdict": ended.verdict,
        "among_best": ended.is_among_best,
        "final_score": run.final_score,
        "length": run.length,
        "counts": "steps" if run.counts_steps else "rows",
        **({} if run.stop is None else asdict(run.stop)),
    }
