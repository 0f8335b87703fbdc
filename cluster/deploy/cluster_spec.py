"""Settings of a cluster, and the templates of ``deploy/`` that they fill."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from rungwise.validation import AtLeastOne, InputError, NonNegative, Positive, validate

TEMPLATE_DIR = Path(__file__).parent
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""Names that Kubernetes accepts."""
TAINT = re.compile(r"([\w./-]+)(?:=([\w.-]*))?:(NoSchedule|PreferNoSchedule|NoExecute)")
"""A taint of a node as `kubectl taint` writes it: key, value, effect."""
MAX_LENGTHS = {"name": 30, "namespace": 63}
"""Longest names, in characters: KubeRay allows 47 for a job, and the time is appended."""


@dataclass(frozen=True)
class ClusterSpec:
    """The cluster that a job runs on."""

    name: str = "rungwise"
    """Name of the job on the cluster: lower-case letters, digits and dashes."""
    nodes: Annotated[int, AtLeastOne] = 1
    """Machines, including the one with the Ray head."""
    cpus: Annotated[int, AtLeastOne] = 8
    """CPUs per machine."""
    gpus: Annotated[int, NonNegative] = 0
    """GPUs per machine."""
    memory_gib: Annotated[int, AtLeastOne] = 32
    """Memory per machine, in GiB."""
    hours: Annotated[float, Positive] = 24.0
    """Time limit of the job, in hours; an unfinished run can be resumed."""
    setup: str = ""
    """SLURM: a shell line that makes `rungwise` available: `source /shared/venv/bin/activate`."""
    partition: str = ""
    """SLURM: the partition; empty takes the site's default."""
    account: str = ""
    """SLURM: the account that is charged."""
    qos: str = ""
    """SLURM: the quality of service."""
    constraint: str = ""
    """SLURM: features that nodes must have."""
    image: str = ""
    """Kubernetes: an image with `rungwise` and this version of Ray, built by
    cluster/deploy/Dockerfile."""
    claim: str = ""
    """Kubernetes: the persistent volume claim for the runs, writable by every pod."""
    mount: Path | None = None
    """Kubernetes: where the claim is mounted in all pods; by default /runs, or for a run that is
    elsewhere the folder that it is in."""
    namespace: str = "default"
    """Kubernetes: the namespace."""
    queue: str = ""
    """Kubernetes: the local queue of Kueue that admits the job; it is created suspended."""
    priority_class: str = ""
    """Kubernetes: the priority class of the pods."""
    service_account: str = ""
    """Kubernetes: the service account of the pods; by default that of KubeRay."""
    node_selector: dict[str, str] = field(default_factory=dict[str, str])
    """Kubernetes: labels that nodes must have: `--node-selector pool gpu`."""
    toleration: tuple[str, ...] = ()
    """Kubernetes: taints of nodes that the pods tolerate: `spot=true:NoSchedule`."""
    pull_secret: str = ""
    """Kubernetes: the secret by which the image is pulled."""
    env_secret: str = ""
    """Kubernetes: a secret whose entries become variables of all pods: credentials of a bucket,
    WANDB_API_KEY, RUNGWISE_NOTIFY."""
    redis: str = ""
    """Kubernetes: address of a Redis that stores the state of a standing cluster's head; without
    one, a volume of the head stores it (KubeRay 1.7 or newer)."""

    def __post_init__(self) -> None:
        validate(self)
        # Names are filled into manifests and scripts without quotes.
        for flag, longest in MAX_LENGTHS.items():
            if not NAME.fullmatch(value := getattr(self, flag)) or len(value) > longest:
                raise InputError(
                    f"--{flag} must be at most {longest} lower-case letters, digits and dashes and "
                    f"begin with a letter, but it is {value!r}."
                )
        # A line break would end the directive and start a command.
        for flag in ("setup", "partition", "account", "qos", "constraint"):
            if "\n" in (value := getattr(self, flag)):
                raise InputError(f"--{flag} must be one line, but it is {value!r}.")
        for taint in self.toleration:
            if not TAINT.fullmatch(taint):
                raise InputError(
                    f"--toleration must be KEY:EFFECT or KEY=VALUE:EFFECT, but it is {taint!r}: "
                    "for example spot=true:NoSchedule."
                )


class _Template(string.Template):
    delimiter = "@"  # $ is common in shell scripts


def fill_template(template: str, cluster: ClusterSpec, **values: object) -> str:
    """Fill a template of ``deploy/`` for a cluster."""
    return _Template((TEMPLATE_DIR / template).read_text()).substitute(vars(cluster) | values)
