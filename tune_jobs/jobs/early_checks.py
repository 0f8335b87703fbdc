"""Checks of a job's own fields before its algorithm is imported.

The settings of an algorithm are in the same module as its mathematics, so that reading them imports
torch and Ray: seconds, or half a minute on a busy machine. A wrong number is refused at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from envs.validation import check_value, get_fields
from tune_jobs.jobs.job import Job


def check_plain_fields(given: Mapping[str, Any]) -> None:
    """Check the numbers among the fields of a job.

    Raises:
        InputError: one has the wrong type or is out of bounds.
    """
    for name, (hint, bounds) in get_fields(Job).items():
        if isinstance(value := given.get(name), int | float):
            check_value(name, value, hint, bounds)


def check_number_flags(argv: Sequence[str]) -> None:
    """Check the numbers among the flags of a job.

    Raises:
        InputError: one has the wrong type or is out of bounds.
    """
    names = get_fields(Job)
    given: dict[str, Any] = {}
    for i, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in names:
            continue
        text = value if equals else "".join(argv[i + 1 : i + 2])
        try:
            given[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            continue  # no number: the parser of the flags says so
    check_plain_fields(given)
