"""The answer of ``rungwise train``: one trial, its metrics, evaluation and findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import Answer

if TYPE_CHECKING:
    from rungwise.run_log.events import EvaluationRow, FindingRow
    from rungwise.run_log.outcome import Outcome

FINDING_FIELDS = ("symptom", "severity", "since", "evidence", "remedy")
"""Fields of a finding in an answer."""


def make_train_answer(outcome: Outcome, run: Path) -> Answer:
    """Return the answer about a run of one trial.

    Its metrics are those of the iteration that the resulting checkpoint was written at.
    """
    from rungwise.run_log.json_types import to_json_types

    answer, trial = outcome.as_dict(run), outcome.trials[0]
    checkpoint = answer["trials"][0]["checkpoint"]
    at = trial.checkpoint_iteration if checkpoint else trial.iterations
    rows = [row for row in trial.results if row.iteration <= at]
    # Where that iteration measured no score, the last one before it counts.
    score = next((row.score for row in reversed(rows) if row.score is not None), None)
    return {
        "run": answer["run"],
        "checkpoint": checkpoint,
        "end_reason": trial.end_reason,
        "metrics": to_json_types(rows[-1].metrics | {"score": score}) if rows else {},
        "evaluation": _describe_evaluation(outcome.evaluation, run),
        "findings": _list_worst_findings(outcome.findings),
        "videos": answer["videos"],
        "report": answer["report"],
    }


def _describe_evaluation(row: EvaluationRow | None, run: Path) -> Answer | None:
    """Return the final evaluation of a run under the names of ``rungwise evaluate --json``."""
    from rungwise.run_log.json_types import to_json_types

    if row is None:
        return None
    names = (
        *("episodes", "most", "seed", "policy", "baselines", "standard_errors"),
        *("cut_off", "better_than_random", "better_than_greedy"),
    )
    figures = {name: getattr(row, name) for name in names}
    return {"checkpoint": str(run / row.checkpoint), **to_json_types(figures)}


def _list_worst_findings(rows: Iterable[FindingRow]) -> list[Answer]:
    """List each symptom that stands once, at its highest severity, the most severe first."""
    from rungwise.health.finding import SEVERITIES

    standing = (row for row in rows if not row.withdrawn)
    mildest_first = sorted(standing, key=lambda row: SEVERITIES.index(row.severity))
    worst = {row.symptom: row for row in mildest_first}.values()
    findings = [{name: getattr(row, name) for name in FINDING_FIELDS} for row in worst]
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding["severity"]))
