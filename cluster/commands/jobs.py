"""What each command of ``rungwise`` does; ``cli.py`` says how it is called.

Every command returns the object that ``--json`` prints and has shown the readable form of it on its
console. Nothing here imports Ray or torch before it needs them: ``--help`` must answer at once.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cluster.errors import Answer, CommandFailed, RunInterrupted, Unhealthy
from envs.validation import InputError
from tune_jobs.formatting import count

if TYPE_CHECKING:
    from tune_jobs.jobs.job import Job
    from tune_jobs.run_log.events import EvaluationRow, FindingRow, Row
    from tune_jobs.run_log.outcome import Outcome

EPISODES, QUICK_EPISODES = 256, 32
"""What a checkpoint is compared on, and for a first look."""
FINDING = ("symptom", "severity", "since", "evidence", "remedy")
"""What an answer says of a finding."""
QUICK_ITERATIONS = 10
"""How long a first look trains at most."""


def tune(job: Job, out: Path | None, address: str, cpus: int | None, console: Console) -> Answer:
    """Run a sweep."""
    from tune_jobs.prepare import prepare_job

    directory = out or find_free_directory(job.env)
    _check_machine(job, address, cpus)
    ready = prepare_job(job, directory)
    _announce(ready, address, cpus)
    _warn_of_late_scores(ready)
    return _print_and_check_outcome(
        _run_with_progress(directory, address, cpus), directory, console
    )


def resume(directory: Path, address: str, cpus: int | None, console: Console) -> Answer:
    """Continue a run, or begin one that was stopped before it could."""
    from tune_jobs.prepare import check_reporting, open_run

    job, rows = open_run(directory)  # refuses what is not a run before Ray starts
    _check_machine(job, address, cpus)
    check_reporting()
    return _print_and_check_outcome(
        _run_with_progress(directory, address, cpus, rows), directory, console
    )


def train(job: Job, out: Path | None, address: str, cpus: int | None, console: Console) -> Answer:
    """One run of one setting."""
    from dataclasses import replace

    single = replace(job, search={}, trials=1, scheduler="none")
    try:
        return _single(tune(single, out, address, cpus, console))
    except (CommandFailed, RunInterrupted) as error:
        if "trials" in error.answer:  # else it did not come that far
            error.answer = _single(error.answer)
        raise


def shorten_job(job: Job) -> Job:
    """The same job for a first look."""
    from dataclasses import replace

    iterations = max(min(job.iterations // 10, QUICK_ITERATIONS), 1)
    return replace(
        job,
        iterations=iterations,
        grace=max(1, min(job.grace, iterations - 1)),  # later there would be no rung
        evaluation_episodes=min(job.most_evaluated, QUICK_EPISODES),
    )


def report(directory: Path, console: Console) -> Answer:
    """Draw a run's report anew and print its outcome."""
    from cluster.terminal.progress import print_outcome
    from tune_jobs.prepare import open_run
    from tune_jobs.report.report import write_report
    from tune_jobs.run_log.driver_lock import make_lost_end
    from tune_jobs.run_log.outcome import Outcome

    _, rows = open_run(directory)
    if not rows:
        raise InputError(
            f"{directory} has not begun, so there is nothing to report: `rungwise resume "
            f"{directory}` begins it."
        )
    rows += make_lost_end(directory, rows)
    outcome = Outcome.from_rows(rows)
    write_report(rows, (directory / "job.yaml").read_text(), directory / "report.html")
    print_outcome(outcome, console, directory)
    answer = outcome.as_dict(directory)
    if outcome.end and outcome.end.reason == "error":
        answer["failed"] = outcome.end.sentence
    return answer


