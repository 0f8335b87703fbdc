"""What each command of ``rungwise`` does; ``cli.py`` says how it is called.

Every command returns the object that ``--json`` prints and has shown the readable form of it on its
console. Nothing here imports Ray or torch before it needs them: ``--help`` must answer at once.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from envs.validation import InputError

if TYPE_CHECKING:
    from tune_jobs.events import Row
    from tune_jobs.job import Job
    from tune_jobs.outcome import Outcome

Answer = dict[str, Any]
EPISODES, QUICK_EPISODES = 256, 32
"""What a checkpoint is compared on, and for a first look."""


class Interrupted(Exception):
    """The user stopped a run; it can be resumed. Carries the answer so far."""

    def __init__(self, answer: Answer, directory: Path) -> None:
        super().__init__(
            f"Stopped. `rungwise resume {directory}` goes on from the last checkpoints."
        )
        self.answer = answer


class Failed(Exception):
    """A run ended without a result; carries the answer."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer


def tune(job: Job, out: Path | None, address: str, cpus: int | None, console: Console) -> Answer:
    """Run a sweep."""
    from tune_jobs.run import prepared, start

    directory = out or new_directory(job.env)
    ready = prepared(job, directory)
    _announce(ready, cpus)
    outcome = _watched(lambda listener: start(ready, directory, listener), address, cpus)
    return _told(outcome, directory, console)


def resume(directory: Path, address: str, cpus: int | None, console: Console) -> Answer:
    """Go on with a run."""
    from tune_jobs.run import open_run
    from tune_jobs.run import resume as go_on

    _, rows = open_run(directory)  # refuses what is not a run before Ray starts
    outcome = _watched(lambda listener: go_on(directory, listener), address, cpus, rows)
    return _told(outcome, directory, console)


def train(job: Job, out: Path | None, address: str, cpus: int | None, console: Console) -> Answer:
    """One run of one setting."""
    from dataclasses import replace

    single = replace(job, search={}, trials=1, scheduler="none")
    try:
        return _single(tune(single, out, address, cpus, console))
    except (Failed, Interrupted) as error:
        error.answer = _single(error.answer)
        raise


def report(directory: Path, console: Console) -> Answer:
    """Draw a run's report anew and print its outcome."""
    from cluster.progress import print_outcome
    from tune_jobs.outcome import Outcome
    from tune_jobs.report import write_report
    from tune_jobs.run import open_run

    _, rows = open_run(directory)
    outcome = Outcome.of(rows)
    write_report(rows, (directory / "job.yaml").read_text(), directory / "report.html")
    print_outcome(outcome, console, directory)
    return outcome.as_dict(directory)


def evaluate(
    checkpoint: Path,
    episodes: int | None,
    seed: int,
    changed: Mapping[str, str],
    scm: str,
    quick: bool,
    console: Console,
) -> Answer:
    """A checkpoint beside random and the family's simple rules, on the same seeds.

    ``changed`` are arguments of the environment that differ from training, as YAML.
    """
    from algos.policy import Policy
    from tune_jobs.evaluate import better_share, choosing
    from tune_jobs.evaluate import evaluate as compare
    from tune_jobs.events import plain

    policy = Policy.load(checkpoint)
    arguments = _read(changed) | (choosing(scm, policy.about["env"]) if scm else {})
    if episodes is None:
        episodes = QUICK_EPISODES if quick else EPISODES
    found, summary, score = compare(policy, episodes, seed, arguments, quick)
    figures = {name: summary(e) for name, e in found.items()}
    better = better_share(found["policy"], found["random"], score)
    table = Table(title=f"{episodes} episodes from seed {seed}", title_justify="left", box=None)
    table.add_column("", no_wrap=True)
    for name in figures["policy"]:
        table.add_column(name.replace("_", " "), justify="right")
    for name, row in figures.items():
        table.add_row(name.replace("_", " "), *(f"{value:.4g}" for value in row.values()))
    console.print(table)
    console.print(f"Better than random on {better:.0%} of the seeds.")
    return {
        "checkpoint": str(checkpoint),
        "episodes": episodes,
        "seed": seed,
        "env_kwargs": arguments,
        "score": score.removeprefix("-"),
        "policy": plain(figures.pop("policy")),
        "baselines": plain(figures),
        "better_than_random": better,
    }


