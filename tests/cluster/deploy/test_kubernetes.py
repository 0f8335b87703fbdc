# pyright: basic
"""Manifests for KubeRay, checked against its own schemas."""

import importlib
import tarfile
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from paths import SHARED

from cluster.deploy.cluster_spec import ClusterSpec
from cluster.deploy.kubernetes import (
    make_raycluster_manifest,
    make_rayjob_manifest,
    make_rayservice_manifest,
)
from rungwise.validation import InputError
from tune_jobs.jobs.job_yaml import dump_job, load_job, parse_job

CRDS = SHARED / "kuberay_crds.tar.gz"


ON_KUBERNETES = {"name": "sweep", "image": "registry/rungwise:1", "claim": "runs", "nodes": 3}


def manifests(**changed):
    cluster = ClusterSpec(**ON_KUBERNETES | changed)
    text = make_rayjob_manifest(
        cluster, dump_job(load_job("cartpole")), Path("/runs/sweep"), "sweep-1"
    )
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def schemas():
    """The schemas as Kubernetes holds them, by kind: what they do not name is refused."""
    if not CRDS.is_file():
        pytest.skip("KubeRay's definitions are not on this machine (shared/data)")
    found = {}
    with tarfile.open(CRDS) as archive:
        for kind in ("RayJob", "RayCluster", "RayService"):
            member = next(m for m in archive if m.name.endswith(f"{kind.lower()}s.yaml"))
            file = archive.extractfile(member)
            assert file is not None
            versions = yaml.load(file, yaml.CSafeLoader)["spec"]["versions"]
            schema = next(v["schema"]["openAPIV3Schema"] for v in versions if v["name"] == "v1")
            found[kind] = Draft202012Validator(strict(schema))
    return found


def strict(node):
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if "properties" in node and "x-kubernetes-preserve-unknown-fields" not in node:
            node.setdefault("additionalProperties", False)
    return [strict(one) for one in node] if isinstance(node, list) else node


def rendered(kind, **changed):
    """A manifest, and the part of it that describes the pods."""
    if kind == "RayJob":
        manifest = manifests(**changed)[kind]
        return manifest, manifest["spec"]["rayClusterSpec"]
    cluster = ClusterSpec(**ON_KUBERNETES | changed)
    if kind == "RayCluster":
        text = make_raycluster_manifest(cluster, Path("/runs"))
    else:
        text = make_rayservice_manifest(cluster, Path("/runs/sweep/checkpoint_000002"))
    manifest, policy = yaml.safe_load_all(text)
    assert (manifest["kind"], policy["kind"]) == (kind, "NetworkPolicy")
    pods = manifest["spec"] if kind == "RayCluster" else manifest["spec"]["rayClusterConfig"]
    return manifest, pods


KINDS = pytest.mark.parametrize("kind", ["RayJob", "RayCluster", "RayService"])


@KINDS
def test_a_manifest_is_what_kuberay_accepts_and_a_typo_is_not(schemas, kind):
    manifest, pods = rendered(kind, gpus=2)
    assert [error.message for error in schemas[kind].iter_errors(manifest)] == []
    pods["headGroupSpec"]["rayStartParms"] = {}
    assert any("rayStartParms" in error.message for error in schemas[kind].iter_errors(manifest))


@KINDS
def test_gpu_workers_scale_with_load_and_a_token_is_required(kind):
    _, pods = rendered(kind, gpus=2, nodes=5)
    (workers,) = pods["workerGroupSpecs"]
    assert pods["enableInTreeAutoscaling"] and pods["authOptions"] == {"mode": "token"}
    assert (workers["minReplicas"], workers["maxReplicas"]) == (0, 4)
    assert limits_of(workers)["nvidia.com/gpu"] == "2"


def limits_of(group):
    return group["template"]["spec"]["containers"][0]["resources"]["limits"]


@pytest.mark.parametrize(("nodes", "parameters", "gpus"), [(1, set(), "2"), (3, {"num-cpus"}, "0")])
def test_a_standing_head_works_only_where_it_is_the_only_node(nodes, parameters, gpus):
    _, pods = rendered("RayCluster", nodes=nodes, gpus=2)
    head = pods["headGroupSpec"]
    assert set(head["rayStartParams"]) - {"dashboard-host"} == parameters
    assert limits_of(head)["nvidia.com/gpu"] == gpus
    assert pods["workerGroupSpecs"][0]["maxReplicas"] == nodes - 1


@pytest.mark.parametrize("kind", ["RayCluster", "RayService"])
def test_what_stays_outlives_its_head(kind, schemas):
    kept = rendered(kind)[1]["gcsFaultToleranceOptions"]
    assert kept == {"backend": "rocksdb", "storage": {"size": "1Gi"}}
    manifest, pods = rendered(kind, redis="redis:6379")
    assert pods["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"
    assert [error.message for error in schemas[kind].iter_errors(manifest)] == []


def test_a_served_policy_reads_its_token_from_a_secret():
    manifest, pods = rendered("RayService")
    (app,) = yaml.safe_load(manifest["spec"]["serveConfigV2"])["applications"]
    module, _, name = app["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert app["args"] == {"checkpoint": "/runs/sweep/checkpoint_000002"}
    for group in (pods["headGroupSpec"], *pods["workerGroupSpecs"]):
        (variable,) = group["template"]["spec"]["containers"][0]["env"]
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "sweep-token"
        assert variable["name"] == "RUNGWISE_TOKEN"


def test_the_rayjob_requests_the_resources_and_a_token():
    spec = manifests(gpus=2, cpus=6)["RayJob"]["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    (workers,) = spec["workerGroupSpecs"]
    assert workers["maxReplicas"] == 2
    for group in (spec["headGroupSpec"], workers):
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits == {"cpu": "6", "memory": "32Gi", "nvidia.com/gpu": "2"}


def test_the_shortest_job_has_a_time_limit():
    assert manifests(hours=1e-9)["RayJob"]["spec"]["activeDeadlineSeconds"] == 1


def test_the_job_arrives_in_the_cluster_as_it_is():
    job = load_job("cartpole")
    told = manifests()["ConfigMap"]["data"]["job.yaml"]
    assert parse_job(told, "job.yaml") == job


def test_shared_clusters_admit_place_and_provision_the_pods(schemas):
    rich = {
        **{"queue": "team", "priority_class": "low", "service_account": "runs"},
        **{
            "node_selector": {"pool": "gpu"},
            "toleration": ("spot=true:NoSchedule", "gpu:NoExecute"),
        },
        **{"pull_secret": "registry", "env_secret": "bucket"},
    }
    job = manifests(**rich)["RayJob"]
    schemas["RayJob"].validate(job)
    assert job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "team"}
    assert job["spec"]["suspend"] is True
    spec = job["spec"]["rayClusterSpec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000}
        assert (pod["priorityClassName"], pod["serviceAccountName"]) == ("low", "runs")
        assert pod["nodeSelector"] == {"pool": "gpu"}
        assert pod["tolerations"] == [
            {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
            {"key": "gpu", "operator": "Exists", "effect": "NoExecute"},
        ]
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert manifests()["RayJob"]["spec"]["suspend"] is False, "without Kueue nothing would start it"


def test_metrics_ports_are_open_to_prometheus():
    *_, rule = manifests()["NetworkPolicy"]["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    assert {"port": 8080} in rule["ports"]


def test_a_toleration_of_another_form_is_refused():
    with pytest.raises(InputError, match=r"KEY=VALUE:EFFECT, but it is 'spot'"):
        ClusterSpec(toleration=("spot",))
