"""RLlib's names of the settings that remedies name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tune_jobs.health.remedy import OtherLibrary

RLLIB_NAMES = {
    "clip": ("clip_param",),
    "entropy_coef": ("entropy_coeff",),
    "epochs": ("num_epochs",),
    "gamma": ("gamma",),
    "grad_clip": ("grad_clip",),
    "lr": ("lr", "actor_lr"),
}
"""Our name of a setting -> RLlib's, the first of which that an algorithm uses counts. Settings of
the same purpose and another scale (a limit of the KL, the weight of the value error) are left
out."""
EPOCHS_OF = ("rllib/PPO",)
"""Algorithms that take several epochs; the others inherit the setting and do not read it."""


def describe_rllib_settings(algo: str, values: Mapping[str, Any]) -> OtherLibrary:
    """Return the settings of one of RLlib's own algorithms that a remedy may name.

    Args:
        algo: its name, such as ``rllib/SAC``.
        values: those that a job or trial sets; the others have RLlib's defaults.
    """
    # RLlib takes seconds to import, and most jobs do not need it.
    from algos.rllib_algorithms import list_settings

    known = {name: default for name, (_, default) in list_settings(algo).items()} | dict(values)
    names: dict[str, str] = {}
    for ours, theirs in RLLIB_NAMES.items():
        present = [name for name in theirs if name in known]
        if present and (ours != "epochs" or algo in EPOCHS_OF):
            # SAC's common rate is none: it has one for each network.
            names[ours] = next((n for n in present if known[n] is not None), present[0])
    return OtherLibrary(names, {ours: known[name] for ours, name in names.items()})
