"""The command ``audit``: what the judgement would have done with runs that are finished."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from cluster.commands.command import Command
from cluster.errors import Answer, PlainConsole
from rungwise.validation import Fraction, InputError, check_value

if TYPE_CHECKING:
    from tune_jobs.audit.audit import Audit

MOST_LISTED = 10
"""Logs that could not be judged and are listed in the terminal; the page has them all."""


@dataclass(frozen=True, kw_only=True)
class AuditCommand(Command):
    """Replay finished runs: which would have been ended, when, why, and whether that was right."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Logs and folders of logs, of whatever `doctor` reads."""
    group: str = ""
    """A regular expression that finds in a run's path the group that it is compared with; by
    default runs of one environment and metric, else of one folder."""
    budget: float = 0.0
    """How far the runs were to go, in environment steps or rows; by default each its own length."""
    metric: str = ""
    """Their score: a name of the logs or of the catalogue. By default the mean return."""
    mode: Literal["min", "max"] = "max"
    """Whether a small or a large score is good."""
    rename: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A metric name of the logs and the matching one of Rungwise: `profit=return_mean`. Can be
    given several times."""
    max_wrong: float = 1.0
    """Only rules end a run whose rate of wrongly ended published runs is at most this (a fraction,
    with 95 % confidence); the others warn."""
    scheduler: Literal["asha", "hyperband", "none"] = "asha"
    """Scheduler that is replayed, too, on groups of eight runs or more."""
    workers: int = 0
    """Processes; by default one for each core."""
    out: Path = Path("audit.html")
    """The page with all runs that would have been ended."""

    def __call__(self, console: Console) -> Answer:
        """Judge the runs, print the account and write the page.

        Raises:
            InputError: there is no log, or the page cannot be written.
        """
        from cluster.commands.diagnose import parse_renames
        from rungwise.health.record import hold_unproven
        from rungwise.logs.log_rows import RETURNS
        from rungwise.write_errors import refuse_unwritable
        from tune_jobs.audit.audit import audit
        from tune_jobs.audit.audit_page import write_audit_page
        from tune_jobs.audit.replayed_run import JudgingOptions

        check_value("--max-wrong", self.max_wrong, float, Fraction)
        if not self.paths:
            raise InputError("`rungwise audit` needs a path: a folder of logs, or a log.")
        try:
            re.compile(self.group)
        except re.error as error:
            raise InputError(f"--group {self.group} is no regular expression: {error}.") from None
        if not self.out.absolute().parent.is_dir():
            raise InputError(f"--out {self.out} is in no folder that exists.")
        options = JudgingOptions(
            budget=self.budget,
            metric=self.metric or RETURNS[0],
            mode=self.mode,
            rename=parse_renames(self.rename),
            limits=hold_unproven({}, self.max_wrong),
        )
        started = time.perf_counter()
        columns = ("judging", BarColumn(), MofNCompleteColumn(), "logs,", TimeRemainingColumn())
        with Progress(
            *columns, "left", console=PlainConsole(stderr=True), transient=True
        ) as progress:
            task = progress.add_task("judging")
            result = audit(
                self.paths,
                options,
                group=self.group,
                scheduler=self.scheduler,
                workers=self.workers,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        _print_account(result, time.perf_counter() - started, console)
        with refuse_unwritable(self.out):
            write_audit_page(result, self.out)
        console.print(f"report        {self.out}", highlight=False, soft_wrap=True)
        return result.as_dict() | {"page": str(self.out)}


def _print_account(result: Audit, seconds: float, console: Console) -> None:
    for line in format_account(result, seconds):
        console.print(line, highlight=False, soft_wrap=True)


def format_account(result: Audit, seconds: float) -> list[str]:
    """Return the lines of an audit as the terminal shows them."""
    from rungwise.formatting import count, format_duration, format_percent
    from tune_jobs.audit.audit import WORDS

    kinds = Counter(run.kind for run in result.judged).most_common()
    read = ", ".join(f"{kind} {number:,}" for kind, number in kinds)
    unread = f"{len(result.unread)} not judged, listed below" if result.unread else ""
    parts = "; ".join(filter(None, (read, unread)))
    groups = count(len(result.groups), "group")
    lines = [
        f"{count(len(result.runs), 'log')} in {groups} read in {format_duration(seconds)} "
        f"({parts})",
        "",
    ]
    verdicts = result.count_verdicts()
    at = f", after {format_percent(result.median_share)} of their length (median)"
    ended = len(result.ended)
    lines.append(f"ended early   {count(ended, 'run')}{at if ended else ''}")
    best = sum(r.verdict == "wrong" and r.is_among_best for r in result.ended)
    for verdict, words in WORDS.items():
        if verdicts[verdict] or (verdict in ("right", "wrong") and ended):
            into = f" ({best} of them into the best third)" if verdict == "wrong" and best else ""
            lines.append(f"  {verdict:8}{verdicts[verdict]:6,}: {words}{into}")
    saved_hours, hours = result.hours
    of_hours = f", {saved_hours:,.1f} of {hours:,.1f} hours" if hours else ""
    lines.append(f"saved         {format_percent(result.saved_share)} of all steps{of_hours}")
    if ended:
        counts = [(rule, result.count_verdicts(rule)) for rule in result.rules]
        by_rule = " · ".join(f"{rule} {c.total()} ({c['wrong']} wrong)" for rule, c in counts)
        lines.append(f"by rule       {by_rule}")
        records = result.as_dict()["records"].items()
        lines += [f"  {rule}: {of['here']}; elsewhere {of['published']}" for rule, of in records]
    if result.wrong_rules:
        held = ", ".join(f"{rule}: warn" for rule in result.wrong_rules)
        lines.append(f"to be safe    health: {{{held}}}")
    if sweeps := result.sweeps:
        runs = sum(sweep.runs for sweep in sweeps)
        saved = sum(sweep.saved * sweep.runs for sweep in sweeps) / runs
        regret = sum(sweep.regret for sweep in sweeps) / len(sweeps)
        lines.append(
            f"scheduler     would have saved {format_percent(saved)} of {count(runs, 'run')} in "
            f"{count(len(sweeps), 'group')}; what it chooses ends {format_percent(regret)} of a "
            "group's range below the best"
        )
    lines += [f"not judged    {run.note}" for run in result.unread[:MOST_LISTED]]
    if len(result.unread) > MOST_LISTED:
        lines.append(f"              and {len(result.unread) - MOST_LISTED} more, on the page")
    lines += [f"left out      {r.file}: {r.why}" for r in result.left_out[:MOST_LISTED]]
    if len(result.left_out) > MOST_LISTED:
        lines.append(f"              and {len(result.left_out) - MOST_LISTED} more, on the page")
    return lines
