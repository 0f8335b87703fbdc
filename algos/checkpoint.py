"""Checkpoints that can be trusted: what is damaged is noticed, and loading a policy runs no code.

A checkpoint directory holds ``policy/`` (settings as JSON, weights as safetensors; all that acting
needs), ``algorithm/`` (RLlib's own state, to go on training; pickled, so only for checkpoints of
one's own) and ``manifest.json`` with the sha256 of every file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from envs.validation import InputError

MANIFEST = "manifest.json"


class DamagedCheckpoint(InputError):
    """A checkpoint's files are missing or are not what was written."""


def write_manifest(directory: Path) -> None:
    """Record the sha256 of every file under ``directory``."""
    files = {name: _sha256(directory / name) for name in _files(directory)}
    (directory / MANIFEST).write_text(json.dumps(files, indent=1))


def verify(directory: Path, under: str = "") -> None:
    """Check the files below ``directory / under`` against the manifest.

    Raises:
        DamagedCheckpoint: naming the first file that is missing or changed.
    """
    try:
        recorded: Any = json.loads((directory / MANIFEST).read_text())
        if not isinstance(recorded, dict):
            raise ValueError("it is not a table of files")
        if missing := {n for n in _files(directory) if n.startswith(under)} - set(recorded):
            raise ValueError(f"it does not list {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        raise DamagedCheckpoint(
            f"{directory} is not a complete checkpoint: its {MANIFEST} cannot be used ({error})."
        ) from error
    for name, digest in recorded.items():
        if name.startswith(under) and not (
            (directory / name).is_file() and _sha256(directory / name) == digest
        ):
            raise DamagedCheckpoint(
                f"{directory / name} is missing or damaged; use the checkpoint before this one."
            )


def _files(directory: Path) -> list[str]:
    found = (p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())
    return sorted(name for name in found if name != MANIFEST)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
