"""Users of a service with tokens of their own, what they may do, and the log of what they did."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

from rungwise.validation import InputError

ACTIONS = "actions.jsonl"
"""The log of what users did, in the directory of the runs."""


@dataclass(frozen=True)
class User:
    """One who may use a server."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    token: Annotated[str, Field(min_length=20)]
    role: Literal["read", "act"]
    """``read`` may look, ``act`` may submit, stop and resume, too."""
    name: str = ""


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


def load_users(path: Path | None) -> list[User]:
    """Read the users of a YAML file such as ``anna: {token: ..., role: read}``; none without one.

    Raises:
        InputError: the file cannot be read, others can read it, or it is malformed.
    """
    import yaml

    if path is None:
        return []
    try:
        check_is_secret(path, f"change the tokens in it, then `chmod 600 {path}`")
        entries = TypeAdapter(dict[str, User]).validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        why = str(error.strerror)
    except (UnicodeDecodeError, yaml.YAMLError):  # whose words quote the file, tokens included
        why = "it is not YAML"
    except ValidationError as error:
        why = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    else:
        if len({user.token for user in entries.values()}) == len(entries):
            return [User(user.token, user.role, name) for name, user in entries.items()]
        why = "two users have the same token"
    lines = "NAME: {token: TOKEN, role: read}"
    raise InputError(f"{path} is no file of users ({why}): write lines such as `{lines}`.")


def may_act() -> bool:
    """Return whether the user of this request may submit, stop and resume."""
    user = USER.get()
    return user is None or user.role == "act"


@contextmanager
def recorded_action(
    root: Path, action: str, run: str = "", trial: str = ""
) -> Generator[list[str]]:
    """Let a user act who may, and log it once it is done; yield a list for the name of a new run.

    Raises:
        HTTPException: the user may only read.
    """
    user = USER.get()
    if user and not may_act():
        raise HTTPException(403, f"{user.name} may read, but not {action}: ask for the role act.")
    yield (runs := [run] if run else [])
    if user:
        row = {"time": time.time(), "user": user.name, "action": action, "run": runs[0]}
        with (root / ACTIONS).open("a") as file:
            file.write(json.dumps(row | ({"trial": trial} if trial else {})) + "\n")
