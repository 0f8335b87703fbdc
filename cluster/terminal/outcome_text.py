"""Outcome of a run as the terminal prints it: table, best trial, evaluation, compute saved."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from cluster.terminal.trial_table import make_trial_table
from rungwise.formatting import (
    count,
    format_command,
    format_end_reason,
    format_estimate,
    format_identifier,
    format_measurement,
    format_percent,
)
from rungwise.health.diagnosis import SHORTEST
from rungwise.run_log.evaluation_status import (
    COMPARED,
    format_episode_count,
    format_player,
    list_remarks,
)
from rungwise.run_log.events import EvaluationRow, VideoRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.trial_outcome import CONTINUED, TrialOutcome
from tune_jobs.report.result_score import (
    choose_figure,
    explain_missing_finals,
    find_result_score,
)
from tune_jobs.report.run_sections import describe_video

COPIED = ("Checkpoint:", "Report:", "Continue:", "Print again:", "Video:")
"""How lines begin that hold a path or a command."""


def print_outcome(outcome: Outcome, console: Console, directory: str | Path | None = None) -> None:
    """Print the outcome of a run: table, best trial, comparison, compute saved.

    Args:
        outcome: the run.
        console: the console to print on.
        directory: the run directory; with it, the paths of checkpoint and report are printed.
    """
    console.print(make_trial_table(outcome, outcome.best_first, console.width, live=False))
    console.print()
    lines = [f"{format_identifier(name)}: {spread}" for name, spread in outcome.siblings.items()]
    if outcome.end and outcome.end.reason == "error":
        lines.append(f"Failed: {outcome.end.sentence or 'the log does not say why'}")
    lines += [
        *_format_best(outcome),
        *_format_repeats(outcome),
        *_format_evaluation(outcome.evaluation, outcome.job.metric),
        *_format_failure(outcome, directory),
        _format_compute(outcome),
        *filter(None, [outcome.observed_text]),
    ]
    lines += [_format_video(row, directory) for row in outcome.videos]
    if directory is not None:
        if path := outcome.find_result(directory):
            lines.append(f"Checkpoint: {path}")
        lines.append(f"Report: {Path(directory) / 'report.html'}")
        is_unfinished = any(t.end_reason in (None, *CONTINUED) for t in outcome.trials)
        title, verb = ("Continue", "resume") if is_unfinished else ("Print again", "report")
        lines.append(f"{title}: {format_command('rungwise', verb, directory)}")
        if outcome.job.observe:
            again = format_command("rungwise", "tune", Path(directory) / "job.yaml", "--no-observe")
            lines.append(f"Not only observed: {again}")
    if 0 < outcome.job.iterations < SHORTEST:
        ended = any(trial.end_reason == "health" for trial in outcome.trials)
        lines.append(
            f"Too short to judge: the budget is {count(outcome.job.iterations, 'iteration')}, and "
            f"below {SHORTEST} the health rules only warn{', except for NaN and infinity' * ended}."
        )
    for line in lines:
        # Terminals break lines inside words; what is to be copied stays whole.
        console.print(Text(line), soft_wrap=line.startswith(COPIED) or not console.is_terminal)


def _format_best(outcome: Outcome) -> list[str]:
    """Format the winner's score on fresh seeds, that of training, and what it was chosen by."""
    best = outcome.best
    if best is None:
        kind = "finite score" if any(t.score is not None for t in outcome.trials) else "score"
        return [f"Best: none, because no trial has a {kind}."]
    score = f"{format_identifier(outcome.job.metric)} {format_measurement(best.score)}"
    trained = f"{score} after {count(best.iterations, 'iteration')}"
    if best.checkpoint_score is not None:
        metric, earlier = format_identifier(outcome.job.metric), best.checkpoint_score
        peak = f"{metric} {format_measurement(earlier)} at iteration {best.checkpoint_iteration}"
        trained = f"{peak}, but {format_measurement(best.score)} at {best.iterations}"
    if best.scored_reward is not None:
        trained += (
            ", estimated from a mean reward per step of "
            f"{format_measurement(best.scored_reward)} at the end: no episode ended in training"
        )
    won, evaluation, result = outcome.won, outcome.evaluation, find_result_score(outcome)
    chosen = [f"Chosen by {outcome.best_by}"] if won else _explain_choice(outcome, best)
    if result and evaluation and evaluation.policy:
        episodes = evaluation.episodes
        if won:
            final = format_estimate(won.score, won.error)
            chosen[0] += f": {format_identifier(won.metric)} {final}"
    elif result and won:
        episodes = won.episodes
    else:
        return [f"Best: trial {best.id}, in training: {trained}", *chosen]
    figure, fresh = f"{format_identifier(result.metric)} {result.text}", "fresh episode"
    line = f"Best: trial {best.id}: {figure} on {count(episodes, fresh)} (in training {trained})"
    return [line, *chosen]


