"""The mask of an environment under check: legal actions for random play, faults as violations."""

from __future__ import annotations

from typing import Any

import gymnasium

from envs.contract.action_masks import FORMS, count_choices, get_offered
from envs.contract.masked import MaskReader, detect_form
from envs.contract.pytree import Array
from envs.contract.violations import BrokenEnvironmentError, Violation
from rungwise.validation import InputError

INVALID = "mask_invalid"
"""The rule that a mask fits its actions and leaves one of them."""


class CheckedMask:
    """Reads the mask that an environment offers.

    Args:
        env: the environment, after a reset.
        observation: what the reset returned.
        info: what the reset returned.

    Raises:
        BrokenEnvironmentError: its observation has two parts that could be the mask.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], observation: object, info: object) -> None:
        try:
            form = detect_form(env, info)
        except InputError as error:
            raise BrokenEnvironmentError(Violation(INVALID, str(error))) from error
        self.reader = None if form is None else MaskReader(env, form)
        self.notes = _find_unread(env, observation, info)

    def read(
        self, observation: object, info: object, step: int, *, ended: bool = False
    ) -> Array | None:
        """Return the legal actions [choices]; None where there is no mask.

        Args:
            observation: the latest.
            info: the latest.
            step: the steps since the reset.
            ended: whether the episode is over.

        Raises:
            BrokenEnvironmentError: a mask that is missing, of a wrong size or without an action.
        """
        if self.reader is None:
            return None
        try:
            return self.reader.read(observation, info, step, ended=ended)
        except InputError as error:
            raise BrokenEnvironmentError(Violation(INVALID, str(error), step or None)) from error


def _find_unread(
    env: gymnasium.Env[Any, Any], observation: object, info: object
) -> list[Violation]:
    """Return a note if masks are offered for actions that cannot be masked here."""
    if count_choices(env.action_space) >= 0:
        return []
    return [
        Violation(
            "mask_unread",
            f"the environment gives {words}, but no policy here reads a mask for "
            f"{env.action_space}",
            severity="note",
        )
        for form, words in FORMS.items()
        if get_offered(form, env, observation, info) is not None
    ][:1]
