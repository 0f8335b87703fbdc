"""Manifests for KubeRay: a job with a cluster of its own, a standing cluster, a policy served."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.deploy.cluster_spec import ClusterSpec, fill_template
from envs.validation import InputError

JOB_MOUNT = "- {name: job, mountPath: /etc/rungwise}"
"""Where the pods of a job find its file."""


def make_rayjob_manifest(cluster: ClusterSpec, job: str, run: Path, name: str) -> str:
    """Render a RayJob with its job file and a network policy as YAML.

    Args:
        cluster: what to ask for.
        job: the job file's text.
        run: the run directory as the pods see it.
        name: of these objects, which no other submission may have.

    Raises:
        InputError: without an image or a claim.
    """
    there = shlex.quote(str(run))
    tune = f"rungwise tune /etc/rungwise/job.yaml --out {there} --address auto"
    again = f"rungwise resume {there} --address auto"
    script = f"if [ -s {there}/job.yaml ]; then {again}; else {tune}; fi"
    volume = f"- {{name: job, configMap: {{name: {name}-job}}}}"
    return fill_template(
        "rayjob.yaml",
        cluster,
        name=name,
        job=json.dumps(job),  # JSON is YAML: nothing in the job can break out of its place
        entrypoint=json.dumps(f"sh -c {shlex.quote(script)}"),
        seconds=round(3600 * cluster.hours),
        pods=_pods(cluster, run.parent, 4, JOB_MOUNT, volume),
        network=fill_template("network.yaml", cluster, name=name, open=""),
    )


def make_raycluster_manifest(cluster: ClusterSpec, storage: Path) -> str:
    """A RayCluster that stays, whose workers come and go with the work, as YAML.

    Raises:
        InputError: without an image or a claim.
    """
    return fill_template(
        "raycluster.yaml",
        cluster,
        gcs=_make_head_storage(cluster),
        kuberay=_newest_needed(cluster),
        # Nothing that computes runs on the head: its end would take a trial with it.
        pods=_pods(cluster, storage, 2, idle_head=True),
        network=fill_template("network.yaml", cluster, open=_ports(8265, 10001)),
    )


def make_rayservice_manifest(cluster: ClusterSpec, checkpoint: Path) -> str:
    """A RayService that lets a policy act, as YAML.

    Raises:
        InputError: without an image or a claim.
    """
    served = {
        "name": "policy",
        "import_path": "cluster.serving.policy_server:served",
        "route_prefix": "/",
        "args": {"checkpoint": str(checkpoint)},
    }
    token = {"secretKeyRef": {"name": f"{cluster.name}-token", "key": "token"}}
    environment = [{"name": "RUNGWISE_TOKEN", "valueFrom": token}]
    return fill_template(
        "rayservice.yaml",
        cluster,
        gcs=_make_head_storage(cluster),
        kuberay=_newest_needed(cluster),
        serve=json.dumps(json.dumps({"applications": [served]})),
        pods=_pods(cluster, checkpoint.parent, 4, environment=environment),
        network=fill_template("network.yaml", cluster, open=_ports(8000)),
    )


def _pods(
    cluster: ClusterSpec,
    storage: Path,
    indent: int,
    job_mount: str = "",
    job_volume: str = "",
    idle_head: bool = False,
    environment: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Head and workers, as the lines of a manifest."""
    for what in ("image", "claim"):
        if not getattr(cluster, what):
            raise InputError(f"Kubernetes needs --{what}: {_why(what)}")
    lines = fill_template(
        "pods.yaml",
        cluster,
        image=json.dumps(cluster.image),
        claim=json.dumps(cluster.claim),
        storage=json.dumps(str(storage)),
        environment=json.dumps(list(environment)),
        workers=cluster.nodes - 1,
        ray=importlib.metadata.version("ray"),
        job_mount=job_mount,
        job_volume=job_volume,
        head_cpus='\n    num-cpus: "0"' if idle_head else "",
        head_gpus=0 if idle_head else cluster.gpus,
    )
    return textwrap.indent(lines.rstrip(), " " * indent)


def _make_head_storage(cluster: ClusterSpec) -> str:
    """Where a head keeps what must outlive it."""
    if cluster.redis:
        return json.dumps({"backend": "redis", "redisAddress": cluster.redis})
    return json.dumps({"backend": "rocksdb", "storage": {"size": "1Gi"}})


def _newest_needed(cluster: ClusterSpec) -> str:
    return "1.5.1" if cluster.redis else "1.7"


def _ports(*numbers: int) -> str:
    """A rule that lets everybody in the namespace reach ports that ask for a token."""
    ports = [{"port": number} for number in numbers]
    return f"\n    - {json.dumps({'from': [{'podSelector': {}}], 'ports': ports})}"


def _why(field: str) -> str:
    if field == "image":
        return "the image that its pods run, with `rungwise` and this version of Ray."
    return "the claim of a volume that all pods can write, where runs are kept."
