"""Private parts of Ray for which it has no option: the only file that uses them.

They are used with the versions of Ray that they were tested with. With any other version Ray works
as it does for everybody: a run takes 3 s longer to start and to end, and more of Ray's own words
reach the terminal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

TESTED = ("2.56", "2.57", "2.58", "2.59", "2.60")
"""Releases of Ray that have these parts."""
NODE_S = 5.0
"""Seconds within which a node is looked for often."""
INHERITED = {"RAY_CHDIR_TO_TRIAL_DIR": "0", "PL_DISABLE_FORK": "1"}
"""Environment variables that trials inherit from a Ray that is started here: they stay in the
working directory, and Lightning does not fork (ray#28197)."""


def are_known() -> bool:
    """Return whether this Ray is one that the functions here were tested with."""
    import ray

    return ray.__version__.startswith(tuple(f"{release}." for release in TESTED))


@contextmanager
def start_less() -> Generator[None]:
    """Let ``ray.init`` start what trials need and no more: 2 s less, and 1 s at the end.

    Ray has no option for what is left out here: the processes that print what workers write (which
    is off, ``log_to_driver``), ask a cloud for machines, and serve the dashboard (without which it
    sends usage statistics, which are off, too); and the dashboard's part of those that remain,
    which ``pip install ray`` does not have either.
    """
    if not are_known():
        yield
        return
    from ray._private import services, utils
    from ray._private.node import Node
    from ray._private.state import GlobalState

    get_node = services.get_node

    def get_node_soon(gcs_address: str, node_id: str) -> Any:
        """Wait until the node is there, for which Ray looks once a second."""
        state = GlobalState()
        state._initialize_global_state(services._get_gcs_client_options(gcs_address))  # pyright: ignore[reportPrivateUsage]
        deadline = time.monotonic() + NODE_S
        while time.monotonic() < deadline:
            if any(node["NodeID"] == node_id for node in state.node_table()):
                break
            time.sleep(0.02)
        return get_node(gcs_address, node_id)

    replaced: list[tuple[Any, str, Any]] = [
        (services, "get_node", get_node_soon),
        (Node, "start_log_monitor", lambda node: None),
        (Node, "start_monitor", lambda node: None),
        (services, "start_api_server", lambda *args, **options: ("", None)),
        (utils, "get_dashboard_dependency_error", lambda: ImportError("not asked for")),
    ]
    originals = [vars(owner)[name] for owner, name, _ in replaced]
    variables = {name: os.environ.get(name) for name in INHERITED}
    for owner, name, replacement in replaced:
        setattr(owner, name, replacement)
    os.environ.update(INHERITED)
    try:
        yield
    finally:
        for (owner, name, _), original in zip(replaced, originals, strict=True):
            setattr(owner, name, original)
        for name, value in variables.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def start_trials_quickly(*, inherits: bool) -> None:
    """Let Tune neither start processes twice nor import trackers to count them.

    Args:
        inherits: whether the processes of trials inherit the variables that they need; with
            variables of their own they start twice (half a second).
    """
    if not are_known():
        return
    from ray.air._internal import usage
    from ray.tune.execution import class_cache

    copied = _read_copied_variables()
    given = ({}, set[str]()) if inherits else copied
    class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE = given
    # Tune imports mlflow and W&B (1.2 s) to count callbacks for usage statistics, which are off.
    usage.tag_callbacks = lambda callbacks: False


@cache
def _read_copied_variables() -> tuple[dict[str, str], set[str]]:
    """Return the environment variables that Tune gives to the processes of trials by itself."""
    from ray.tune.execution import class_cache

    return class_cache.DEFAULT_ENV_VARS, class_cache.ENV_VARS_TO_PROPAGATE


def forget_decision(controller: TuneController, trial_id: str) -> None:
    """Forget what Tune wants to do with a trial after its save, which it has forgotten.

    Tune remembers "stop after this save" of a trial that saves while it is paused: the trial would
    end silently at its next one (ray#57906).
    """
    getattr(controller, "_cached_trial_decisions", {}).pop(trial_id, None)


def set_failures(trial: Trial, count: int) -> None:
    """Set how many failures Tune counts of a trial, which it only lets grow.

    Tune counts a node that is lost without notice as a failure of each trial on it, and failures of
    a whole run, however far apart.
    """
    if are_known():
        trial.run_metadata.num_failures = count


def use_token() -> None:
    """Let the job client use Ray's token of this machine, as a driver does when it joins a Ray."""
    if are_known():
        from ray._private.authentication import authentication_token_setup as setup

        # Ray before 2.59 asks for a token only where RAY_AUTH_MODE says so, and reads it itself.
        if enable := vars(setup).get("maybe_enable_token_auth_if_token_available"):
            enable(warn_if_disabled=False)


def complete_launcher(config: dict[str, Any]) -> dict[str, Any]:
    """Return the contents of a launcher file as ``ray up`` completes them, without credentials.

    Raises:
        Exception: what Ray refuses them with.
    """
    if not are_known():
        return config
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(config)
    validate_config(config)
    return config


def silence_workers() -> None:
    """Print no more of what workers write.

    Ray reports the planned end of Serve's controller as a failure, from a thread of its own.
    """
    if are_known():
        from ray._private import worker

        worker.print_to_stdstream = lambda *args, **options: None
