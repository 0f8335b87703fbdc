"""Commands that start, continue and show runs: ``tune``, ``train``, ``resume``, ``report``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import tyro
from rich.console import Console

from cluster.commands.command import Command, find_env_module, gather_pairs, read_values
from cluster.commands.live_run import (
    announce_job,
    check_and_describe_machine,
    print_and_check_outcome,
    run_with_progress,
    warn_of_late_scores,
)
from cluster.commands.train_answer import make_train_answer
from cluster.errors import Answer, PlainConsole
from cluster.terminal.startup import show_activity, show_imports
from rungwise.formatting import format_command
from rungwise.quick_imports import quick_imports
from rungwise.run_directory import JOB, check_is_run, find_free_directory
from rungwise.validation import InputError

if TYPE_CHECKING:
    from rungwise.run_log.events import Row
    from rungwise.run_log.outcome import Outcome
    from tune_jobs.jobs.job import Job

QUICK_ITERATIONS, QUICK_TRIALS, QUICK_EPISODES, QUICK_WARM_START, QUICK_LM_ENVS = 4, 3, 4, 32, 32
"""Iterations, trials, evaluation episodes and warm-start episodes of ``--quick``, and copies of the
environment that a language model acts in, at most.

So few that a preset ends within about a minute on two cores.
"""
ITERATION_SETTINGS = ("reference_interval", "starts", "warm_start_interval")
"""Settings counted in iterations, or in what they consume: each iteration draws some starts."""


@dataclass(frozen=True, kw_only=True)
class RayCommand(Command):
    """A command that runs trials on Ray."""

    address: str = field(default_factory=lambda: os.environ.get("RAY_ADDRESS") or "local")
    """`local` starts a Ray for this run; otherwise the address of the Ray to join. By default that
    of RAY_ADDRESS."""
    cpus: int | None = None
    """CPUs of this machine to use; all by default."""
    metrics: str = ""
    """HOST:PORT to serve `/metrics` and `/healthz` of the run on while it is driven, with the token
    of `dashboard`: `127.0.0.1:8472`."""

    def serve_metrics(self, directory: Path) -> None:
        """Serve the metrics of a run, and the API that stops it, if a flag asks for it.

        Raises:
            InputError: the flag names no address, or one that cannot be listened on.
        """
        if not self.metrics:
            return
        from cluster.web.auth import TokenMiddleware, load_or_create_token
        from cluster.web.http_api import ApiHandlers, make_api
        from cluster.web.listening import bind_socket, serve_beside
        from cluster.web.run_index import RunIndex

        host, _, port = self.metrics.rpartition(":")
        if not host or not port.isdecimal():
            raise InputError(f"--metrics must be HOST:PORT, but it is {self.metrics}.")
        listening_socket = bind_socket(host.strip("[]"), int(port))
        api = make_api(ApiHandlers(RunIndex(directory), None))
        serve_beside(TokenMiddleware(api, load_or_create_token()), listening_socket)


@dataclass(frozen=True, kw_only=True)
class Tune(RayCommand):
    """Search settings: `rungwise tune causal`."""

    out: Path | None = None
    """Run directory; by default runs/<environment>-<date>-<number>."""
    quick: bool = False
    """Shorten the run: a tenth of the iterations, at most 4, with all intervals in proportion, at
    most 3 trials, 4 evaluation episodes, no early stopping, and health rules that only warn."""
    job: tyro.conf.Suppress[Any] = None
    """The job; :meth:`parse` adds its flags, which depend on the algorithm and environment."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the flags of the command and those of its job."""
        from cluster.commands.job_flags import parse_job_command

        command, job = parse_job_command(cls, argv)
        return replace(command, job=shorten_job(job) if command.quick else job)

    def __call__(self, console: Console) -> Answer:
        """Run the sweep."""
        from rungwise.run_log.outcome import Outcome

        return self._run(self.job, console, Outcome.as_dict)

    def _run(
        self, job: Job, console: Console, make_answer: Callable[[Outcome, Path], Answer]
    ) -> Answer:
        from tune_jobs.session.prepare import prepare_job

        directory = self.out or find_free_directory(job.env)
        # Before the directory is created: a refused job must leave nothing behind.
        check_and_describe_machine(job, self.address, self.cpus)
        self.serve_metrics(directory)
        with show_activity("Checking the job: building its environment"), quick_imports():
            prepared = prepare_job(job, directory)
        announce_job(prepared, self.address, self.cpus)
        warn_of_late_scores(prepared)
        outcome = run_with_progress(directory, self.address, self.cpus)
        return print_and_check_outcome(outcome, directory, console, make_answer)


@dataclass(frozen=True, kw_only=True)
class Train(Tune):
    """Train one setting: `rungwise train causal` or `rungwise train --env CartPole-v1`."""

    def __call__(self, console: Console) -> Answer:
        """Run one trial with the job's own settings."""
        return self._run(make_single_job(self.job), console, make_train_answer)


