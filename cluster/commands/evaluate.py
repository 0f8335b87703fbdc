"""``rungwise evaluate``: a checkpoint compared with baselines and solvers, and its videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from cluster.commands.command import EnvironmentCommand, choose_checkpoint
from cluster.commands.jobs import QUICK_EPISODES
from cluster.errors import Answer
from rungwise.formatting import count
from tune_jobs.evaluation.episode_budget import STEPS

if TYPE_CHECKING:
    from algos.policy import Policy
    from envs.contract.world import Comparison
    from rungwise.run_log.events import VideoRow
    from tune_jobs.evaluation.evaluate import Evaluation

EPISODES = 256
"""Episodes of a comparison by default."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(EnvironmentCommand):
    """Compare a checkpoint with random and the family's baselines, each with the same seeds."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint, or the directory of a run or a trial, whose best checkpoint is used."""
    episodes: int | None = None
    """Episodes, each on its own seed; by default 256, or 4 with --quick, and in environments that
    are not ours as many of them as 100,000 steps of all players allow."""
    seed: int = 0
    """The first of those seeds; training never uses them."""
    scm: str = ""
    """Of a causal environment: the model or family to compare on, by name or file (my_scm.yaml)."""
    matrix: str = ""
    """A matrix file (.mtx, .mtx.gz, .npz), in an environment that compares with solvers."""
    videos: Annotated[int, tyro.conf.arg(aliases=("--video",))] = 0
    """Episodes to record as videos, in the folder videos of the checkpoint's run and in its report
    (next to a checkpoint that belongs to no run); needs the extra `video`."""
    quick: bool = False
    """Play few episodes, and none of the baselines that take long."""

    def __call__(self, console: Console) -> Answer:
        """Play the episodes and print the comparison."""
        # A wrong path or folder is refused at once.
        checkpoint = choose_checkpoint(self.checkpoint, plays=True)
        from algos.policy import Policy
        from rungwise.run_log.evaluation_status import list_remarks
        from rungwise.run_log.json_types import to_json_types
        from tune_jobs.evaluation.evaluation_world import list_changed_arguments
        from tune_jobs.evaluation.videos import check_recording

        policy = Policy.load(checkpoint, device="auto")
        arguments = self._choose_env_kwargs(policy)
        if self.videos:
            played_in = policy.full_evaluation_env_kwargs | arguments
            check_recording(policy.metadata["env"], played_in)
        most, evaluation = self._evaluate(policy, arguments)
        # Before the figures, to which this adds the set-up times.
        details = compare_with_solvers(policy, evaluation, self.seed, checkpoint)
        compared, episodes = evaluation.compare_players(), len(evaluation.episodes["policy"])
        title = f"{count(episodes, 'episode')} from seed {self.seed}"
        figures = {"policy": compared["policy"], **compared["baselines"]}
        console.print(make_comparison_table(figures, title, compared["standard_errors"]))
        if episodes < most:
            console.print(
                f"{STEPS:,} steps allowed {episodes} of {most} episodes; --episodes N plays N.",
                highlight=False,
            )
        console.print(f"Better than random on {compared['better_than_random']:.0%} of the seeds.")
        for line in list_remarks(
            compared["policy"],
            compared["baselines"],
            episodes,
            evaluation.cut_off,
            compared["better_than_random"],
            compared["better_than_greedy"],
        ):
            console.print(line)
        env, trained_in = policy.metadata["env"], policy.metadata["env_kwargs"]
        given = policy.evaluation_env_kwargs | arguments
        if changed := list_changed_arguments(env, trained_in, trained_in | given):
            listed = ", ".join(f"{name} {value}" for name, value in changed.items())
            console.print(f"Different from training: {listed}.")
        print_comparison(details, console)
        videos = record_videos(policy, checkpoint, self.videos, self.seed, arguments, console)
        return details.answer | {
            "checkpoint": str(checkpoint),
            "episodes": episodes,
            "most": most,
            "seed": self.seed,
            "env_kwargs": given,
            "score": evaluation.metric,
            **to_json_types(compared),
            "videos": videos,
        }

    def _evaluate(self, policy: Policy, env_kwargs: Mapping[str, Any]) -> tuple[int, Evaluation]:
        """Play the episodes; return how many were planned, and the evaluation."""
        from cluster.terminal.progress import EvaluationProgress
        from tune_jobs.evaluation.evaluate import evaluate
        from tune_jobs.evaluation.evaluation_world import make_world

        most, steps = self.episodes, math.inf
        if most is None:  # a matrix has one state: more episodes would repeat it
            most = 1 if self.matrix else QUICK_EPISODES if self.quick else EPISODES
            arguments = policy.full_evaluation_env_kwargs | dict(env_kwargs)
            if make_world(policy.metadata["env"], arguments) is None:
                steps = STEPS
        with EvaluationProgress() as progress:
            evaluation = evaluate(
                policy, most, self.seed, env_kwargs, self.quick, steps=steps, on_progress=progress
            )
        return most, evaluation

    def _choose_env_kwargs(self, policy: Policy) -> dict[str, Any]:
        """Return the environment arguments that differ from those of the job's evaluations."""
        from envs.factory import make_case_kwargs
        from tune_jobs.evaluation.evaluation_world import make_world

        env, env_kwargs = policy.metadata["env"], policy.metadata["env_kwargs"]
        world = make_world(env, policy.full_evaluation_env_kwargs)
        kind, cases = world and type(world), {"scm": self.scm, "matrix": self.matrix}
        return make_case_kwargs(env, kind, env_kwargs, **cases) | self.read_env_kwargs()


