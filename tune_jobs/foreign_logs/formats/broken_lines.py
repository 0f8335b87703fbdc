"""Lines that do not fit the log that they stand in: left out where they are few, else damage."""

from __future__ import annotations


class BrokenLines:
    """Distinguishes a line that was cut off from a file of another content.

    A program that is killed leaves half a line, since its output is written in blocks. Where it is
    continued from a checkpoint, its next line stands behind that half: one line is broken, and the
    next is sound. Two broken lines in a row are damage.
    """

    def __init__(self) -> None:
        """Know of no line."""
        self.damage = ""
        """What is wrong with the log, in a sentence; empty while it is sound."""
        self.pending = ""
        """What is wrong with the last line, until the next one decides."""
        self._first, self._count = "", 0

    def add_broken(self, sentence: str) -> None:
        """Take over that a line does not fit, and why."""
        if self.pending:
            self.damage = self.pending
        self.pending = sentence

    def add_sound(self) -> None:
        """Take over that a line fits: a broken one before it stands alone."""
        if self.pending:
            self._first, self._count = self._first or self.pending, self._count + 1
            self.pending = ""

    @property
    def note(self) -> str:
        """A sentence on the lines that were left out; empty if none was."""
        if self._count < 2:
            return self._first and f"{self._first} The line is left out."
        return f"{self._first} This line and {self._count - 1} more are left out."
