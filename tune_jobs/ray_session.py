"""Start or join Ray: the only module that calls ``ray.init``."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import psutil

from rungwise.interruption import end_with_last_words, received_sigterm
from rungwise.user_packages import ROOT, has_user_packages, make_claim
from rungwise.validation import InputError
from tune_jobs.joined_nodes import check_nodes, make_runtime_env
from tune_jobs.ray_internals import start_less

MOST_PER_CORE = 8
"""CPUs that a local Ray may offer for each core of the machine."""
HEAD_LOOK_S, HEAD_LOST_S = 5.0, 45.0
"""Seconds between two looks at the head of a Ray, and without an answer until it is lost."""
CONNECT_S = 10.0
"""Seconds within which the head of a cluster has to accept a connection."""


class RayStartError(Exception):
    """No Ray starts on this machine; the message is for people."""


def count_cores() -> int:
    """Return the number of cores that this process may use, by its affinity and its container."""
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))  # a quota of "max" is none
    return cores


def offered_cpus(cpus: int | None) -> int:
    """Return the CPUs that a Ray on this machine offers: ``cpus``, or one for each core.

    A CPU of Ray is a permit for a process and not a core, so more CPUs than cores are allowed:
    processes that wait can share a core. But each process takes some 0.5 GiB, so at most
    :data:`MOST_PER_CORE` for each core are accepted.

    Raises:
        InputError: fewer than one, with which Ray would wait for ever, or too many.
    """
    here = count_cores()
    if cpus is None:
        return here
    if cpus < 1:
        raise InputError(
            f"--cpus must be at least 1, but it is {cpus}: leave it out to use all {here} cores."
        )
    if cpus > MOST_PER_CORE * here:
        raise InputError(
            f"--cpus is {cpus:,}, but this machine has {here} cores: offer at most "
            f"{MOST_PER_CORE * here} ({MOST_PER_CORE} for each core), or leave it out to use all."
        )
    return cpus


_started_here = False
"""A process has one Ray at a time."""


def is_ray_ours() -> bool:
    """Return whether this process has started its Ray.

    Then Ray's processes have the environment variables of this one, their parent, and nothing
    exports their metrics.
    """
    return _started_here


SLOW = "timed out during startup"
"""Ray's words where its processes were not ready in time."""
TRIES = 8
"""Starts of Ray; at a load of ten for each core two commands had needed more than four."""


@contextmanager
def ray_session(
    address: str = "local", cpus: int | None = None, run: Path | None = None
) -> Generator[None]:
    """Start or join Ray, and shut it down at the end.

    A Ray that this process has initialised before is used as it is, and left running.

    Args:
        address: ``local`` starts a new Ray on this machine. Anything else is an address to join.
            Ray's own default would silently join any cluster that it finds on this machine.
        cpus: CPUs to offer on a local Ray; None offers one for each core.
        run: a run directory, whose code the nodes of a Ray that is joined are sent.

    Raises:
        InputError: the cluster cannot be reached, its nodes have other versions, or the CPUs cannot
            be offered.
        RayStartError: no Ray starts on this machine.
    """
    # Ray reads these when it is imported: no telemetry, no advertisement of its own output.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    # Ray Serve gives up on its proxy after 5 seconds, which a busy machine needs to import it.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    # Ray's own handler of SIGTERM, in C++, dumps stacks and aborts: it would replace ours.
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    # Ray would start a process for each CPU before any is asked for.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    local = address == "local"
    offered = offered_cpus(cpus) if local else None
    import ray
    from ray.exceptions import RuntimeEnvSetupError

    if ray.is_initialized():
        yield
        return
    if local:
        with suppress(OSError):  # Ray may not need a home folder that cannot be written
            ensure_private_ray_token(Path.home() / ".ray" / "auth_token")
    else:
        check_address(address)
    folder = find_ray_folder() if local else None
    try:
        _start(
            address=address,
            _temp_dir=folder,
            num_cpus=offered,
            include_dashboard=False if local else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={} if local else make_runtime_env(run),
        )
    except ConnectionError as error:
        raise InputError(f"There is no Ray to join at {address}: {error}") from error
    except RuntimeEnvSetupError as error:
        raise InputError(
            f"The module of the environment cannot be sent to the nodes of the Ray at {address}: "
            f"{error} Keep large files outside of its folder, or name them in its .gitignore."
        ) from error
    except Exception as error:  # Ray raises whatever its processes failed with
        ray.shutdown()
        if not local:
            raise
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise RayStartError(
            f"Ray did not start on this machine: {why.rstrip('.')}. If the machine is very busy or "
            f"short of memory, try again; the logs are in {folder}/session_latest/logs."
        ) from error
    global _started_here
    _started_here = local
    try:
        if not local and not address.startswith("ray://"):  # a client is no node
            check_nodes()
            head = ray.get_runtime_context().gcs_address
            threading.Thread(target=_watch_head, args=(head,), daemon=True).start()
        yield
    finally:
        _started_here = False
        ray.shutdown()


