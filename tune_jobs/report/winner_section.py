"""Render what to do with the winner of a run: load it, train its settings further, serve it."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from rungwise.formatting import count, format_command
from rungwise.run_log.evaluation_status import recommend_sampling
from rungwise.run_log.outcome import Outcome
from tune_jobs.report.html_parts import render_note, section, table
from tune_jobs.report.trial_job import dump_trial_job, parse_job_or_none

WINNER = "winner.yaml"
"""File next to a report: the job that trains the winner's settings."""


def render_winner(outcome: Outcome, winner_yaml: str, directory: Path) -> list[str]:
    """Render the checkpoint of the winner, how it is loaded, and what comes next.

    Args:
        outcome: the run.
        winner_yaml: of :func:`dump_winner_job`; empty where the job cannot be read.
        directory: the run directory.
    """
    best = outcome.best
    if best is None:
        if not outcome.iterations_open:
            return []
        resume = escape(format_command("rungwise", "resume", directory))
        return [section("How to take it on", f"<p>Finish the run: <code>{resume}</code></p>")]
    parts: list[str] = []
    if path := find_winner_checkpoint(outcome, directory):
        about = f"Checkpoint of iteration {best.checkpoint_iteration} of {best.iterations}"
        if best.checkpoint_score is not None:
            about += ", the newest that is not worse than the best one by more than noise"
        code = "\n".join(list_load_lines(outcome, path))
        parts += [render_note(f"{about}: {path}"), f"<pre>{escape(code)}</pre>"]
    elif best.checkpoint:
        parts.append(render_note(f"Its checkpoint {directory / best.checkpoint} was deleted."))
    commands = list_commands(outcome, directory, has_checkpoint=path is not None)
    if not winner_yaml:
        commands = {what: words for what, words in commands.items() if WINNER not in words}
    rows = [[escape(what), f"<code>{escape(words)}</code>"] for what, words in commands.items()]
    parts.append(table([], rows, text=2, sentence=True))
    if winner_yaml and outcome.job.scheduler.get("kind") == "pbt":
        parts.append(render_note("PBT changed its settings on the way: these are the last ones."))
    if winner_yaml:
        title = f"The settings of trial {best.id} as a job ({WINNER})"
        parts.append(
            f"<details open><summary>{escape(title)}</summary>"
            f"<pre>{escape(winner_yaml)}</pre></details>"
        )
    return [section("The winner and how to take it on", *parts)]


def find_winner_checkpoint(outcome: Outcome, directory: Path) -> Path | None:
    """Return the checkpoint that the result is of; None where there is none any more."""
    row = outcome.evaluation
    if row and (directory / row.checkpoint / "").is_dir():
        return directory / row.checkpoint if row.checkpoint else outcome.find_result(directory)
    return outcome.find_result(directory)


def list_load_lines(outcome: Outcome, checkpoint: Path) -> list[str]:
    """Return the lines of Python that load a checkpoint and act."""
    best, row = outcome.best, outcome.evaluation
    settings: dict[str, Any] = outcome.job.changes.get("settings", {}) | (
        best.config if best else {}
    )
    sampled = row and recommend_sampling(row.better_than_greedy, row.episodes)
    how = ", greedy=False" if sampled else ""
    remembers = settings.get("memory", "none") != "none" or settings.get("frame_stack", 1) > 1
    load = ["import rungwise", f'policy = rungwise.Policy.load("{checkpoint}")']
    if remembers:
        state = "state = policy.initial_state()  # at the start of each episode"
        return [*load, state, f"action, state = policy.act(observation, state{how})"]
    return [*load, f"action = policy.act(observation{how})"]


def dump_winner_job(job_yaml: str, outcome: Outcome) -> str:
    """Return the winner's settings as a job file, without what is default.

    Empty without a winner, and for a job of another version that cannot be read any more.
    """
    job = parse_job_or_none(job_yaml)
    return dump_trial_job(job, outcome.best.config) if job and outcome.best else ""


def list_commands(outcome: Outcome, directory: Path, has_checkpoint: bool = True) -> dict[str, str]:
    """Return what takes the result on, in words, with its command."""
    job, file = outcome.job, directory / WINNER
    longer = ("--steps", 2 * job.steps) if job.steps else ("--iterations", 2 * job.iterations)
    commands: dict[str, str] = {}
    if outcome.iterations_open:
        rest = count(outcome.iterations_open, "iteration")
        commands[f"finish the run ({rest} left)"] = format_command("rungwise", "resume", directory)
    if longer[1] and not job.is_program:  # how long a program trains is up to its command
        # A trial that has ended is never continued: `resume` runs what was left open.
        commands["train it twice as long, from the start"] = format_command(
            "rungwise", "train", file, longer[0], f"{longer[1]}"
        )
    commands["train it on another seed"] = format_command(
        "rungwise", "train", file, "--seed", f"{job.seed + 1}"
    )
    if has_checkpoint:
        for what, words in (
            ("serve it over HTTP", ("serve", directory)),
            ("export it", ("export", directory)),
            ("evaluate it on other seeds", ("evaluate", directory, "--seed", "1000")),
        ):
            commands[what] = format_command("rungwise", *words)
    commands["the same search anew"] = format_command("rungwise", "tune", directory / "job.yaml")
    commands["this page again"] = format_command("rungwise", "report", directory)
    return commands
