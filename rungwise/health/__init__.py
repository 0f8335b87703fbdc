"""Health rules: they turn the metrics of a run into findings while it trains."""

from rungwise.health.diagnosis import RULES, Diagnosis, StopConditions, check_limits, diagnose
from rungwise.health.finding import SEVERITIES, Finding, Limit, Severity
from rungwise.health.history import SCORE, History
from rungwise.health.metric_table import Row
from rungwise.health.rule import Rule

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
