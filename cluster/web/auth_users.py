"""Users of a service with tokens of their own, what they may do, and the log of what they did."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from starlette.exceptions import HTTPException

from rungwise.validation import InputError

Role = Literal["read", "act"]
MIN_TOKEN_LENGTH = 20
"""Fewest characters of a token, which must not be guessed."""
ACTIONS = "actions.jsonl"
"""The log of what users did, in the directory of the runs."""


@dataclass(frozen=True)
class User:
    """One who may use a server."""

    name: str
    token: str
    role: Role = "act"
    """``read`` may look, ``act`` may submit, stop and resume, too."""


USER: ContextVar[User | None] = ContextVar("user")
"""The user of the request or page that is served; None where all use one token. It has no default:
an action outside a request is an error."""


def check_is_secret(path: Path, remedy: str) -> None:
    """Refuse a file of tokens that others can read.

    Raises:
        InputError: they can; the sentence ends with the remedy.
    """
    if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        raise InputError(
            f"Other users can read {path} (mode {mode:o}), so its token is no secret: {remedy}."
        )


def load_users(path: Path) -> list[User]:
    """Read the users of a YAML file such as ``anna: {token: ..., role: read}``.

    Raises:
        InputError: the file cannot be read, others can read it, or it is malformed.
    """
    import yaml

    try:
        check_is_secret(path, f"change the tokens in it, then `chmod 600 {path}`")
        entries: object = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        # The error of a parser quotes the file, tokens included.
        why = error.strerror if isinstance(error, OSError) else "it is not YAML"
        raise InputError(f"The users cannot be read from {path}: {why}.") from None
    if not isinstance(entries, dict) or not entries:
        raise _malformed(path, "it has no users")
    users = [_make_user(path, str(n), e) for n, e in cast("Mapping[str, object]", entries).items()]
    if len({user.token for user in users}) < len(users):
        raise _malformed(path, "two users have the same token")
    return users


def _make_user(path: Path, name: str, entry: object) -> User:
    fields = cast("Mapping[str, object]", entry) if isinstance(entry, dict) else {}
    token, role = fields.get("token"), fields.get("role")
    if fields.keys() != {"token", "role"} or role not in get_args(Role):
        raise _malformed(path, f"{name} needs a token and a role, read or act, and nothing else")
    if not isinstance(token, str) or len(token) < MIN_TOKEN_LENGTH:
        raise _malformed(path, f"the token of {name} has fewer than {MIN_TOKEN_LENGTH} characters")
    return User(name, token, cast("Role", role))


def _malformed(path: Path, why: str) -> InputError:
    lines = "`NAME: {token: TOKEN, role: read}`"
    return InputError(f"{path} is no file of users, as {why}: write lines such as {lines}.")


def may_act() -> bool:
    """Return whether the user of this request may submit, stop and resume."""
    user = USER.get()
    return user is None or user.role == "act"


@contextmanager
def recorded_action(
    root: Path, action: str, run: str = "", trial: str = ""
) -> Generator[dict[str, object]]:
    """Let a user act who may, and log it once it is done; yield the row, which may change.

    Raises:
        HTTPException: the user may only read.
    """
    user = USER.get()
    if user and not may_act():
        raise HTTPException(403, f"{user.name} may read, but not {action}: ask for the role act.")
    row: dict[str, object] = {"user": user and user.name, "action": action, "run": run}
    yield (row := row | {"trial": trial} if trial else row)
    if user:
        with (root / ACTIONS).open("a") as file:
            file.write(json.dumps({"time": time.time()} | row) + "\n")
