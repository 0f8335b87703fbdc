"""Manifests for KubeRay: a job with its own cluster, a standing cluster, a served policy."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.deploy.cluster_spec import TAINT, ClusterSpec, fill_template
from rungwise.validation import InputError

REQUIRED_FLAGS = {
    "image": "an image with `rungwise` and this Ray, built by cluster/deploy/Dockerfile",
    "claim": "the claim of a volume for the runs that all pods can write",
}
MOUNT = Path("/runs")
"""Where the volume of the runs is mounted in the pods, unless --mount says otherwise."""
JOB_MOUNT = "- {name: job, mountPath: /etc/rungwise}"
"""Volume mount of the job file in the pods."""


def make_rayjob_manifest(cluster: ClusterSpec, job: str, run: Path, name: str) -> str:
    """Render a RayJob with its job file and a network policy as YAML.

    Args:
        cluster: the resources to request.
        job: the text of the job file.
        run: the run directory in the pods.
        name: name of the objects; no other submission may have it.

    Raises:
        InputError: the image or the claim is missing, or the volume cannot hold the run.
    """
    from tune_jobs.jobs.job_yaml import get_file_mode  # late: other manifests need no jobs

    directory = shlex.quote(str(run))
    # One script for every attempt: Kubernetes repeats it after a failure, and a repeated `tune`
    # would be refused because its run directory exists.
    tune = f"rungwise tune /etc/rungwise/job.yaml --out {directory} --address auto"
    resume = f"rungwise resume {directory} --address auto"
    default = MOUNT if run.is_relative_to(MOUNT) else run.parent
    script = f"if [ -s {directory}/job.yaml ]; then {resume}; else {tune}; fi"
    kind, data, volume = "ConfigMap", "data", "configMap: {name"
    if get_file_mode(job) == 0o600:  # all who may list ConfigMaps can read them
        kind, data, volume = "Secret", "stringData", "secret: {secretName"
    return fill_template(
        "rayjob.yaml",
        cluster,
        name=name,
        kind=kind,
        data=data,
        job=json.dumps(job),  # JSON is YAML, and quoting keeps the job from changing the manifest
        entrypoint=json.dumps(f"sh -c {shlex.quote(script)}"),
        seconds=max(1, round(3600 * cluster.hours)),
        labels=json.dumps({"kueue.x-k8s.io/queue-name": cluster.queue} if cluster.queue else {}),
        suspended=json.dumps(bool(cluster.queue)),  # Kueue starts it when its queue has room
        pods=_render_pods(
            cluster, default, 4, run, JOB_MOUNT, f"- {{name: job, {volume}: {name}-job}}}}"
        ),
        network=fill_template("network.yaml", cluster, name=name, open=""),
    )


def make_raycluster_manifest(cluster: ClusterSpec, mount: Path) -> str:
    """Render a standing RayCluster, whose workers are scaled with the load, as YAML.

    Raises:
        InputError: the image or the claim is missing.
    """
    return fill_template(
        "raycluster.yaml",
        cluster,
        gcs=_make_head_storage(cluster),
        kuberay=_find_kuberay_version(cluster),
        # No trial runs on the head if there are workers: a restart of the head would end it.
        pods=_render_pods(cluster, mount, 2, mount / "run", idle_head=cluster.nodes > 1),
        network=fill_template("network.yaml", cluster, open=_render_open_ports(8265, 10001)),
    )


def make_rayservice_manifest(cluster: ClusterSpec, checkpoint: Path) -> str:
    """Render a RayService that serves a policy, as YAML.

    Raises:
        InputError: the image or the claim is missing, or the volume cannot hold the checkpoint.
    """
    served = {
        "name": "policy",
        "import_path": "cluster.serving.policy_server:build_serve_application",
        "route_prefix": "/",
        "args": {"checkpoint": str(checkpoint)},
    }
    token = {"secretKeyRef": {"name": f"{cluster.name}-token", "key": "token"}}
    environment = [{"name": "RUNGWISE_TOKEN", "valueFrom": token}]
    return fill_template(
        "rayservice.yaml",
        cluster,
        gcs=_make_head_storage(cluster),
        kuberay=_find_kuberay_version(cluster),
        # Twice, because serveConfigV2 is a string that contains a document; JSON serves as YAML.
        serve=json.dumps(json.dumps({"applications": [served]})),
        pods=_render_pods(cluster, MOUNT, 4, checkpoint, environment=environment),
        network=fill_template("network.yaml", cluster, open=_render_open_ports(8000)),
    )


def _render_pods(
    cluster: ClusterSpec,
    mount: Path,
    indent: int,
    path: Path,
    job_mount: str = "",
    job_volume: str = "",
    idle_head: bool = False,
    environment: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Render head and workers, whose volume holds ``path``, as the indented lines of a manifest."""
    mount = cluster.mount or mount
    above = Path(os.path.normpath(path)).parents
    # A container cannot start with a volume over its root.
    if not mount.is_absolute() or mount not in above or mount == above[-1]:
        raise InputError(
            f"{path} must be below the folder where the volume is mounted, but that is {mount}: "
            f"give another one than / with --mount, or a path such as {MOUNT / path.name}."
        )
    for flag, meaning in REQUIRED_FLAGS.items():
        if not getattr(cluster, flag):
            raise InputError(f"Kubernetes needs --{flag}: {meaning}.")
    lines = fill_template(
        "pods.yaml",
        cluster,
        image=json.dumps(cluster.image),
        claim=json.dumps(cluster.claim),
        mount=json.dumps(str(mount)),
        environment=json.dumps(list(environment)),
        account=json.dumps(cluster.service_account),
        priority=json.dumps(cluster.priority_class),
        selector=json.dumps(dict(cluster.node_selector)),
        tolerations=json.dumps(list(map(_make_toleration, cluster.toleration))),
        pull=json.dumps([{"name": cluster.pull_secret}] if cluster.pull_secret else []),
        secrets=json.dumps([{"secretRef": {"name": s}} for s in (cluster.env_secret,) if s]),
        workers=cluster.nodes - 1,
        ray=importlib.metadata.version("ray"),
        job_mount=job_mount,
        job_volume=job_volume,
        head_cpus='\n    num-cpus: "0"' if idle_head else "",
        head_gpus=0 if idle_head else cluster.gpus,
    )
    return textwrap.indent(lines.rstrip(), " " * indent)


