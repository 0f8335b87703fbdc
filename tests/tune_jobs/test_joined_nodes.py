# pyright: basic
"""What is sent to the nodes of a Ray that is joined, and what is refused and found out there."""

import json
import os

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError

from rungwise.validation import InputError
from tune_jobs import joined_nodes
from tune_jobs.joined_nodes import check_nodes, find_lost_node, find_user_module, make_runtime_env


@pytest.mark.parametrize(
    ("module", "files", "sent"),
    [
        ("my_envs", ["my_envs.py", "other.py"], "my_envs.py"),
        ("pack.envs", ["pack/__init__.py", "pack/envs.py"], "pack"),
        ("gone", ["other.py"], None),
    ],
)
def test_module_of_the_environment_is_sent_and_no_other_file(tmp_path, module, files, sent):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remembered = {"module": module, "folder": str(tmp_path), "commit": ""}
    (tmp_path / "module.json").write_text(json.dumps(remembered))
    path = tmp_path / sent if sent else None
    assert find_user_module(tmp_path) == path
    assert make_runtime_env(tmp_path).get("py_modules", [None]) == [path and str(path)]


def test_an_installed_environment_needs_nothing_sent(tmp_path):
    assert make_runtime_env(tmp_path) == {}


@pytest.mark.system
def test_nodes_with_other_versions_are_refused(local_ray, monkeypatch):
    check_nodes()
    driver = os.getpid()

    def read(names):
        return {"torch": "2.13.0+cpu" if os.getpid() == driver else "2.12.1", "ray": "2.60.0"}

    monkeypatch.setattr(joined_nodes, "make_version_reader", lambda: read)
    with pytest.raises(
        InputError, match=r"torch 2\.12\.1 \(here 2\.13\.0\+cpu\)\n.*torch==2\.13\.0`"
    ):
        check_nodes()


@pytest.mark.system
def test_lost_node_is_told_from_a_dead_process(local_ray):
    (node,) = ray.nodes()
    address, died = node["NodeManagerAddress"], RayActorError(error_msg="it died unexpectedly")
    lost = RayActorError(error_msg="The actor died because its node has died.")
    assert find_lost_node(died, address) == ""
    assert find_lost_node(lost, address) == address
    assert find_lost_node(RayTaskError("step", "", ValueError()), address) == ""
    assert find_lost_node(died, "192.0.2.77") == "", "a node that was never there is no lost one"
