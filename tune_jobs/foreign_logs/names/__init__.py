"""Names of the catalogue's metrics in other tools: one file for each library.

To add a library, write a file with its :class:`Library` and add it to ``LIBRARIES`` in
``matching.py``. A name of the catalogue (with or without Tune's ``metrics/``) needs no entry.
"""

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library
from tune_jobs.foreign_logs.names.matching import (
    KNOWN,
    LIBRARIES,
    check_rename,
    find_setting_names,
    match_metrics,
    recognise_libraries,
    strip_tune_prefix,
)

__all__ = [
    "KNOWN",
    "LIBRARIES",
    "CatalogueMetric",
    "Library",
    "check_rename",
    "find_setting_names",
    "match_metrics",
    "recognise_libraries",
    "strip_tune_prefix",
]
