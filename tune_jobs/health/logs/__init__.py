"""Finished runs, ours or somebody else's, as rows that the rules can judge."""

from tune_jobs.health.logs.log import Log
from tune_jobs.health.logs.reading import read_all, read_logs

__all__ = ["Log", "read_all", "read_logs"]
