"""Commands that list what there is: ``presets``, ``envs``, ``algos``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.commands.command import Command
from cluster.errors import Answer
from rungwise.formatting import count

if TYPE_CHECKING:
    from tune_jobs.jobs.preset_scores import PresetScore


class PresetRow(NamedTuple):
    """A preset as one row of a table."""

    name: str
    env: str
    algo: str
    trials: int
    iterations: int
    """Iterations of one trial."""
    steps: int
    """Environment steps of one trial."""
    score: PresetScore | None
    """Score that a training has reached; None where it was not measured."""
    shows: str
    """The first sentence of the comment that the file starts with."""


@dataclass(frozen=True, kw_only=True)
class Presets(Command):
    """List the job presets: what each shows, its steps, time and score."""

    def __call__(self, console: Console) -> Answer:
        """Print the presets as a table."""
        from tune_jobs.jobs.preset_scores import format_steps

        rows = list_preset_rows()
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        for row in rows:
            job = [row.env, row.algo, count(row.trials, "trial"), format_steps(row.steps)]
            job += [row.score.time_text, row.score.score_text] if row.score else []
            table.add_row(Text(row.name, style="bold"), Text(row.shows))
            table.add_row("", Text(", ".join(filter(None, job)), style="dim"))
        console.print(table)
        _print_hint("`rungwise tune PRESET` searches its settings, `train` uses one.", console)
        presets: dict[str, Answer] = {}
        for row in rows:
            fields = row._asdict() | {"score": row.score and asdict(row.score)}
            del fields["name"]
            presets[row.name] = fields
        return {"presets": presets}


@dataclass(frozen=True, kw_only=True)
class Envs(Command):
    """List the built-in environments."""

    def __call__(self, console: Console) -> Answer:
        """Print the environments."""
        from envs import FAMILIES

        envs = {name: family.description for name, family in FAMILIES.items()}
        _print_entries(envs, console)
        hint = "Any Gymnasium environment works too: CartPole-v1, my_envs:Warehouse-v0."
        _print_hint(hint, console)
        return {"envs": envs}


@dataclass(frozen=True, kw_only=True)
class Algos(Command):
    """List the algorithms."""

    def __call__(self, console: Console) -> Answer:
        """Print the algorithms."""
        from algos import ALGORITHMS
        from algos.rllib.rllib_algorithms import list_rllib_algorithms

        algos = {name: line for name, (_, _, line) in ALGORITHMS.items()}
        _print_entries(algos, console)
        rllib = list_rllib_algorithms()
        _print_hint("RLlib's own:", console)
        _print_entries(rllib, console)
        hint = "`rungwise train --algo NAME --env ENV --help` lists an algorithm's settings."
        _print_hint(hint, console)
        return {"algos": algos | rllib}


def list_preset_rows() -> list[PresetRow]:
    """List the presets shipped with the product, ordered by name."""
    from tune_jobs.jobs.job_yaml import find_preset, list_presets, load_job
    from tune_jobs.jobs.preset_scores import count_steps, load_preset_scores

    rows: list[PresetRow] = []
    scores = load_preset_scores()
    for name in list_presets():
        job = load_job(name)
        shows = extract_first_sentence(find_preset(name).read_text())
        about = (
            job.env.removeprefix("envs:"),
            job.algo,
            job.trials,
            job.iterations,
            count_steps(job),
        )
        rows.append(PresetRow(name, *about, scores.get(name), shows))
    return rows


def extract_first_sentence(text: str) -> str:
    """Return the first sentence of the comment at the top of a YAML file."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    sentence, stop, _ = " ".join(line.lstrip("# ") for line in comment).partition(". ")
    return sentence + stop.rstrip()


def _print_entries(lines: Mapping[str, str], console: Console) -> None:
    for name, line in lines.items():
        console.print(f"{name:22} {line}", highlight=False)


def _print_hint(hint: str, console: Console) -> None:
    console.print(hint, style="dim", highlight=False)
