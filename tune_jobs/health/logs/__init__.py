"""Read the logs of finished runs, of Rungwise or other tools, as rows for the rules."""

from tune_jobs.health.logs.log import Log
from tune_jobs.health.logs.reading import read_all, read_logs

__all__ = ["Log", "read_all", "read_logs"]