def make_comparison_table(
    figures: Mapping[str, Mapping[str, float]],
    title: str,
    errors: Mapping[str, Mapping[str, float]] | None = None,
) -> Table:
    """Make a table with a row per policy, or a row per figure if there are more of these.

    Args:
        figures: the figures of each player by name.
        title: the caption.
        errors: the standard errors of those figures that have one.
    """

    def cell(player: str, name: str, digits: int) -> str:
        if name not in figures[player]:
            return ""
        error = (errors or {}).get(player, {}).get(name)
        shown = f"{figures[player][name]:.{digits}g}"
        return shown if error is None else f"{shown} ± {error:.2g}"

    from rungwise.run_log.evaluation_status import format_player

    table, names = Table(title=title, title_justify="left", box=None), list(figures["policy"])
    by_figure = len(names) > len(figures)
    table.add_column("", no_wrap=not by_figure)
    for head in figures if by_figure else names:
        words = format_player(head).replace("_", " ")
        # A word a line, where there are many columns: a long head would take the room of others.
        table.add_column("\n".join(words.split()) if by_figure else words, justify="right")
    if by_figure:
        for name in names:
            cells = (cell(player, name, 3) for player in figures)
            table.add_row(name.replace("_", " "), *cells)
        return table
    for player in figures:
        table.add_row(
            format_player(player).replace("_", " "), *(cell(player, name, 4) for name in names)
        )
    return table


def compare_with_solvers(
    policy: Policy, evaluation: Evaluation, seed: int, checkpoint: Path
) -> Comparison:
    """Add the world's measurements of the policy to its metrics; return the details to print.

    Both are empty in a world that compares policies with no solvers.

    Args:
        policy: the policy that was evaluated.
        evaluation: its episodes and those of the solvers, on the same seeds.
        seed: the first of these seeds.
        checkpoint: the policy's path.
    """
    from envs.contract import counter_rng
    from envs.contract.world import Comparison

    world, found = evaluation.world, evaluation.episodes
    if world is None:
        return Comparison()
    keys = counter_rng.make_keys(seed, len(found["policy"]))
    measured = world.measure_player(keys, policy.act)
    for name in ("policy", "greedy"):
        found[name].metrics |= measured
    return world.describe_comparison(
        keys,
        {name: played.metrics for name, played in found.items()},
        [name for name, played in found.items() if not played.actions],
        found["greedy"].actions[0],
        str(checkpoint),
    )


def print_comparison(details: Comparison, console: Console) -> None:
    """Print the table and the text of a comparison with solvers."""
    if details.rows:
        table = Table(title=details.title, title_justify="left", box=None)
        for number, column in enumerate(details.columns):
            table.add_column(column, justify="right", no_wrap=number < 2)
        for row in details.rows:
            table.add_row(*row)
        console.print(table)
    for line in details.lines:
        console.print(line, highlight=False, soft_wrap=True)


def record_videos(
    policy: Policy,
    checkpoint: Path,
    episodes: int,
    seed: int,
    env_kwargs: Mapping[str, Any],
    console: Console,
) -> list[str]:
    """Record episodes of a checkpoint's policy and print the files.

    Args:
        policy: the policy.
        checkpoint: the directory that it was loaded from.
        episodes: the number of episodes; 0 records none.
        seed: the first seed.
        env_kwargs: environment arguments that replace those of the policy's evaluation.
        console: prints the files.

    Returns:
        The paths of the files; a warning says why there are fewer than episodes.
    """
    if not episodes:
        return []
    from cluster.terminal.progress import EvaluationProgress
    from rungwise.write_errors import warn_of_unwritable
    from tune_jobs.evaluation.best_checkpoint import find_run_and_trial
    from tune_jobs.evaluation.videos import VIDEOS, record_checkpoint
    from tune_jobs.report.run_sections import describe_video

    run, trial = find_run_and_trial(checkpoint) or (None, "")
    directory = run or checkpoint.parent
    rows: list[VideoRow] = []
    # The comparison is the answer, and what has been recorded before the disk was full stays.
    unrecorded = "free some disk space, or copy the checkpoint to a folder where you can write"
    with (
        warn_of_unwritable(directory / VIDEOS, unrecorded),
        EvaluationProgress(activity="recording") as progress,
    ):
        for row in record_checkpoint(
            *(policy, directory, trial, checkpoint, episodes, seed, env_kwargs, progress)
        ):
            rows.append(row)
    paths = [str(directory / row.path) for row in rows]
    for path, row in zip(paths, rows, strict=True):
        console.print(f"Video: {path} ({describe_video(row)})", highlight=False, soft_wrap=True)
    if run and rows:
        with warn_of_unwritable(run, "its report does not show all of the videos"):
            _add_to_report(run, rows)
    return paths


def _add_to_report(run: Path, videos: Sequence[VideoRow]) -> None:
    """Log the videos of a run and write its report again."""
    from rungwise.run_log.driver_lock import has_driver, make_lost_end
    from rungwise.run_log.event_log import EventLog, read_event_log
    from tune_jobs.report.report import try_to_write_report

    log = EventLog(run / "events.jsonl")
    for row in videos:
        log.append(row)
    # A driver writes the report at its end, from the same log.
    if not has_driver(run):
        rows = read_event_log(log.path)
        rows += make_lost_end(run, rows)
        try_to_write_report(rows, run)