@dataclass(frozen=True, kw_only=True)
class Resume(RayCommand):
    """Continue a run after Ctrl-C or a crash, or extend it: `rungwise resume RUN --trials 64`."""

    run: tyro.conf.Positional[Path]
    """The run directory."""
    trials: int | None = None
    """Extend the run to this many trials."""
    iterations: int | None = None
    """Extend the budget of each trial to this many iterations."""
    steps: int | None = None
    """The same in environment steps of each seed."""
    storage: str | None = None
    """Copy the run to this object storage from now on."""
    search: dict[str, str] = field(default_factory=dict[str, str])
    """Other spaces for the trials that join: `--search.lr "{loguniform: [1e-5, 1e-3]}"`."""

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Read the flags; refuse those of a job that no resume may change."""
        from tune_jobs.jobs.extension import check_extendable

        for word, value in zip(argv, [*argv[1:], ""], strict=False):
            flag, equals, text = word.partition("=")
            if flag.startswith("--"):
                check_extendable(flag[2:].replace("-", "_"), text if equals else value)
        return super().parse(gather_pairs(argv, "search"))

    def _read_extension(self) -> dict[str, Any]:
        search = read_values("search", self.search)
        names = "trials", "iterations", "steps", "storage"
        given = {name: getattr(self, name) for name in names} | {"search": search or None}
        return {name: value for name, value in given.items() if value is not None}

    def __call__(self, console: Console) -> Answer:
        """Continue the run, or start one that was stopped before its first row."""
        check_is_run(self.run)  # a wrong path is refused at once
        find_env_module(self.run, required=True)
        with show_imports():
            from rungwise.run_log.outcome import Outcome
            from tune_jobs.session.prepare import check_reporting, extend_run, is_complete, open_run

        job, rows = open_run(self.run)  # refuses what is not a run before Ray starts
        if extension := self._read_extension():
            with show_activity("Checking the larger job"):
                job = extend_run(self.run, extension)
            announce_job(job, self.address, self.cpus)
        if is_complete(job, rows):
            note = f"Nothing to resume: {self.run} has ended. --iterations N trains it further, "
            PlainConsole(stderr=True).print(note + "--trials N adds trials.", soft_wrap=True)
            outcome = Outcome.from_rows(rows)
            return print_and_check_outcome(outcome, self.run, console, Outcome.as_dict)
        check_and_describe_machine(job, self.address, self.cpus)
        check_reporting(job)
        self.serve_metrics(self.run)
        outcome = run_with_progress(self.run, self.address, self.cpus, rows)
        return print_and_check_outcome(outcome, self.run, console, Outcome.as_dict)


@dataclass(frozen=True, kw_only=True)
class Report(Command):
    """Print the outcome of a run and write its report again; compare several: `report A B`."""

    run: tyro.conf.Positional[Path]
    """The run directory."""
    others: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Runs to compare it with."""
    out: Path | None = None
    """The page that compares several runs; by default comparison.html."""

    def __call__(self, console: Console) -> Answer:
        """Rebuild the outcome from the event log."""
        from cluster.terminal.outcome_text import print_outcome
        from tune_jobs.report.report import try_to_write_report

        if self.others:
            return self._compare(console)
        if self.out:
            raise InputError(
                f"--out {self.out} is the page that compares runs, but there is one: name another "
                f"run, or leave it out and open {self.run / 'report.html'}."
            )
        rows, outcome = _read_outcome(self.run)
        # The outcome needs no file: it is the answer for a colleague's run and on a full disk, too.
        try_to_write_report(rows, self.run)
        print_outcome(outcome, console, self.run)
        answer = outcome.as_dict(self.run)
        if outcome.end and outcome.end.reason == "error":
            answer["failed"] = outcome.end.sentence
        return answer

    def _compare(self, console: Console) -> Answer:
        from rungwise.write_errors import refuse_unwritable
        from tune_jobs.report.comparison import list_different_settings, write_comparison
        from tune_jobs.report.result_score import find_result_score

        paths = [self.run, *self.others]
        out = self.out or Path("comparison.html")
        names = [path.absolute().name for path in paths]  # that of "." is empty
        outcomes = {
            str(path) if names.count(name) > 1 else name: _read_outcome(path)[1]
            for path, name in zip(paths, names, strict=True)
        }
        if len(outcomes) < len(paths):
            raise InputError("A run is named twice: name at least two different runs to compare.")
        with refuse_unwritable(out):
            write_comparison(outcomes, out)
        runs: dict[str, Answer] = {}
        for name, outcome in outcomes.items():
            score = find_result_score(outcome)
            text = f"{score.metric} {score.text} {score.source}" if score else "no finite score"
            console.print(f"{name}: {text}", highlight=False, soft_wrap=True)
            runs[name] = {
                "metric": score.metric if score else None,
                "score": score.value if score else None,
                "standard_error": score.error if score else None,
                "env_steps": outcome.env_steps,
                "compute_saved": outcome.compute_saved,
            }
        table = list_different_settings(outcomes)
        settings = {name: dict(zip(outcomes, values, strict=True)) for name, *values in table.rows}
        console.print(f"Comparison: {out}", highlight=False, soft_wrap=True)
        return {"runs": runs, "settings": settings, "report": str(out)}


