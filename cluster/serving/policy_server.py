"""HTTP server of a policy: ``POST /act`` with observations as JSON, batched by Ray Serve.

A policy that remembers answers with the id of a ``session``, which the later observations of the
episode bring along. ``GET /schema`` describes observations and actions (JSON Schema), ``/healthz``
reports whether a policy is loaded, ``/metrics`` has counters for Prometheus (of the replica that
answers). A newer checkpoint replaces the policy between two batches, so no request fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tree
from gymnasium import spaces
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from ray import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from algos.policy import Policy, State
from cluster.serving.sessions import Sessions
from cluster.web.auth import TokenMiddleware
from envs.contract.pytree import concatenate, take
from rungwise.validation import InputError
from tune_jobs.ray_internals import silence_workers

# The proxy of Ray Serve takes most of a request (some 13 ms, measured on two busy cores), so
# waiting 2 ms for a larger batch adds little.
MAX_BATCH, BATCH_WAIT_S = 64, 0.002
"""Largest batch of observations, and how long its first observation waits for others."""
MAX_OPEN_REQUESTS = 1024
"""Open requests per replica; more wait in the proxy of Ray Serve."""


class SupportsAct(Protocol):
    """Holder of a policy, under Ray Serve or without it."""

    policy: Policy
    sessions: Sessions

    async def act(self, observation: object, state: State) -> tuple[Any, State]:
        """Return action and next state for one validated observation, a batch of one."""
        ...


def make_json_schema(space: spaces.Space[Any], any_size: bool = False) -> dict[str, Any]:
    """Describe a space as JSON Schema, without sizes for a policy that accepts any."""
    match space:
        case spaces.Dict():
            parts = {n: make_json_schema(part, any_size) for n, part in space.spaces.items()}
            return {"type": "object", "properties": parts, "required": list(parts)}
        case spaces.Tuple():
            items = [make_json_schema(part, any_size) for part in space.spaces]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        case spaces.Discrete():
            low = int(space.start)
            return {"type": "integer", "minimum": low, "maximum": low + int(space.n) - 1}
        case _:
            is_integer = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
            schema: dict[str, Any] = {"type": "integer" if is_integer else "number"}
            for size in reversed(space.shape or ()):
                sizes = {} if any_size else {"minItems": size, "maxItems": size}
                schema = {"type": "array", "items": schema, **sizes}
            return schema


def validate_observation(policy: Policy, observation: object) -> Any:
    """Convert one observation from JSON to a batch of one.

    Raises:
        InputError: it is not in the observation space of the policy.
    """
    try:
        batch = policy.make_batch(observation)
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # from NumPy, for lists of uneven lengths
        raise InputError(f"This policy acts on {policy.observation_space}: {error}.") from error
    for name, leaf, space in _list_leaves(batch, policy.observation_space, "the observation"):
        # After the conversion: 1e39 is finite in JSON and infinite as float32.
        if not np.isfinite(leaf).all():
            raise InputError(f"{name} has a number that is not finite as {leaf.dtype}.")
        if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            value = leaf[0].item() if isinstance(space, spaces.Discrete) else leaf[0]
            if not space.contains(value):
                raise InputError(f"{name} must be in {space}, but it is {value}.")
    return batch


def act_on_batches(
    policy: Policy, batches: Sequence[Any], states: Sequence[State]
) -> list[tuple[Any, State]]:
    """Compute actions, in plain types, and next states for batches of one with their states.

    Equal shapes share a forward pass.
    """
    # A policy that accepts any size gets observations that do not fit into one array.
    by_shape: dict[Any, list[int]] = {}
    for index, batch in enumerate(batches):
        shapes = tuple(leaf.shape for leaf in tree.flatten(batch))
        by_shape.setdefault(shapes, []).append(index)
    answers: list[Any] = [None] * len(batches)
    for indices in by_shape.values():
        observations, given = (
            concatenate(*(parts[index] for index in indices)) for parts in (batches, states)
        )
        actions, after = policy.act_batch(observations, given)
        for row, index in enumerate(indices):
            state = {name: column[row : row + 1] for name, column in after.items()}
            # The tolist of numpy makes plain numbers of its scalars, too.
            plain = tree.map_structure(methodcaller("tolist"), take(actions, row))
            answers[index] = plain, state
    return answers


class ServerMetrics:
    """Metrics of one replica for Prometheus."""

    def __init__(self) -> None:
        # The default registry belongs to the process and refuses the same names a second time.
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "rungwise_requests", "Requests to /act by status", ["status"], registry=registry
        )
        self.seconds = Histogram(
            "rungwise_request_seconds",
            "Seconds from a request to its answer",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=registry,
        )
        self.iteration = Gauge(
            "rungwise_policy_iteration", "Training iteration of the policy", registry=registry
        )

    def render(self, policy: Policy) -> bytes:
        """Render the metrics in the text format of Prometheus."""
        self.iteration.set(policy.metadata["iteration"])
        return generate_latest(self.registry)


def make_application(holder: SupportsAct, token: str | None) -> TokenMiddleware:
    """Make the application that answers requests with the holder's policy."""
    server_metrics = ServerMetrics()

    async def act(request: Request) -> Response:
        started = time.monotonic()
        try:
            answer, status = await _act(holder, await request.body()), 200
        except HTTPException as error:
            answer, status = {"error": error.detail}, error.status_code
        except InputError as error:
            answer, status = {"error": str(error)}, 422
        server_metrics.requests.labels(str(status)).inc()
        server_metrics.seconds.observe(time.monotonic() - started)
        return JSONResponse(answer, status_code=status)

    async def schema(_: Request) -> Response:
        policy = holder.policy
        return JSONResponse(
            {
                "env": policy.metadata["env"],
                "algo": policy.metadata["algo"],
                "iteration": policy.metadata["iteration"],
                "observation": make_json_schema(
                    policy.observation_space, policy.module.accepts_any_size
                ),
                "action": make_json_schema(policy.action_space, policy.module.accepts_any_size),
            }
        )

    async def healthz(_: Request) -> Response:
        return JSONResponse({"ready": True, "iteration": holder.policy.metadata["iteration"]})

    async def metrics(_: Request) -> Response:
        return Response(
            server_metrics.render(holder.policy), media_type="text/plain; version=0.0.4"
        )

    routes = [
        Route("/act", act, methods=["POST"]),
        Route("/schema", schema),
        Route("/", schema),  # the address that `rungwise serve` prints
        Route("/healthz", healthz),
        Route("/metrics", metrics),
    ]
    errors: dict[Any, Any] = {HTTPException: _respond_http_error}
    return TokenMiddleware(Starlette(routes=routes, exception_handlers=errors), token)


