"""What clusters differ in, and the templates of ``deploy/`` that it fills."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from envs.validation import AtLeastOne, InputError, NonNegative, Positive, validate

TEMPLATE_DIR = Path(__file__).parent
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""What Kubernetes takes as a name."""
LONGEST = {"name": 30, "namespace": 63}
"""Characters: KubeRay's jobs may have 47, and the time of the submission is appended."""


@dataclass(frozen=True)
class ClusterSpec:
    """Where a job runs."""

    name: str = "rungwise"
    """Of the job there: small letters, digits and dashes."""
    nodes: Annotated[int, AtLeastOne] = 1
    """Machines, the one with the head included."""
    cpus: Annotated[int, AtLeastOne] = 8
    """CPUs of each."""
    gpus: Annotated[int, NonNegative] = 0
    """GPUs of each."""
    memory_gib: Annotated[int, AtLeastOne] = 32
    """Memory of each, in GiB."""
    hours: Annotated[float, Positive] = 24.0
    """After which the cluster may end the job; a run that is not done can be resumed."""
    setup: str = ""
    """SLURM: a shell line that makes `rungwise` available: `source /shared/venv/bin/activate`."""
    partition: str = ""
    """SLURM: the partition; empty takes the site's default."""
    image: str = ""
    """Kubernetes: an image with `rungwise` and this Ray in it."""
    claim: str = ""
    """Kubernetes: the persistent volume claim where runs are kept; every pod writes there."""
    namespace: str = "default"
    """Kubernetes: the namespace."""
    redis: str = ""
    """Kubernetes: address of a Redis where a standing cluster keeps what must outlive its head;
    without it that is on a volume of the head (KubeRay 1.7 or newer)."""

    def __post_init__(self) -> None:
        validate(self)
        for what, most in LONGEST.items():
            if not NAME.fullmatch(value := getattr(self, what)) or len(value) > most:
                raise InputError(
                    f"--{what} {value!r} must be small letters, digits and dashes, {most} at most, "
                    "and begin with a letter."
                )
        for what in ("setup", "partition"):
            if "\n" in getattr(self, what):
                raise InputError(f"--{what} must be one line.")


class _Template(string.Template):
    delimiter = "@"  # a shell script is full of dollars


def fill_template(template: str, cluster: ClusterSpec, **values: Any) -> str:
    """A template of ``deploy/`` for a cluster."""
    return _Template((TEMPLATE_DIR / template).read_text()).substitute(vars(cluster) | values)