def evaluate(
    checkpoint: Path,
    episodes: int | None,
    seed: int,
    env_kwargs: Mapping[str, str],
    scm: str,
    matrix: str,
    quick: bool,
    console: Console,
) -> Answer:
    """A checkpoint beside random and the family's simple rules, on the same seeds.

    ``changed`` are arguments of the environment, as YAML, that differ from those that the policy's
    job evaluates with (its ``evaluation_env_kwargs``: goals or matrices never trained on, say).
    """
    from algos.policy import Policy
    from cluster.terminal.progress import EvaluationProgress
    from tune_jobs.evaluation.evaluate import evaluate as compare
    from tune_jobs.evaluation.evaluation_world import make_scm_kwargs
    from tune_jobs.jobs.cli_flags import read_values
    from tune_jobs.run_log.best_checkpoint import find_checkpoint
    from tune_jobs.run_log.events import to_json_types

    checkpoint = find_checkpoint(checkpoint)
    policy = Policy.load(checkpoint)
    about = policy.metadata
    chosen = make_scm_kwargs(scm, about["env"], about["env_kwargs"]) if scm else {}
    if matrix or about["env"].endswith("EdgeSelection-v0"):
        from tune_jobs.evaluation.solvers import make_comparison_kwargs

        chosen |= make_comparison_kwargs(matrix, about["env"])
    arguments = chosen | read_values("env_kwargs", env_kwargs)
    if episodes is None:  # of one matrix, more would tell nothing new
        episodes = 1 if matrix else QUICK_EPISODES if quick else EPISODES
    with EvaluationProgress() as progress:
        evaluation = compare(policy, episodes, seed, arguments, quick, on_progress=progress)
    show = None
    if about["env"].endswith("EdgeSelection-v0"):
        from cluster.commands.solver_tables import prepare_solver_tables

        show = prepare_solver_tables(
            policy,
            policy.full_evaluation_env_kwargs | arguments,
            evaluation.episodes,
            seed,
            checkpoint,
        )
    figures = {name: evaluation.summarise(name) for name in evaluation.episodes}
    better = evaluation.compute_better_fraction("random")
    console.print(_make_comparison_table(figures, f"{count(episodes, 'episode')} from seed {seed}"))
    console.print(f"Better than random on {better:.0%} of the seeds.")
    unlike = policy.evaluation_env_kwargs | arguments
    if unlike:
        told = ", ".join(f"{name} {value}" for name, value in unlike.items())
        console.print(f"Unlike in training: {told}.")
    return (show(console) if show else {}) | {
        "checkpoint": str(checkpoint),
        "episodes": episodes,
        "seed": seed,
        "env_kwargs": unlike,
        "score": evaluation.metric,
        "policy": to_json_types(figures.pop("policy")),
        "baselines": to_json_types(figures),
        "better_than_random": better,
    }