@serve.deployment(max_ongoing_requests=MAX_OPEN_REQUESTS)
@serve.ingress()  # pyright: ignore[reportUntypedClassDecorator]
class PolicyServer:
    """A replica. Ray Serve sets its policy through ``user_config``, also while it runs."""

    def __init__(self, token: str | None) -> None:
        self.token, self.sessions = token, Sessions()

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Load another checkpoint."""
        # A checkpoint that cannot be loaded raises here, and the policy so far stays in place.
        self.policy = Policy.load(config["checkpoint"])

    async def act(self, observation: object, state: State) -> tuple[Any, State]:
        """Return action and next state for one observation; Ray Serve forms the batches."""
        return await self._act_on_requests((self.policy, observation, state))

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT_S)
    async def _act_on_requests(
        self, requests: list[tuple[Policy, Any, State]]
    ) -> list[tuple[Any, State]]:
        # During a change of checkpoint, a batch may hold observations for both policies.
        answers: dict[int, Any] = {}
        for policy in {id(policy): policy for policy, _, _ in requests}.values():
            indices = [i for i, (requested, _, _) in enumerate(requests) if requested is policy]
            computed = act_on_batches(
                policy, [requests[i][1] for i in indices], [requests[i][2] for i in indices]
            )
            answers |= dict(zip(indices, computed, strict=True))
        return [answers[i] for i in range(len(requests))]

    def __serve_build_asgi_app__(self) -> TokenMiddleware:
        return make_application(self, self.token)


@contextmanager
def serve_checkpoint(
    checkpoint: Path, host: str, port: int, token: str | None, replicas: int = 1
) -> Generator[None]:
    """Serve a checkpoint on an initialised Ray until the block ends; enter it once it answers.

    Raises:
        InputError: Ray Serve runs there already.
    """
    # A Ray has one Ray Serve, which keeps its host and port, and one policy at its address.
    if (running := serve.status()).proxies:
        raise InputError(
            "Ray Serve runs already on the Ray to join (applications: "
            f"{', '.join(running.applications) or 'none'}): end it with Ctrl-C in its `rungwise "
            "serve` or with `serve shutdown` there, or leave out --address."
        )
    try:
        serve.start(http_options={"host": host, "port": port})
        deploy_checkpoint(checkpoint, token, replicas)
        yield
    finally:
        silence_workers()
        # Ray Serve is detached: on a Ray that was joined it would outlive this process.
        serve.shutdown()


def build_serve_application(args: dict[str, str]) -> serve.Application:
    """Build the application of a Serve config file (RayService), which requires a token.

    Raises:
        InputError: the environment has no token.
    """
    if not (token := os.environ.get("RUNGWISE_TOKEN")):
        raise InputError("The environment variable RUNGWISE_TOKEN must hold the token to require.")
    return PolicyServer.options(user_config={"checkpoint": args["checkpoint"]}).bind(token)


def deploy_checkpoint(checkpoint: Path, token: str | None, replicas: int = 1) -> None:
    """Serve a checkpoint from now on; open requests are still answered."""
    # A change of `user_config` alone makes Ray Serve reconfigure the replicas, not replace them.
    # The path is absolute, because a replica may run in another directory.
    config = {"checkpoint": str(checkpoint.absolute())}
    served = PolicyServer.options(num_replicas=replicas, user_config=config)
    serve.run(served.bind(token), name="policy", route_prefix="/")


def find_newest_checkpoint(checkpoint: Path) -> Path:
    """Return the newest complete checkpoint of the same trial, also of a later session."""
    trial = checkpoint.absolute().parent
    folders = [trial]
    if trial.parent.name.startswith("session-"):  # in a run, where a resume begins another session
        folders = [path / trial.name for path in trial.parent.parent.glob("session-*")]
    # The manifest is written last: a directory without one is incomplete.
    checkpoints = [m.parent for path in folders for m in path.glob("checkpoint_*/manifest.json")]
    # Sorted by length first: session-10 comes after session-9.
    return max(checkpoints, default=checkpoint, key=lambda path: (len(str(path.parent)), path))


def follow_checkpoints(
    checkpoint: Path,
    on_new_checkpoint: Callable[[Path], None],
    log: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Swap to every newer checkpoint of the trial until the event is set."""
    current, first = checkpoint, Policy.load(checkpoint)
    while not stop.wait(1):
        if (latest := find_newest_checkpoint(checkpoint)) == current:
            continue
        try:
            policy = Policy.load(latest)
        except (InputError, OSError):
            continue  # it is still being written, or already deleted
        # Remembered before the check, so that a checkpoint that does not match is logged only once.
        current = latest
        if policy.observation_space != first.observation_space:
            log(f"{latest} is not served: its observation space is {policy.observation_space}.")
            continue
        on_new_checkpoint(latest)
        log(f"Now serving {latest}, iteration {policy.metadata['iteration']}.")


