"""Checkpoints that can be trusted: what is damaged is noticed, and loading a policy runs no code.

A checkpoint directory holds ``policy/`` (settings as JSON, weights as safetensors; all that acting
needs), ``algorithm/`` (RLlib's own state, to resume training; pickled, so only for checkpoints
that you wrote) and ``manifest.json`` with the sha256 of every file.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.validation import InputError

MANIFEST = "manifest.json"
ARRAYS = ("low", "high", "nvec")
"""Arrays that RLlib writes into a space as base64 of numpy's own format, which may hold pickles."""


class DamagedCheckpoint(InputError):
    """A checkpoint whose files are missing or differ from what was written."""


def check_is_checkpoint(directory: Path) -> None:
    """Refuse a directory that holds no policy.

    Raises:
        InputError: it is not a checkpoint.
    """
    if not (directory / "policy" / "policy.json").is_file():
        wrong = "is a file and no checkpoint" if directory.exists() else "does not exist"
        if directory.is_dir():
            wrong = "is not a checkpoint: it has no policy/policy.json"
        raise InputError(
            f"{directory} {wrong}. Give a directory such as "
            "runs/NAME/trials/session-0/03/checkpoint_000004; a command also takes that of a run "
            "or a trial."
        )


def write_manifest(directory: Path) -> None:
    """Record the sha256 of every file under ``directory``."""
    files = {name: _sha256(directory / name) for name in _list_files(directory)}
    (directory / MANIFEST).write_text(json.dumps(files, indent=1))


def verify_checkpoint(directory: Path, prefix: str = "") -> None:
    """Check the files below ``directory / under`` against the manifest.

    Raises:
        DamagedCheckpoint: naming the first file that is missing or changed.
    """
    try:
        recorded: Any = json.loads((directory / MANIFEST).read_text())
        if not isinstance(recorded, dict):
            raise ValueError("it is not a table of files")
        # An unlisted file is refused, too: a loader might read it although nothing vouches
        # for it.
        if missing := {n for n in _list_files(directory) if n.startswith(prefix)} - set(recorded):
            raise ValueError(f"it does not list {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        raise DamagedCheckpoint(
            f"{directory} is not a complete checkpoint: its {MANIFEST} cannot be used ({error})."
        ) from error
    for name, digest in recorded.items():
        if name.startswith(prefix) and not (
            (directory / name).is_file() and _sha256(directory / name) == digest
        ):
            raise DamagedCheckpoint(
                f"{directory / name} is missing or damaged; use the checkpoint before this one."
            )


def find_newest_intact(paths: Iterable[Path]) -> tuple[Path | None, list[str]]:
    """Return the last of these checkpoints that is intact, and the damage of later ones.

    A checkpoint that does not exist was deleted to make room, which is no damage.
    """
    damage: list[str] = []
    # Newest first, and no further than the first intact one: verifying reads every byte.
    for path in reversed(list(paths)):
        if not path.exists():
            continue
        try:
            verify_checkpoint(path)
        except DamagedCheckpoint as error:
            # After the semicolon the message says what a user can do, which does not apply here.
            damage.append(str(error).split(";")[0])
            continue
        return path, damage
    return None, damage


def refuse_pickles(directory: Path, metadata: Mapping[str, Any]) -> None:
    """Make sure that the spaces of a policy.json are read without unpickling anything.

    RLlib reads their arrays by ``numpy.load(allow_pickle=True)``.

    Raises:
        InputError: an array holds objects.
    """
    try:
        for text in (
            *_find_encoded_arrays(metadata["observation_space"]),
            *_find_encoded_arrays(metadata["action_space"]),
        ):
            # Raises on object arrays, which RLlib would unpickle: loading those runs
            # their code.
            np.load(io.BytesIO(zlib.decompress(base64.b64decode(text))), allow_pickle=False)
    except (ValueError, KeyError, TypeError, EOFError, zlib.error, RecursionError) as error:
        raise InputError(
            f"The policy.json of {directory} does not describe plain spaces ({error}): it may run "
            "hidden code. Do not use it."
        ) from error


def _find_encoded_arrays(space: Any) -> list[str]:
    """Return every array in a space as RLlib writes it, at any depth."""
    parts = space.values() if isinstance(space, dict) else space
    if not isinstance(space, dict | list):
        return []
    arrays = [space[name] for name in ARRAYS if name in space] if isinstance(space, dict) else []
    return [*filter(None, arrays), *(text for part in parts for text in _find_encoded_arrays(part))]


def _list_files(directory: Path) -> list[str]:
    names = (p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())
    return sorted(name for name in names if name != MANIFEST)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
