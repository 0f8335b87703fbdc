"""What a command returns, and how it may end without having done what it was asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Answer = dict[str, Any]
"""The object that ``--json`` prints."""


class Interrupted(Exception):
    """The user stopped a run; it can be resumed. Carries the answer so far."""

    def __init__(self, answer: Answer, directory: Path) -> None:
        super().__init__(
            f"Stopped. `rungwise resume {directory}` goes on from the last checkpoints."
        )
        self.answer = answer


class Failed(Exception):
    """A run ended without a result; carries the answer."""

    def __init__(self, answer: Answer, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = answer