def _make_toleration(taint: str) -> dict[str, str]:
    """Return what tolerates a taint such as ``spot=true:NoSchedule``."""
    match = TAINT.fullmatch(taint)
    assert match is not None  # noqa: S101
    key, value, effect = match.groups()
    same = {"operator": "Exists"} if value is None else {"operator": "Equal", "value": value}
    return {"key": key, **same, "effect": effect}


def _make_head_storage(cluster: ClusterSpec) -> str:
    """Render where a head stores the state that must survive its restart."""
    # Without stored state, a restarted head refuses the tasks of its cluster. Measured time to work
    # again after the state server was killed: 1.7 s with RocksDB, which needs no further service,
    # and 1.3 s with Redis.
    if cluster.redis:
        return json.dumps({"backend": "redis", "redisAddress": cluster.redis})
    return json.dumps({"backend": "rocksdb", "storage": {"size": "1Gi"}})


def _find_kuberay_version(cluster: ClusterSpec) -> str:
    """Return the oldest KubeRay that supports the storage of the head."""
    return "1.5.1" if cluster.redis else "1.7"


def _render_open_ports(*numbers: int) -> str:
    """Render a rule that opens ports to the namespace; each of them requires a token."""
    ports = [{"port": number} for number in numbers]
    return f"\n    - {json.dumps({'from': [{'podSelector': {}}], 'ports': ports})}"
