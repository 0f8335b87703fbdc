"""The URL that messages of a run are sent to: its check, and the file that keeps it secret.

Anyone who has the URL of a webhook can write to its channel. So no job file of a run, log or error
holds it: a run directory has it in a file of its own, which only its owner can read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from rungwise.run_directory import NOTIFY
from rungwise.validation import InputError

VARIABLE = "RUNGWISE_NOTIFY"
"""Environment variable with the URL of runs whose job has none."""


def check_notify_url(url: object, name: str = "notify") -> None:
    """Check a URL that messages are to be sent to; an empty text sends none.

    Args:
        url: the value given.
        name: what the user calls it: a field or a variable.

    Raises:
        InputError: it is no http or https URL; the message shows at most its scheme and host.
    """
    if url != "" and not (isinstance(url, str) and _is_usable(url)):
        raise InputError(
            f"{name} must be an http or https URL without spaces, user or password, such as "
            f"https://hooks.slack.com/services/..., but it is {mask_url(url)}: copy it from the "
            "settings of the channel."
        )


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # which raises where it is no number
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


def mask_url(url: object) -> str:
    """Return only the scheme and the host of a URL, to be shown.

    >>> mask_url("https://hooks.slack.com/services/T0/B0/secret")
    'https://hooks.slack.com/***'
    >>> mask_url("T0/B0/secret")
    'a text of 12 characters'
    """
    if not isinstance(url, str):
        return "no text"
    with suppress(ValueError):
        if (parts := urlsplit(url)).hostname:
            return f"{parts.scheme}://{parts.hostname}/***"
    return f"a text of {len(url)} characters"


def save_notify_url(url: str, directory: Path) -> None:
    """Keep the URL of a run where a resume finds it and only the owner can read it."""
    if url:
        (file := directory / NOTIFY).touch(0o600)
        file.write_text(url)


def find_notify_url(directory: Path) -> str:
    """Return the URL of a run: that of its job, else of the process environment; empty for none."""
    with suppress(OSError):
        return (directory / NOTIFY).read_text(errors="replace").strip()
    return os.environ.get(VARIABLE, "")
