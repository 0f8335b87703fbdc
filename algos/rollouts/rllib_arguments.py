"""Arguments of RLlib's ``EnvRunner.sample`` that a columnar runner can do nothing with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from algos.settings.training import TrainingSettings
from rungwise.validation import InputError

SAMPLE_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "num_timesteps": (None,),
    "num_episodes": (None,),
    "explore": (None, True),
    "random_actions": (False,),
    "force_reset": (False,),
}
"""Arguments of RLlib's own ``sample`` -> the values that ask for what a runner does anyway."""


def refuse_sample_arguments(asked: Mapping[str, Any], settings: TrainingSettings) -> None:
    """Refuse another number of steps or another policy: advantages need whole rollouts.

    Raises:
        InputError: an argument that asks for something else.
    """
    for name, value in asked.items():
        if value not in SAMPLE_ARGUMENTS.get(name, ()):
            raise InputError(
                f"sample({name}={value!r}) is not possible: a runner of Rungwise samples "
                f"rollouts of {settings.rollout_length} steps of {settings.num_envs} copies, as "
                "the settings rollout_length and num_envs say. Call sample() as often as you need "
                "steps; whole episodes are played by `rungwise evaluate CHECKPOINT`."
            )
