"""Settings of one of RLlib's own algorithms: what a job changes in its AlgorithmConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rungwise.health.remedy import OtherLibrary
from rungwise.validation import InputError, check_value
from tune_jobs.jobs.search_space import Space

PROCESSES = ("num_env_runners", "num_learners")
"""Settings that say what a trial reserves, so that all trials share them."""
RLLIB_NAMES = {
    "clip": ("clip_param",),
    "entropy_coef": ("entropy_coeff",),
    "epochs": ("num_epochs",),
    "gamma": ("gamma",),
    "grad_clip": ("grad_clip",),
    "lr": ("lr", "actor_lr"),
}
"""Our name of a setting -> RLlib's names; the first that an algorithm uses counts. Settings of
another scale (a limit of the KL, the weight of the value error) are left out."""
EPOCHS_OF = ("rllib/PPO",)
"""Algorithms that take several epochs; the others inherit the setting and do not read it."""


@dataclass(frozen=True)
class RLlibSettings:
    """Settings that differ from the defaults of an algorithm's AlgorithmConfig."""

    # Its env runners act on the CPU.
    acts_on_gpu: ClassVar[bool] = False
    acting_device: ClassVar[str] = "cpu"
    # Its first iterations may only fill a replay buffer: later ones take many times longer.
    hang_limit_s: ClassVar[float] = 600.0

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    """By the names of RLlib's own arguments: `lr`, `num_env_runners`."""

    @property
    def num_env_runners(self) -> int:
        """Number of remote env runners; 0 steps the environment in the trial's own process."""
        return self.values.get("num_env_runners", 0)

    @property
    def num_learners(self) -> int:
        """Number of remote learners; 0 learns in the trial's own process."""
        return self.values.get("num_learners", 0)


def check_settings(algo: str, settings: RLlibSettings, search: Mapping[str, Space]) -> None:
    """Refuse settings, and searched ones, that an algorithm does not have.

    Raises:
        InputError: naming the first, with the nearest that it has.
    """
    # RLlib takes seconds to import, and most jobs do not need it.
    from algos.rllib.rllib_algorithms import check_setting, get_default_config

    get_default_config(algo)  # refuses a name that is none
    for name, value in settings.values.items():
        check_value(f"settings.{name}", value, Any)
        check_setting(algo, name, value)
    for name, space in search.items():
        for value in space.values:
            check_setting(algo, name, value, "search")
        if name in PROCESSES:
            raise InputError(
                f"{name} is searched, but all trials of a job reserve the same processes: set it "
                "in settings."
            )


def describe_rllib_settings(algo: str, values: Mapping[str, Any]) -> OtherLibrary:
    """Return the settings of one of RLlib's own algorithms that a remedy may name.

    Args:
        algo: its name, such as ``rllib/SAC``.
        values: those that a job or trial sets; the others have RLlib's defaults.
    """
    # RLlib takes seconds to import, and most jobs do not need it.
    from algos.rllib.rllib_algorithms import list_settings

    settings = {name: default for name, (_, default) in list_settings(algo).items()} | dict(values)
    names: dict[str, str] = {}
    for setting, rllib_names in RLLIB_NAMES.items():
        present = [name for name in rllib_names if name in settings]
        if present and (setting != "epochs" or algo in EPOCHS_OF):
            # SAC's common rate is none: it has one for each network.
            names[setting] = next((n for n in present if settings[n] is not None), present[0])
    return OtherLibrary(names, {setting: settings[name] for setting, name in names.items()})
