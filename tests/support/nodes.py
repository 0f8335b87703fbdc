# pyright: basic, reportOptionalMemberAccess=false
"""A Ray of several nodes on this machine, told on stdin what is to happen to it.

``python nodes.py COUNT`` prints its address; ``page`` prints that of its page and its job server,
``where`` the trials on each node, ``kill N`` ends a node without a warning, ``gcs`` ends the
process that knows all of the cluster and starts it again. Each answer is one line of JSON.
"""

import json
import sys
import time

import psutil
from ray.cluster_utils import Cluster


def trials_on(node):
    """The processes that train on a node."""
    raylet = node.all_processes["raylet"][0].process.pid
    below = psutil.Process(raylet).children(recursive=True)
    return [child.pid for child in below if "Trainable" in " ".join(child.cmdline())]


def tell(said):
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    # Any free port for its job agent: on the usual one another Ray of this machine may listen.
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_agent_listen_port": None}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, num_gpus=1) for _ in range(int(sys.argv[1]))]
    tell(cluster.address)
    for line in sys.stdin:
        match line.split():
            case ["page"]:
                tell(f"http://{cluster.head_node.webui_url}")
            case ["where"]:
                tell([trials_on(node) for node in nodes])
            case ["kill", number]:
                cluster.remove_node(nodes.pop(int(number)), allow_graceful=False)
                tell(len(nodes))
            case ["gcs"]:
                cluster.head_node.kill_gcs_server()
                time.sleep(2)
                began = time.monotonic()
                cluster.head_node.start_gcs_server()
                tell(time.monotonic() - began)
            case _:
                break
    cluster.shutdown()