def _explain_choice(outcome: Outcome, best: TrialOutcome) -> list[str]:
    """Say why there were no finals, and why the best trial is not that of the best last score."""
    why = list(filter(None, [explain_missing_finals(outcome)]))
    last = outcome.best_first[0]
    if outcome.repeated or best.id == last.id:
        return why
    means = [format_measurement(trial.settled_score) for trial in (best, last)]
    later = "the mean of the later half of its scores"
    return [*why, f"Chosen by {later}: {means[0]} (trial {last.id}: {means[1]})"]


def _format_repeats(outcome: Outcome) -> list[str]:
    if not outcome.repeated:
        return []
    pairs = [
        f"trial {first.id} {format_measurement(first.settled_score)}, "
        f"then {format_measurement(again.settled_score)}"
        for first, again in outcome.repeated
    ]
    # The table has the last scores.
    return [f"Trained again on another seed (means of the later half): {'; '.join(pairs)}"]


def _format_evaluation(evaluation: EvaluationRow | None, job_metric: str) -> list[str]:
    if evaluation is None or not evaluation.policy:
        return []
    errors = evaluation.standard_errors
    error = errors.get("policy", {})
    figures = ", ".join(
        f"{format_identifier(k)} {format_estimate(v, error.get(k))}"
        for k, v in evaluation.policy.items()
    )
    episodes = format_episode_count(evaluation, "fresh episode")
    lines = [f"Evaluated: trial {evaluation.trial} on {episodes}: {figures}"]
    figure, metric = choose_figure(evaluation, job_metric)
    others = [
        f"{format_player(name)} {format_estimate(v.get(figure), errors.get(name, {}).get(figure))}"
        for name, v in evaluation.baselines.items()
    ]
    if others:
        lines.append(f"{COMPARED} ({format_identifier(metric)}): {' · '.join(others)}")
    return lines + list_remarks(
        evaluation.policy,
        evaluation.baselines,
        evaluation.episodes,
        evaluation.cut_off,
        evaluation.better_than_random,
        evaluation.better_than_greedy,
    )


def _format_failure(outcome: Outcome, directory: str | Path | None) -> list[str]:
    if not outcome.evaluation_failure:
        return []
    again = format_command("rungwise", "resume", directory or outcome.job.run)
    failed = f"The episodes at the end could not be played: {outcome.evaluation_failure}"
    return [f"{failed.rstrip('.')}. Training is complete; `{again}` plays them again."]


def _format_video(row: VideoRow, directory: str | Path | None) -> str:
    if row.failure:
        return f"No video of trial {row.trial}: {row.failure}."
    return f"Video: {Path(directory or '') / row.path} ({describe_video(row)})"


def _format_compute(outcome: Outcome) -> str:
    run = f"Compute: {outcome.progress_text}"
    if not outcome.budget:  # a program whose budget is not known
        return run
    saved = f"{format_percent(outcome.compute_saved)} saved"
    parts = [
        f"{format_end_reason(name)} {format_percent(iterations / outcome.budget)}"
        for name, iterations in outcome.iterations_saved_by_reason.items()
    ]
    line = f"{run}, {saved}" + (f" ({', '.join(parts)})" if parts else "")
    if outcome.iterations_open:
        line += f", {outcome.iterations_open:,} still open"
    if agreement := outcome.rung_agreement:
        line += f"\nRungs: {agreement.sentence}"
    return line
