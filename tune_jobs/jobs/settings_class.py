"""The class of a job's settings: it depends on the algorithm."""

from __future__ import annotations

from typing import TypeAlias

import algos
from algos.config import TrainingSettings, is_rllib_name
from tune_jobs.jobs.program_settings import PROGRAM, ProgramSettings
from tune_jobs.jobs.rllib_settings import RLlibSettings

Settings: TypeAlias = TrainingSettings | ProgramSettings | RLlibSettings
"""Those of our own training, of a program, or of one of RLlib's own algorithms."""


def get_settings_class(algo: str) -> type[Settings]:
    """Return the class of the settings of an algorithm, or of a program.

    Raises:
        InputError: no algorithm has that name.
    """
    if is_rllib_name(algo):
        return RLlibSettings
    return ProgramSettings if algo == PROGRAM else algos.get_algorithm_class(algo).settings_class
