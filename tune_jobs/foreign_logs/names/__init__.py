"""Names of the catalogue's metrics in other tools.

To add a library, write its :class:`Library` in ``libraries.py`` and add it to ``LIBRARIES`` there.
A name of the catalogue (with or without Tune's ``metrics/``) needs no entry.
"""

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library
from tune_jobs.foreign_logs.names.libraries import LIBRARIES
from tune_jobs.foreign_logs.names.matching import (
    KNOWN,
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
