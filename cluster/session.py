"""The one place that starts or joins Ray."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from cluster.answers import Failed
from envs.validation import InputError


@contextmanager
def session(address: str = "local", cpus: int | None = None) -> Generator[None]:
    """Ray for the length of a command.

    Args:
        address: ``local`` starts a Ray of its own on this machine. Anything else is an address to
            join. Ray's own default would silently join whatever cluster it finds here.
        cpus: CPUs to offer on a local Ray; None offers all of them.

    Raises:
        InputError: the cluster cannot be reached.
        Failed: no Ray starts on this machine.
    """
    # Read by Ray when it is imported: no telemetry, no advertising of its pre-release output.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    # Ray Serve gives up on its proxy after 5 seconds, which a busy machine needs to import it.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    import ray

    local = address == "local"
    if local:
        with suppress(OSError):  # a home that cannot be written to may be none that Ray needs
            keep_token_secret(Path.home() / ".ray" / "auth_token")
    try:
        ray.init(
            address=address,
            num_cpus=cpus if local else None,
            include_dashboard=False if local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
        raise InputError(f"There is no Ray to join at {address}: {error}") from error
    except Exception as error:  # Ray raises whatever its processes failed with
        ray.shutdown()
        if not local:
            raise
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise Failed(
            {},
            f"Ray did not start on this machine: {why.rstrip('.')}. If the machine is very busy or "
            "short of memory, try again; the logs are in /tmp/ray/session_latest/logs.",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def keep_token_secret(path: Path) -> None:
    """Let only its owner read Ray's token; Ray makes one that everybody can read."""
    path.parent.mkdir(exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent) as file:  # at once whole, and mode 0600
        file.write(secrets.token_hex(32))
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            path.chmod(0o600)