async def _act(holder: SupportsAct, body: bytes) -> dict[str, Any]:
    try:
        # Python accepts NaN and Infinity, which are not JSON, and fails on deep nesting with a
        # RecursionError.
        request = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The body is not JSON: {error}.") from error
    if not isinstance(request, dict) or len({"observation", "observations"} & set(request)) != 1:
        raise InputError(
            'The body must be {"observation": ...}, or {"observations": [...]} for several.'
        )
    # Read once: a newer checkpoint may replace the policy while this request waits for its batch.
    policy = holder.policy
    metadata = {"iteration": policy.metadata["iteration"]}
    if "observation" in request:
        observations, given = [request["observation"]], [request.get("session")]
    else:
        observations = request["observations"]
        if not isinstance(observations, list):
            raise InputError("`observations` must be a list of observations.")
        given = request.get("sessions", [None] * len(observations))
        if not isinstance(given, list) or len(given) != len(observations):
            raise InputError(
                f"`sessions` must be a list of {len(observations)} ids, one for each observation "
                "and null where an episode begins."
            )
    batches = [validate_observation(policy, observation) for observation in observations]
    sessions: list[tuple[str, State]] = []
    try:
        sessions.extend(holder.sessions.open(policy, session) for session in given)
        # All are handed over before the first is awaited, so that they can share a batch.
        waiting: list[Awaitable[Any]] = [
            holder.act(batch, state) for batch, (_, state) in zip(batches, sessions, strict=True)
        ]
        answers = await asyncio.gather(*waiting)
    except BaseException:  # also where the client has gone
        for session_id, (session, state) in zip(given, sessions, strict=False):
            holder.sessions.store(session if session_id else "", state)
        raise
    ids = [session for session, _ in sessions]
    for session, (_, state) in zip(ids, answers, strict=True):
        holder.sessions.store(session, state)
    actions = [action for action, _ in answers]
    if "observation" in request:
        return {"action": actions[0], **({"session": ids[0]} if ids[0] else {}), **metadata}
    return {"actions": actions, **({"sessions": ids} if any(ids) else {}), **metadata}


async def _respond_http_error(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _list_leaves(batch: Any, space: spaces.Space[Any], name: str) -> list[tuple[str, Any, Any]]:
    if isinstance(space, spaces.Dict):
        parts = [(n, batch[n], part) for n, part in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        parts = [(str(n), batch[n], part) for n, part in enumerate(space.spaces)]
    else:
        return [(name, batch, space)]
    return [leaf for n, below, part in parts for leaf in _list_leaves(below, part, n)]