def check(env: str, algo: str, env_kwargs: Mapping[str, str], scm: str, console: Console) -> Answer:
    """Whether an environment can be learnt from, and the learning machinery works in it."""
    from rich.text import Text

    from tune_jobs.health.check import examine, subject_of
    from tune_jobs.health.check.shown import lines

    progress = Console(stderr=True)

    def tell(question: str, seconds: float) -> None:
        progress.print(f"{question} (up to {seconds:.0f} s)", style="dim", highlight=False)

    answer = examine(subject_of(env, algo, _read(env_kwargs), scm), tell=tell)
    for line, style in lines(answer, console.width):
        console.print(Text(line, style=style), soft_wrap=True)
    stops = [f["symptom"] for f in answer["findings"] if f["severity"] == "stop"]
    if stops:
        names = ", ".join(stops)
        raise Failed(answer, f"{answer['env']} cannot be trained on as it is: {names}.")
    return answer


def envs(console: Console) -> Answer:
    """Our environments."""
    from envs import FAMILIES

    found = {name: family.description for name, family in FAMILIES.items()}
    _list(found, console, "Any Gymnasium environment works too: CartPole-v1, my_envs:Warehouse-v0.")
    return {"envs": found}


def algos(console: Console) -> Answer:
    """The algorithms."""
    from algos import ALGORITHMS

    found = {name: line for name, (_, _, line) in ALGORITHMS.items()}
    _list(
        found,
        console,
        "`rungwise train --algo NAME --env ENV --help` lists an algorithm's settings.",
    )
    return {"algos": found}


def new_directory(env: str, under: Path = Path("runs")) -> Path:
    """The first free ``runs/<env>-<date>-<number>``."""
    stem = f"{env.split(':')[-1].rsplit('-v', 1)[0].lower()}-{time.strftime('%Y-%m-%d')}"
    return next(path for i in itertools.count(1) if not (path := under / f"{stem}-{i}").exists())


def _read(changed: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of an environment from the command line, where their values are YAML.

    Raises:
        InputError: naming the one that is not.
    """
    import yaml

    read: dict[str, Any] = {}
    for name, value in changed.items():
        try:
            read[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--env-kwargs {name} {value!r} is not YAML: put quotes.") from error
    return read


def _list(found: dict[str, str], console: Console, hint: str) -> None:
    for name, line in found.items():
        console.print(f"{name:22} {line}", highlight=False)
    console.print(hint, style="dim", highlight=False)


def _announce(job: Job, cpus: int | None) -> None:
    """Say on stderr what is about to start, while Ray needs its seconds to do so."""
    settings = f"{job.trials} settings under {job.scheduler.upper()}" if job.trials > 1 else "1 run"
    offered = cpus or os.cpu_count() or 1
    Console(stderr=True).print(
        f"{job.env.split(':')[-1]}, {job.algo.upper()}, {settings}, at most {job.iterations} "
        f"iterations each, on {offered} CPU{'s' if offered > 1 else ''}",
        highlight=False,
    )


def _watched(
    run: Callable[[Callable[[Row], None]], Outcome],
    address: str,
    cpus: int | None,
    earlier: Sequence[Row] = (),
) -> Outcome:
    """Run with live progress on stderr; ``earlier`` rows are known but not told again."""
    from cluster.progress import Progress
    from cluster.session import session
    from tune_jobs.events import JobRow

    shown: list[Progress] = []

    def listener(row: Row) -> None:
        if isinstance(row, JobRow) and not shown:
            shown.append(Progress(row, earlier))
            shown[0].__enter__()
        else:
            shown[0].update(row)

    try:
        with session(address, cpus):
            return run(listener)
    finally:
        if shown:
            shown[0].__exit__(None, None, None)


def _told(outcome: Outcome, directory: Path, console: Console) -> Answer:
    from cluster.progress import print_outcome

    print_outcome(outcome, console, directory)
    answer = outcome.as_dict(directory)
    if outcome.end and outcome.end.reason == "interrupted":
        raise Interrupted(answer, directory)
    broken = [t for t in outcome.trials if t.end_reason in ("error", "health")]
    if len(broken) == len(outcome.trials) or outcome.best is None:
        why = broken[0].sentence if broken else "no trial has a score"
        raise Failed(answer, f"The run came to nothing: {why}")
    return answer


def _single(answer: Answer) -> Answer:
    """The answer about a run of one trial."""
    from tune_jobs.events import ResultRow, plain, read

    trial = answer["trials"][0]
    rows = read(Path(answer["run"]) / "events.jsonl")
    results = [row for row in rows if isinstance(row, ResultRow)]
    metrics = plain(results[-1].metrics | {"score": results[-1].score}) if results else {}
    return {
        "run": answer["run"],
        "checkpoint": trial["checkpoint"],
        "end_reason": trial["end_reason"],
        "metrics": metrics,
        "report": answer["report"],
    }