def _watch_head(head: str) -> None:
    """End this process with a sentence where the head of Ray is lost, before Ray aborts it.

    Ray waits for 60 s and then prints a stack of C++; the main thread waits inside it.
    """
    import ray

    host, _, port = head.rpartition(":")
    answered = time.monotonic()
    while ray.is_initialized() and ray.get_runtime_context().gcs_address == head:
        with suppress(OSError):
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
            answered = time.monotonic()
        if time.monotonic() - answered > HEAD_LOST_S:
            sys.stderr.write(f"rungwise: the head of the Ray at {head} is lost.\n")
            end_with_last_words(1)
        time.sleep(HEAD_LOOK_S)


def find_ray_folder() -> str:
    """Return the folder of Ray's sessions: its own choice, unless it is too long for sockets."""
    # As Ray finds it, which has no public function for this.
    folder = str(Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp") / "ray")
    longest = f"{folder}/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
    return folder if len(os.fsencode(longest)) <= 107 else "/tmp/ray"  # 107: Linux's own limit


def check_address(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would knock at it for minutes.

    Raises:
        InputError: ``HOST:PORT`` or ``ray://HOST:PORT`` accepts no connection. Other forms,
            as ``auto``, are known to Ray alone.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()) or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"There is no Ray to join at {address} ({error}): start one there with `ray start "
            "--head`, or train on this machine with --address local."
        ) from error


def ensure_private_ray_token(path: Path) -> None:
    """Create Ray's token so that only its owner can read it; Ray would make it readable to all."""
    path.parent.mkdir(exist_ok=True)
    # A hard link to a finished file appears at once and whole, with mode 0600.
    with NamedTemporaryFile("w", dir=path.parent) as file:
        file.write(secrets.token_hex(32))
        file.flush()
        try:
            os.link(file.name, path)
        except FileExistsError:
            path.chmod(0o600)


def _start(**options: Any) -> None:
    """Start or join Ray; start it again where its processes were not ready in time.

    Its raylet gives its agent 15 s, and Ray the raylet 30 s, without an option; a busy machine may
    need longer.
    """
    import ray

    this = psutil.Process()
    for tries_left in reversed(range(TRIES)):
        others = set(this.children())
        try:
            _init(**options)
        except Exception as error:
            if not tries_left or options["address"] != "local" or SLOW not in str(error):
                raise
            ray.shutdown()
            # Ray would leave the processes of this start to run until our own end.
            for process in set(this.children()) - others:
                with suppress(psutil.Error):
                    if str(Path(ray.__file__).parent) in " ".join(process.cmdline()):
                        process.kill()
        else:
            return


def _init(**options: Any) -> None:
    """Call ``ray.init`` and restore the handler of SIGTERM, which Ray replaces by its own."""
    import ray
    from ray.job_config import JobConfig

    # Its workers look through the script's folder, this one, PYTHONPATH, and what is installed,
    # which may come before ours.
    first = [str(Path(sys.argv[0]).resolve().parent), str(Path.cwd())]
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if has_user_packages([*first, *filter(None, given), *sys.path]):
        options["runtime_env"]["worker_process_setup_hook"] = make_claim(str(ROOT))
    if options["address"] != "local":  # its workers have not inherited our PYTHONPATH
        paths = [str(Path(path).absolute()) for path in reversed(given) if path]
        options["job_config"] = JobConfig(_py_driver_sys_path=paths)
    handler = signal.getsignal(signal.SIGTERM)
    can_restore = callable(handler) and threading.current_thread() is threading.main_thread()
    try:
        try:
            with start_less() if options["address"] == "local" else nullcontext():
                ray.init(**options)
        finally:
            if can_restore:
                signal.signal(signal.SIGTERM, handler)
    # Raised by Ray's handler: in `ray.init`, or after it and before ours is back. A signal that
    # hits a destructor raises nothing, and only the thread that reads signals has seen it.
    except SystemExit:
        if not received_sigterm(wait_s=5.0):
            raise
    if received_sigterm():
        raise KeyboardInterrupt
