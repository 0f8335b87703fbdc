"""Check of what an environment says of the success of an episode."""

from __future__ import annotations

from typing import Any, cast

from envs.checking.guarded_calls import Violation
from envs.success import SUCCESS_NAMES, read_number


def find_unread_success(info: Any, step: int) -> list[Violation]:
    """Return a note if the last info of an episode names its success as something unreadable."""
    entries = cast("dict[str, Any]", info) if isinstance(info, dict) else {}
    return [
        Violation(
            "success_unread",
            f"Expected a truth value as info[{name!r}], but the episode that ended at step {step} "
            f"gave {entries[name]!r} ({type(entries[name]).__name__}): its success is not counted; "
            "give True or False.",
            step,
            "note",
        )
        for name in SUCCESS_NAMES
        if name in entries and read_number(entries[name]) is None
    ]
