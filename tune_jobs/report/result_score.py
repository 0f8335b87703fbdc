"""The one number of a run: what its winner scored, and where that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rungwise.formatting import count, format_estimate, format_identifier
from rungwise.metrics import HELD_OUT
from rungwise.run_log.evaluation_status import format_player
from rungwise.run_log.events import EvaluationRow
from rungwise.run_log.outcome import Outcome
from rungwise.run_log.score_noise import NoiseSource, TrialCurve
from rungwise.run_log.trial_outcome import POOLED, TrialOutcome


@dataclass(frozen=True)
class ResultScore:
    """The score of a run's winner."""

    metric: str
    value: float | None
    error: float | None
    """Its standard error; None where it is not known."""
    source: str
    """Where it was measured, in words."""
    mode: str = ""
    """``min`` or ``max``: which of its values are better; empty where it is not known."""
    likely: str = ""
    """The score of the most likely actions on the same seeds, formatted; empty if not played."""

    @property
    def text(self) -> str:
        """The score with its standard error."""
        return format_estimate(self.value, self.error)


def find_result_score(outcome: Outcome) -> ResultScore | None:
    """Return the winner's score; None without a winner.

    The comparison at the end is played after the winner was chosen, on seeds of its own, so that
    the choice does not flatter it. Without it the finals count, else the training.
    """
    best, row = outcome.best, outcome.evaluation
    if best is None:
        return None
    if row is not None and row.policy:
        figure, metric = choose_figure(row, outcome.job.metric)
        likely = row.baselines.get("greedy", {})
        return ResultScore(
            metric,
            row.policy[figure],
            row.standard_errors.get("policy", {}).get(figure),
            f"on {count(row.episodes, 'fresh episode')}, sampled actions",
            _find_mode(outcome, row, metric),
            format_estimate(likely.get(figure), row.standard_errors.get("greedy", {}).get(figure))
            if likely
            else "",
        )
    if (won := outcome.won) is not None:
        return ResultScore(won.metric, won.score, won.error, f"by {outcome.best_by}", won.mode)
    error = estimate_training_error(best) if best.checkpoint_score is None else None
    source = f"by {outcome.best_by}"
    return ResultScore(outcome.job.metric, outcome.best_score, error, source, outcome.job.mode)


def _find_mode(outcome: Outcome, row: EvaluationRow, metric: str) -> str:
    """Return which values of a figure are better: a job's own metric may not be among them."""
    if metric == outcome.job.metric.removeprefix(HELD_OUT):
        return outcome.job.mode
    if outcome.won is not None and outcome.won.metric in (metric, row.metric):
        return outcome.won.mode
    return "max" if metric.startswith("return") else ""


def name_player(player: str, trial: str) -> str:
    """Return the name of a player in words, with the trial of a policy.

    >>> name_player("greedy", "07"), name_player("random", "07")
    ('trial 07, most likely action', 'random')
    """
    words = "sampled actions" if player == "policy" else format_player(player)
    return f"trial {trial}, {words}" if player in ("policy", "greedy") else words


def choose_figure(row: EvaluationRow, job_metric: str) -> tuple[str, str]:
    """Return the figure of an evaluation that is its score, and the metric that it measures."""
    metric = job_metric.removeprefix(HELD_OUT)
    if metric in row.policy:
        return metric, metric
    if "mean" in row.policy:  # of the environment's own score, which older logs do not name
        return "mean", row.metric or metric
    first = next(iter(row.policy))
    return first, first


def estimate_training_error(trial: TrialOutcome) -> float | None:
    """Return the standard error of a trial's last score; None where no row says its spread."""
    noise, curve = NoiseSource(trial.job.metric, trial.job.seeds), TrialCurve()
    for row in trial.results[-2 * POOLED :]:  # those before are in no score
        curve.add(row.iteration, row.score, row.metrics, noise)
    last = trial.last_scored
    return curve.estimate_standard_error(last.iteration) if last else None


def explain_missing_finals(outcome: Outcome) -> str:
    """Return why training scores chose the winner; empty where none are expected."""
    asked: dict[str, Any] = outcome.job.changes.get("job", {})
    playable = [trial for trial in outcome.ranked if trial.checkpoint]
    unasked = asked.get("finalists") == 1 or asked.get("evaluation_episodes") == 0
    if unasked or len(playable) < 2 or outcome.end is None or outcome.end.reason != "done":
        return ""
    if outcome.evaluation_failure:
        return f"The training score chose the winner: {outcome.evaluation_failure}"
    return (
        "The training score chose the winner: a tenth of the training's steps allowed fewer than "
        "20 episodes for each of the best few. `evaluation_episodes` in the job asks for more."
    )


def label_training_score(outcome: Outcome) -> str:
    """Return the heading of scores of training: they are those of a policy that still learns."""
    return f"training score: {format_identifier(outcome.job.metric)}"
