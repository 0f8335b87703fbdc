"""Why runs fail, said early: rules that turn a run's metrics into findings."""

from tune_jobs.health.diagnosis import (
    RULES,
    Diagnosis,
    Limit,
    StopConditions,
    check_limits,
    diagnose,
)
from tune_jobs.health.finding import SCORE, SEVERITIES, Finding, History, Row, Rule, Severity

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
