# pyright: basic
"""A Ray cluster on one host whose nodes share nothing: namespaces of network, mounts and processes.

Needs root, ``ip`` and ``nsenter``. Each node has a home, a /tmp and a host name of its own; the
installed packages are those of the host.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from paths import ROOT
from waiting import wait_until

HOME = Path("/home/ray")
INIT = """
hostname {name}; mount --make-rprivate /; mkdir -p {home}
mount --bind {folder}/home {home}; mount -t tmpfs -o size=700m tmpfs /dev/shm
mount --bind {folder}/tmp /tmp; exec sleep infinity
"""


def can_make_nodes():
    return os.geteuid() == 0 and all(map(shutil.which, ("ip", "nsenter", "unshare")))


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


class Node:
    """A machine of the cluster; its files are below ``folder`` of the host."""

    def __init__(self, net, number, folder):
        self.net, self.name, self.folder = net, f"n{number}", folder / f"n{number}"
        self.space, self.address = f"{net}-{self.name}", f"10.77.0.{10 + number}"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        (self.folder / "tmp").mkdir()
        ip("netns", "add", self.space)
        wire = f"v{self.space}"
        ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("link", "set", wire, "netns", net)
        ip("-n", net, "link", "set", wire, "master", "br0", "up")
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.space, "link", "set", "eth0", "up")
        ip("-n", self.space, "link", "set", "lo", "up")
        script = INIT.format(name=self.name, home=HOME, folder=self.folder)
        words = ["ip", "netns", "exec", self.space, "unshare", "-muip", "--fork", "--kill-child"]
        self.starter = subprocess.Popen([*words, "--mount-proc", "bash", "-ec", script])
        started = psutil.Process(self.starter.pid)
        wait_until(lambda: any(p.name() == "sleep" for p in started.children(recursive=True)))
        self.pid = started.children(recursive=True)[-1].pid

    def words(self, *command, **environment):
        """The words that run a command on the node, in its home."""
        variables = {
            "HOME": HOME,
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin",
            "PYTHONPATH": ROOT,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RUNGWISE_CACHE": HOME / "cache",
            "COLUMNS": "120",
            **environment,
        }
        inside = [
            "nsenter",
            "-t",
            self.pid,
            *["-m", "-u", "-i", "-p", "-n"],
            f"--wdns={HOME}",
            "--",
        ]
        own = [f"{name}={value}" for name, value in variables.items()]
        return [str(word) for word in (*inside, "env", "-i", *own, *command)]

    def run(self, *command, **environment):
        words = self.words(*command, **environment)
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def start_ray(self, head, cpus):
        join = (f"--address={head.address}:6379",)
        where = ("--head", "--port=6379", "--include-dashboard=false") if head is self else join
        own = (f"--node-ip-address={self.address}", f"--num-cpus={cpus}")
        done = self.run("ray", "start", *where, *own)
        assert done.returncode == 0, done.stderr[-3000:]

    def list_processes(self):
        space = Path(f"/proc/{self.pid}/ns/pid").readlink()
        for process in psutil.process_iter():
            with suppress(OSError):
                if Path(f"/proc/{process.pid}/ns/pid").readlink() == space:
                    yield process

    def signal(self, number):
        for process in list(self.list_processes()):
            process.send_signal(number)

    def lose(self):
        """End everything on the node at once, as where its machine is taken away."""
        os.kill(self.pid, signal.SIGKILL)

    def plug(self, state):
        """Connect the node to the others ("up") or cut it off ("down")."""
        ip("-n", self.net, "link", "set", f"v{self.space}", state)

    def remove(self):
        self.starter.kill()
        self.starter.wait()
        ip("netns", "del", self.space)


@contextmanager
def cluster(folder, count):
    """A head without CPUs and ``count`` nodes with two, under Ray."""
    net, nodes = f"rw{random.randrange(1000)}", []
    ip("netns", "add", net)
    try:
        ip("-n", net, "link", "add", "br0", "type", "bridge")
        ip("-n", net, "link", "set", "br0", "up")
        for number in range(count + 1):
            nodes.append(Node(net, number, folder))
            nodes[-1].start_ray(nodes[0], 2 if number else 0)
        yield nodes
    finally:
        for node in nodes:
            node.remove()
        ip("netns", "del", net)
