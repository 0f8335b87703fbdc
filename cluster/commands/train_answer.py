"""The answer of ``rungwise train``: one trial, its metrics, evaluation and findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import Answer

if TYPE_CHECKING:
    from tune_jobs.run_log.events import EvaluationRow, FindingRow

FINDING_FIELDS = ("symptom", "severity", "since", "evidence", "remedy")
"""Fields of a finding in an answer."""


def make_train_answer(answer: Answer) -> Answer:
    """Turn the answer about a run of one trial into that of ``rungwise train``.

    Its metrics are those of the iteration that the resulting checkpoint was written at.
    """
    from tune_jobs.run_log.event_log import read_event_log
    from tune_jobs.run_log.events import ResultRow
    from tune_jobs.run_log.json_types import to_json_types
    from tune_jobs.run_log.outcome import Outcome

    trial, run = answer["trials"][0], Path(answer["run"])
    rows = read_event_log(run / "events.jsonl")
    results = {row.iteration: row for row in rows if isinstance(row, ResultRow)}
    outcome = Outcome.from_rows(rows)
    at = outcome.trials[0].checkpoint_iteration
    result = results.get(at if trial["checkpoint"] else max(results, default=0))
    # Where that iteration measured no score, the last one before it counts.
    scores = [r.score for i, r in sorted(results.items()) if result and i <= result.iteration]
    score = next((s for s in reversed(scores) if s is not None), None)
    return {
        "run": answer["run"],
        "checkpoint": trial["checkpoint"],
        "end_reason": trial["end_reason"],
        "metrics": to_json_types(result.metrics | {"score": score}) if result else {},
        "evaluation": _describe_evaluation(outcome.evaluation, run),
        "findings": _list_worst_findings(outcome.findings),
        "videos": answer["videos"],
        "report": answer["report"],
    }


def _describe_evaluation(row: EvaluationRow | None, run: Path) -> Answer | None:
    """Return the final evaluation of a run under the names of ``rungwise evaluate --json``."""
    from tune_jobs.run_log.json_types import to_json_types

    if row is None:
        return None
    names = (
        *("episodes", "most", "seed", "policy", "baselines", "standard_errors"),
        *("cut_off", "better_than_random", "better_than_greedy"),
    )
    figures = {name: getattr(row, name) for name in names}
    return {"checkpoint": str(run / row.checkpoint), **to_json_types(figures)}


def _list_worst_findings(rows: Iterable[FindingRow]) -> list[Answer]:
    """List each symptom once, at its highest severity, the most severe first."""
    from tune_jobs.health.finding import SEVERITIES

    mildest_first = sorted(rows, key=lambda row: SEVERITIES.index(row.severity))
    worst = {row.symptom: row for row in mildest_first}.values()
    findings = [{name: getattr(row, name) for name in FINDING_FIELDS} for row in worst]
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding["severity"]))