def _make_comparison_table(figures: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """A line for each policy; for each figure where there are more of these than of policies."""
    table, names = Table(title=title, title_justify="left", box=None), list(figures["policy"])
    turned = len(names) > len(figures)
    table.add_column("", no_wrap=not turned)
    for head in figures if turned else names:
        table.add_column(head.replace("_", " "), justify="right")
    if turned:
        for name in names:
            cells = (f"{row[name]:.3g}" if name in row else "" for row in figures.values())
            table.add_row(name.replace("_", " "), *cells)
        return table
    for policy, row in figures.items():
        cells = (f"{row[name]:.4g}" if name in row else "" for name in names)
        table.add_row(policy.replace("_", " "), *cells)
    return table


def check(env: str, algo: str, env_kwargs: Mapping[str, str], scm: str, console: Console) -> Answer:
    """Whether an environment can be learnt from, and the learning machinery works in it."""
    from rich.text import Text

    from tune_jobs.check import examine, load_check_target
    from tune_jobs.check.formatting import format_answer
    from tune_jobs.jobs.cli_flags import read_values

    progress = Console(stderr=True)

    def print_probe(question: str, seconds: float) -> None:
        progress.print(f"{question} (up to {seconds:.0f} s)", style="dim", highlight=False)

    answer = examine(
        load_check_target(env, algo, read_values("env_kwargs", env_kwargs), scm),
        on_probe_start=print_probe,
    )
    for line, style in format_answer(answer, console.width):
        console.print(Text(line, style=style), soft_wrap=True)
    stops = [f["symptom"] for f in answer["findings"] if f["severity"] == "stop"]
    if stops:
        names = ", ".join(stops)
        raise Unhealthy(answer, f"{answer['env']} cannot be trained on as it is: {names}.")
    return answer


def list_envs(console: Console) -> Answer:
    """Our environments."""
    from envs import FAMILIES

    found = {name: family.description for name, family in FAMILIES.items()}
    _list(found, console, "Any Gymnasium environment works too: CartPole-v1, my_envs:Warehouse-v0.")
    return {"envs": found}


def list_algos(console: Console) -> Answer:
    """The algorithms."""
    from algos import ALGORITHMS

    found = {name: line for name, (_, _, line) in ALGORITHMS.items()}
    _list(
        found,
        console,
        "`rungwise train --algo NAME --env ENV --help` lists an algorithm's settings.",
    )
    return {"algos": found}


def find_free_directory(env: str, parent: Path = Path("runs")) -> Path:
    """The first free ``runs/<env>-<date>-<number>``."""
    stem = f"{env.split(':')[-1].rsplit('-v', 1)[0].lower()}-{time.strftime('%Y-%m-%d')}"
    return next(path for i in itertools.count(1) if not (path := parent / f"{stem}-{i}").exists())


def _list(found: dict[str, str], console: Console, hint: str) -> None:
    for name, line in found.items():
        console.print(f"{name:22} {line}", highlight=False)
    console.print(hint, style="dim", highlight=False)


def _check_machine(job: Job, address: str, cpus: int | None) -> None:
    """Check that this machine can hold a trial, where the run is to happen on it.

    Raises:
        InputError: it cannot, or ``cpus`` is no number of CPUs that it can offer.
    """
    from tune_jobs.jobs.resources import check_resources
    from tune_jobs.ray_session import count_cores, offered_cpus

    if address != "local":  # a cluster that is joined may still grow
        return
    check_resources(job, offered := offered_cpus(cpus))
    if offered > (here := count_cores()):
        Console(stderr=True).print(
            f"--cpus {offered} is more than the {count(here, 'core')} of this machine: up to "
            f"{offered} processes will share them.",
            highlight=False,
        )


def _announce(job: Job, address: str, cpus: int | None) -> None:
    """Say on stderr what is about to start, while Ray needs its seconds to do so."""
    from tune_jobs.ray_session import offered_cpus

    settings = f"{job.trials} settings under {job.scheduler.upper()}" if job.trials > 1 else "1 run"
    local = address == "local"
    where = f"on {count(offered_cpus(cpus), 'CPU')}" if local else f"on the Ray at {address}"
    Console(stderr=True).print(
        f"{job.env.split(':')[-1]}, {job.algo.upper()}, {settings}, at most {job.iterations} "
        f"iterations each, {where}",
        highlight=False,
    )


def _warn_of_late_scores(job: Job) -> None:
    """Say on stderr if trials cannot be judged at their first rung."""
    from tune_jobs.evaluation.first_score import estimate_pace, explain_late_score

    pace = estimate_pace(job)
    if pace and (warning := explain_late_score(job, pace)):
        console = Console(stderr=True)
        console.print(f"Warning: {warning}", style="yellow", highlight=False, soft_wrap=True)


def _run_with_progress(
    directory: Path, address: str, cpus: int | None, earlier_rows: Sequence[Row] = ()
) -> Outcome:
    """Drive a run with live progress on stderr; ``earlier`` rows are known and not shown again."""
    from cluster.terminal.progress import ProgressDisplay
    from tune_jobs.disk_space import DiskFullError
    from tune_jobs.evaluation.evaluation_status import EvaluationStatus
    from tune_jobs.interruption import run_last_words
    from tune_jobs.ray_session import ray_session
    from tune_jobs.run_lifecycle import DriverError, drive, end_interrupted
    from tune_jobs.run_log.driver_lock import hold_driver_lock
    from tune_jobs.run_log.events import JobRow

    shown: list[ProgressDisplay] = []

    def listener(row: Row | EvaluationStatus) -> None:
        if isinstance(row, JobRow) and not shown:
            shown.append(ProgressDisplay(row, earlier_rows))
            shown[0].__enter__()
        else:
            shown[0].update(row)

    def say() -> None:
        end_interrupted(directory)
        sys.stderr.write(f"rungwise: {RunInterrupted({}, directory)}\n")

    try:
        with hold_driver_lock(directory), run_last_words(say), ray_session(address, cpus):
            return drive(directory, listener)
    except (DiskFullError, DriverError) as error:
        raise CommandFailed({"run": str(directory)}, str(error)) from error
    except KeyboardInterrupt:  # while Ray starts, or a second time while the run is stopped
        raise RunInterrupted({"run": str(directory)}, directory) from None
    finally:
        if shown:
            shown[0].__exit__(None, None, None)


def _print_and_check_outcome(outcome: Outcome, directory: Path, console: Console) -> Answer:
    from cluster.terminal.progress import print_outcome

    print_outcome(outcome, console, directory)
    answer = outcome.as_dict(directory)
    if outcome.end and outcome.end.reason in ("interrupted", "stopped"):
        raise RunInterrupted(answer, directory)
    broken = [t for t in outcome.trials if t.end_reason in ("error", "health")]
    if len(broken) == len(outcome.trials) or outcome.best is None:
        why = broken[0].sentence if broken else _why_unscored(outcome, directory)
        raise CommandFailed(answer, f"The run produced no result: {why}")
    return answer


def _why_unscored(outcome: Outcome, directory: Path) -> str:
    """Why no trial of a run has a score."""
    from tune_jobs.evaluation.first_score import estimate_pace, explain_missing_score
    from tune_jobs.prepare import open_run

    if any(trial.score is not None for trial in outcome.trials):
        return "no trial has a finite score"
    job, _ = open_run(directory)
    episodes, iterations = max(
        (
            (sum(row.metrics.get("episodes", 0) for row in trial.results), trial.iterations)
            for trial in outcome.trials
        ),
        default=(0, 0),
    )
    return explain_missing_score(job, estimate_pace(job), episodes, iterations)


def _single(answer: Answer) -> Answer:
    """The answer about a run of one trial, with the metrics of the checkpoint that it kept."""
    from tune_jobs.run_log.events import CheckpointRow, ResultRow, read_event_log, to_json_types
    from tune_jobs.run_log.outcome import Outcome

    trial, run = answer["trials"][0], Path(answer["run"])
    rows = read_event_log(run / "events.jsonl")
    results = {row.iteration: row for row in rows if isinstance(row, ResultRow)}
    kept = {str(run / row.path): row.iteration for row in rows if isinstance(row, CheckpointRow)}
    iteration = kept.get(trial["checkpoint"], max(results, default=0))
    found = results.get(iteration)
    metrics = to_json_types(found.metrics | {"score": found.score}) if found else {}
    outcome = Outcome.from_rows(rows)
    return {
        "run": answer["run"],
        "checkpoint": trial["checkpoint"],
        "end_reason": trial["end_reason"],
        "metrics": metrics,
        "evaluation": _evaluated(outcome.evaluation, run),
        "findings": _severest(outcome.findings),
        "report": answer["report"],
    }


def _evaluated(row: EvaluationRow | None, run: Path) -> Answer | None:
    """The final evaluation of a run, under the names of ``evaluate --json``."""
    from tune_jobs.run_log.events import to_json_types

    if row is None:
        return None
    names = ("episodes", "seed", "policy", "baselines", "better_than_random")
    figures = {name: getattr(row, name) for name in names}
    return {"checkpoint": str(run / row.checkpoint), **to_json_types(figures)}


def _severest(rows: Iterable[FindingRow]) -> list[Answer]:
    """Each symptom of a run once, at its worst, the severest first; as of ``doctor --json``."""
    from tune_jobs.health.finding import SEVERITIES

    mildest_first = sorted(rows, key=lambda row: SEVERITIES.index(row.severity))
    worst = {row.symptom: row for row in mildest_first}.values()
    found = [{name: getattr(row, name) for name in FINDING} for row in worst]
    return sorted(found, key=lambda finding: -SEVERITIES.index(finding["severity"]))
