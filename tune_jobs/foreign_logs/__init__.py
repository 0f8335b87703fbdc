"""Read the logs of runs, of Rungwise or other tools, as rows for the rules.

A log goes through three steps: a reader of ``formats`` yields the records that a file has gained,
``names`` finds the catalogue's metrics among their names, and ``translate_log`` makes rows of them.
To add a format or a library, see ``formats`` and ``names``.
"""

from tune_jobs.foreign_logs.discovery import find_readers
from tune_jobs.foreign_logs.formats import Reader
from tune_jobs.foreign_logs.log import Log
from tune_jobs.foreign_logs.reading import read_all, read_logs
from tune_jobs.foreign_logs.record import Record
from tune_jobs.foreign_logs.translation import translate_log

__all__ = ["Log", "Reader", "Record", "find_readers", "read_all", "read_logs", "translate_log"]
