# pyright: basic
"""Requests per second and their 99th percentile: Ray Serve against bare uvicorn, the same policy.

    PYTHONPATH=.:tests:tests/support python -m benchmarks.serving [--seconds 8] [--connections 32]

Each contestant answers the same connections, one after the other; the callers are a process of
their own. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import uvicorn
from checkpoints import write_checkpoint
from gymnasium import spaces

from algos.policy import Policy
from cluster.serving import policy_server
from cluster.serving.sessions import Sessions
from cluster.web.listening import bind_socket
from tune_jobs.ray_session import ray_session

TOKEN = "benchmark"
WARM_UP_S = 2.0
"""Seconds of calls before those that are counted."""


class OneByOne:
    """What bare uvicorn has: the policy, and no batches."""

    def __init__(self, checkpoint):
        self.policy, self.sessions = Policy.load(checkpoint), Sessions()

    async def act(self, observation, state):
        return policy_server.act_on_batches(self.policy, [observation], [state])[0]


async def call(port, body, until, took, failed):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /act HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    while time.monotonic() < until:
        started = time.monotonic()
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        await reader.readexactly(int(length.split(b":")[1]))
        took.append(time.monotonic() - started)
        if b" 200 " not in answer[:16]:
            failed.append(answer[:16])
    writer.close()


def load(port, observations, seconds, connections, out):
    """Requests per second, 50th and 99th percentile in ms."""
    one = [0.1, 0.2, 0.0, 0.0]
    body = json.dumps(
        {"observations": [one] * observations} if observations else {"observation": one}
    )

    async def main(lasting):
        took, failed = [], []
        until = time.monotonic() + lasting
        await asyncio.gather(*(call(port, body, until, took, failed) for _ in range(connections)))
        return took, failed

    asyncio.run(main(WARM_UP_S))
    started = time.monotonic()
    took, failed = asyncio.run(main(seconds))
    p50, p99 = (float(1000 * np.quantile(took, q)) for q in (0.5, 0.99))
    rate = len(took) / (time.monotonic() - started)
    out.put({"rps": rate, "p50_ms": p50, "p99_ms": p99, "failed": len(failed)})


def measured(port, observations, asked):
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    caller = context.Process(
        target=load, args=(port, observations, asked.seconds, asked.connections, out)
    )
    caller.start()
    found = out.get()
    caller.join()
    return found


def bare(checkpoint, asked, found):
    door = bind_socket("127.0.0.1", 0)
    app = policy_server.make_application(OneByOne(checkpoint), TOKEN)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    for name, observations in (("uvicorn", 0), ("uvicorn, 64 a request", 64)):
        found[name] = measured(door.getsockname()[1], observations, asked)
    server.should_exit = True
    thread.join()


def under_serve(checkpoint, asked, found):
    door = bind_socket("127.0.0.1", 0)
    port = door.getsockname()[1]
    door.close()
    with ray_session():
        policy_server.start_serving(checkpoint, "127.0.0.1", port, TOKEN)
        found["Ray Serve, batched"] = measured(port, 0, asked)
        found["Ray Serve, 64 a request"] = measured(port, 64, asked)
        policy_server.deploy_checkpoint(checkpoint, TOKEN, batch=1)
        found["Ray Serve, not batched"] = measured(port, 0, asked)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as place:
        observations = spaces.Box(-np.inf, np.inf, (4,), np.float32)
        checkpoint = write_checkpoint(Path(place) / "checkpoint", observations, spaces.Discrete(2))
        bare(checkpoint, asked, found)
        under_serve(checkpoint, asked, found)
    print(f"{'':26}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")
    for name, row in found.items():
        print(
            f"{name:26}{row['rps']:12.0f}{row['p50_ms']:10.1f}{row['p99_ms']:10.1f}"
            f"{row['failed']:8}"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
