"""Why runs fail, said early: rules that turn a run's metrics into findings."""

from tune_jobs.health.doctor import RULES, Diagnosis, Discipline, Limit, check_policy, diagnose
from tune_jobs.health.finding import SCORE, SEVERITIES, Finding, History, Row, Rule, Severity

__all__ = [
    "RULES",
    "SCORE",
    "SEVERITIES",
    "Diagnosis",
    "Discipline",
    "Finding",
    "History",
    "Limit",
    "Row",
    "Rule",
    "Severity",
    "check_policy",
    "diagnose",
]
