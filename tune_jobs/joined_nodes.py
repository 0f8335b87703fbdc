"""The nodes of a Ray that is joined: the user's code that is sent to them, and their versions."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rungwise.validation import InputError
from tune_jobs.env_module import FILE

NOT_SENT = [
    *(".git", ".env*", "*.pem", "*.key", "id_rsa*", "__pycache__", "runs", ".venv"),
]
"""Files in the folder of a module that are secret, or no part of it."""
COMPARED = ("python", "ray", "torch", "numpy", "rungwise")
"""Other versions of these fail in pickles, or give other results."""
ANSWER_S = 120.0
"""Seconds within which nodes answer; one that is too busy is not compared."""

REPORT_S = 20.0
"""Seconds within which a node says why a trial hung there."""
CONNECT_S = 2.0
"""Seconds within which Ray on a node accepts a connection, unless the node is lost."""


def find_user_module(run: Path) -> Path | None:
    """Return the package or file that defines a run's environment; None if it is installed."""
    try:
        remembered = json.loads((run / FILE).read_text())
    except FileNotFoundError:
        return None
    package = Path(remembered["folder"], remembered["module"].partition(".")[0])
    module = package if package.is_dir() else package.with_suffix(".py")
    return module if module.exists() else None


def make_runtime_env(run: Path | None) -> dict[str, Any]:
    """Return what Ray sends to the nodes for the trials of a run."""
    module = run and find_user_module(run)
    return {"py_modules": [str(module)], "excludes": NOT_SENT} if module else {}


def check_nodes() -> None:
    """Refuse nodes of the Ray that is joined with other versions than here.

    Raises:
        InputError: some differ; the message names them, and how to mend it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    read = make_version_reader()
    names = {node["NodeID"]: node["NodeName"] for node in ray.nodes() if node["Alive"]}
    task: Any = ray.remote(num_cpus=0, max_retries=0)(read)
    answers: dict[Any, str] = {}
    for node, name in names.items():
        there = NodeAffinitySchedulingStrategy(node, soft=True)
        answers[task.options(scheduling_strategy=there).remote(COMPARED)] = name
    ready, _ = ray.wait(list(answers), num_returns=len(answers), timeout=ANSWER_S)
    versions = {answers[answer]: ray.get(answer) for answer in ready}
    if problem := describe_differences(read(COMPARED), versions):
        raise InputError(problem)


def find_lost_node(error: object, address: str) -> str:
    """Return the address of the node that was lost with a trial's process; empty for none.

    Args:
        error: what ended the process.
        address: of the node that it ran on; empty where that is not known.
    """
    import ray
    from ray.exceptions import RayActorError

    if not isinstance(error, RayActorError):
        return ""
    if "node has died" in str(error):  # Ray knows it only when heartbeats have been missed
        return address or "of the cluster"
    if not address:  # it died before its first result
        return ""
    nodes = [node for node in ray.nodes() if node["NodeManagerAddress"] == address]
    alive = [node["NodeManagerPort"] for node in nodes if node["Alive"]]
    is_here = bool(alive) and all(_accepts(address, port) for port in alive)
    return address if nodes and not is_here else ""


def _accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECT_S).close()
    except OSError:
        return False
    return True


def take_reports_of_node(address: str, folder: Path) -> list[str]:
    """Return the reports of a trial that hung on a node which does not see the run directory."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from algos.rollouts.watchdog import take_hang_reports

    nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeManagerAddress"] == address]
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        task: Any = ray.remote(num_cpus=0, max_retries=0)(take_hang_reports)
        answer = task.options(scheduling_strategy=there).remote(folder, "trial")
        with suppress(RayError):
            return ray.get(answer, timeout=REPORT_S)
    return []


def make_version_reader() -> Callable[[tuple[str, ...]], dict[str, str]]:
    """Return a function that reads the versions of a machine, also of one without Rungwise."""

    def read(names: tuple[str, ...]) -> dict[str, str]:
        # Pickled by value: where Rungwise is missing, nothing of it can be imported.
        import platform
        from importlib.metadata import PackageNotFoundError, version

        versions: dict[str, str] = {}
        for name in names:
            try:
                versions[name] = platform.python_version() if name == "python" else version(name)
            except PackageNotFoundError:
                versions[name] = "missing"
        return versions

    return read


def describe_differences(here: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]]) -> str:
    """Say which nodes have other versions, and how to mend it; empty where none has.

    Local versions (``2.13.0+cpu``) and the third number say nothing about what works together.

    >>> here = {"ray": "2.60.0", "torch": "2.13.0+cpu"}
    >>> describe_differences(here, {"a": {"ray": "2.60.1", "torch": "2.13.0"}})
    ''
    >>> print(describe_differences(here, {"a": {"ray": "2.59.0", "torch": "missing"}}))
    The nodes of this Ray need the versions of this machine:
      a: ray 2.59.0 (here 2.60.0), torch missing (here 2.13.0+cpu)
    Install there what is installed here: `pip install ray==2.60.0 torch==2.13.0`.
    """
    differing: dict[str, dict[str, str]] = {}
    for node, versions in nodes.items():
        for name, version in versions.items():
            if version.split(".")[:2] != here[name].split(".")[:2]:
                differing.setdefault(node, {})[name] = version
    if not differing:
        return ""
    lines = [
        f"  {node}: {', '.join(f'{n} {v} (here {here[n]})' for n, v in versions.items())}"
        for node, versions in sorted(differing.items())
    ]
    wrong = dict.fromkeys(name for versions in differing.values() for name in versions)
    packages = " ".join(f"{n}=={here[n].partition('+')[0]}" for n in wrong if n != "python")
    return "\n".join(
        [
            "The nodes of this Ray need the versions of this machine:",
            *lines,
            f"Install there what is installed here: `pip install {packages}`.",
        ]
    )