def _read_outcome(run: Path) -> tuple[list[Row], Outcome]:
    """Return the rows of a run and its outcome.

    Raises:
        InputError: it is no run, has not started, or its log cannot be read.
    """
    check_is_run(run)  # a wrong path is refused at once
    from rungwise.run_log.driver_lock import make_lost_end
    from rungwise.run_log.outcome import Outcome
    from tune_jobs.jobs.job_yaml import load_job
    from tune_jobs.session.prepare import read_rows

    # Refuses a damaged one. The light install cannot read the settings of an algorithm.
    with suppress(ModuleNotFoundError):
        load_job(run / JOB)
    rows = read_rows(run)
    if not rows:
        raise InputError(
            f"{run} has not started, so there is nothing to report: start it with "
            f"`{format_command('rungwise', 'resume', run)}`."
        )
    rows += make_lost_end(run, rows)
    return rows, Outcome.from_rows(rows)


@dataclass(frozen=True, kw_only=True)
class Fetch(Command):
    """Copy a run back from the object storage of a job, to resume it here."""

    source: tyro.conf.Positional[str]
    """Address of the run there: s3://bucket/folder/RUN."""
    out: Path | None = None
    """Directory for the copy, which must not exist yet; by default RUN in the current one."""

    def __call__(self, console: Console) -> Answer:
        """Copy the run."""
        from tune_jobs.session.stored_run import fetch_run, get_name

        out = self.out or Path(get_name(self.source))
        fetch_run(self.source, out)
        resume = format_command("rungwise", "resume", out)
        console.print(f"Now: {resume}", highlight=False, soft_wrap=True)
        return {"run": str(out)}


def make_single_job(job: Job) -> Job:
    """Return the job that trains the settings of a sweep as they are."""
    sweep: dict[str, Any] = {"search": {}, "points": [], "searcher": "random", "repeats": None}
    return replace(job, trials=1, scheduler="none", brackets=1, **sweep)


def shorten_job(job: Job) -> Job:
    """Return the same job with the budget of ``--quick``.

    What is counted in iterations shrinks with them. The health rules only warn and the patience is
    off, because so short a run shows nothing about the full one.
    """
    from algos.settings.training import TrainingSettings
    from envs import FAMILIES
    from rungwise.health import RULES

    iterations = max(min(job.iterations // 10, QUICK_ITERATIONS), 1)
    # The budget of a program may not be known: its intervals are then in proportion to nothing.
    scale = iterations / job.iterations if job.iterations else 0.0

    def shorten(count: int) -> int:
        return max(1, round(count * scale)) if count else 0

    settings: dict[str, Any] = {
        name: shorten(getattr(job.settings, name))
        for name in ITERATION_SETTINGS
        if hasattr(job.settings, name)
    }
    episodes = job.evaluation_episodes
    if episodes is not None or job.env.removeprefix("envs:") in FAMILIES:
        episodes = min(job.most_evaluated, QUICK_EPISODES)
    # Otherwise time decides: 32 episodes of an environment that plays copies one by one can take
    # longer than so short a training.
    if isinstance(job.settings, TrainingSettings):
        # As in the full run: fewer steps must not shorten its rollouts.
        settings["rollout_length"] = job.training.rollout_length
        settings["warm_start_episodes"] = min(job.settings.warm_start_episodes, QUICK_WARM_START)
        if job.settings.model == "lm":
            settings["num_envs"] = min(job.settings.num_envs, QUICK_LM_ENVS)
        if job.settings.entropy_schedule == "decay":
            # The same weight at the end: a factor per iteration, of which there are fewer now.
            settings["entropy_decay"] = job.settings.entropy_decay ** (1 / scale)
    # PBT's own default is not in proportion; a later grace would leave no rung.
    grace = shorten(job.decision_interval if job.scheduler == "pbt" else job.grace)
    grace = min(grace, max(1, iterations - 1))
    short = replace(
        job,
        settings=replace(job.settings, **settings),
        iterations=iterations,
        steps=shorten(job.steps),
        trials=max(min(job.trials, QUICK_TRIALS), len(job.points)),
        repeats=0,  # the best of so few trials is known no better for it
        grace=grace,
        # A grid of all choices may be larger than these few trials.
        searcher="random" if job.searcher == "grid" else job.searcher,
        brackets=1,  # so few rungs cannot be divided
        patience=0,  # scaled, it would hold too few scores to separate a plateau from noise
        held_out_interval=shorten(job.held_out_interval),
        held_out_episodes=min(job.held_out_episodes, QUICK_EPISODES),
        checkpoint_interval=shorten(job.checkpoint_interval),
        evaluation_episodes=episodes,
    )
    limits = {s: job.health.get(s, rule.highest) for s, rule in RULES.items()}
    return replace(short, health=job.health | {s: "warn" for s in limits if limits[s] == "stop"})
