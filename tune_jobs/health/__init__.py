"""Health rules: they turn the metrics of a run into findings while it trains."""

from tune_jobs.health.diagnosis import RULES, Diagnosis, StopConditions, check_limits, diagnose
from tune_jobs.health.finding import SEVERITIES, Finding, Limit, Severity
from tune_jobs.health.history import SCORE, History
from tune_jobs.health.metric_table import Row
from tune_jobs.health.rule import Rule

__all__ = [
    "RULES",
    "SCORE",
    "SEVERITIES",
    "Diagnosis",
    "Finding",
    "History",
    "Limit",
    "Row",
    "Rule",
    "Severity",
    "StopConditions",
    "check_limits",
    "diagnose",
]
