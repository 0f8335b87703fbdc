"""A trained policy behind HTTP: ``POST /act`` with observations as JSON, batched, under Ray Serve.

``GET /schema`` says what an observation looks like (JSON Schema, from the checkpoint), ``/healthz``
whether there is a policy, ``/metrics`` how it does (Prometheus, of the replica that answers). A
newer checkpoint replaces the policy between two batches, so no request fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from ray import serve
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from algos.policy import Policy, batch_observation
from cluster.web.auth import TokenMiddleware
from envs.validation import InputError

BATCH, WAIT = 64, 0.002
"""Most observations that are decided in one go, and seconds that the first of them waits."""
MAX_OPEN_REQUESTS = 1024
"""Requests that a replica has open; more wait at Ray Serve's door."""


class SupportsAct(Protocol):
    """What the addresses need of whoever holds the policy."""

    policy: Policy

    async def act(self, observation: Any) -> Any:
        """The action for one checked observation, a batch of one; batches form behind it."""
        ...


def make_json_schema(space: spaces.Space[Any], any_size: bool = False) -> dict[str, Any]:
    """A space as JSON Schema; sizes are left open for a policy that acts on any."""
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
            whole = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
            schema: dict[str, Any] = {"type": "integer" if whole else "number"}
            for size in reversed(space.shape or ()):
                sizes = {} if any_size else {"minItems": size, "maxItems": size}
                schema = {"type": "array", "items": schema, **sizes}
            return schema


def validate_observation(policy: Policy, observation: Any) -> Any:
    """One observation from JSON as a batch of one.

    Raises:
        InputError: another shape or kind than the policy acts on.
    """
    try:
        batch = batch_observation(
            observation, policy.observation_space, policy.module.accepts_any_size
        )
    except InputError:
        raise
    except (ValueError, OverflowError) as error:  # numpy's, of lists of uneven lengths
        raise InputError(f"This policy acts on {policy.observation_space}: {error}.") from error
    for name, leaf, space in _leaves(batch, policy.observation_space, "the observation"):
        if not np.isfinite(leaf).all():
            raise InputError(f"There is a number in {name} that is not finite in {leaf.dtype}.")
        if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            value = leaf[0].item() if isinstance(space, spaces.Discrete) else leaf[0]
            if not space.contains(value):
                raise InputError(f"There is no {value} in {name}, which is {space}.")
    return batch


def act_on_batches(policy: Policy, batches: Sequence[Any]) -> list[Any]:
    """Actions in plain types for batches of one; those of equal shapes are decided together."""
    alike: dict[Any, list[int]] = {}
    for place, batch in enumerate(batches):
        alike.setdefault(_shapes(batch), []).append(place)
    found: list[Any] = [None] * len(batches)
    for places in alike.values():
        actions = policy.act_batch(_concat_batches([batches[place] for place in places]))
        for row, place in enumerate(places):
            found[place] = _row(actions, row)
    return found


class ServerMetrics:
    """What ``/metrics`` tells."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "rungwise_requests", "Requests to /act by status", ["status"], registry=own
        )
        self.seconds = Histogram(
            "rungwise_request_seconds",
            "Seconds from a request to its answer",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=own,
        )
        self.iteration = Gauge(
            "rungwise_policy_iteration", "Training iteration of the policy", registry=own
        )

    def render(self, policy: Policy) -> bytes:
        """In Prometheus' format."""
        self.iteration.set(policy.metadata["iteration"])
        return generate_latest(self.registry)


def make_application(decider: SupportsAct, token: str | None) -> TokenMiddleware:
    """The addresses, the same under Ray Serve and without it."""
    figures = ServerMetrics()

    async def act(request: Request) -> Response:
        started = time.monotonic()
        try:
            answer, status = await _act(decider, await request.body()), 200
        except HTTPException as error:
            answer, status = {"error": error.detail}, error.status_code
        except InputError as error:
            answer, status = {"error": str(error)}, 422
        figures.requests.labels(str(status)).inc()
        figures.seconds.observe(time.monotonic() - started)
        return JSONResponse(answer, status_code=status)

    async def schema(_: Request) -> Response:
        policy = decider.policy
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
        return JSONResponse({"ready": True, "iteration": decider.policy.metadata["iteration"]})

    async def metrics(_: Request) -> Response:
        return Response(figures.render(decider.policy), media_type="text/plain; version=0.0.4")

    routes = [
        Route("/act", act, methods=["POST"]),
        Route("/schema", schema),
        Route("/", schema),  # the address that `rungwise serve` says to open
        Route("/healthz", healthz),
        Route("/metrics", metrics),
    ]
    errors: dict[Any, Any] = {HTTPException: _respond_http_error}
    return TokenMiddleware(Starlette(routes=routes, exception_handlers=errors), token)


@serve.deployment(max_ongoing_requests=MAX_OPEN_REQUESTS)
@serve.ingress()  # pyright: ignore[reportUntypedClassDecorator]
class PolicyServer:
    """A replica. Its policy comes by ``user_config``, which Ray Serve changes while it runs."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Take another checkpoint, or other batches."""
        self.policy = Policy.load(config["checkpoint"])
        self._decide.set_max_batch_size(config["batch"])  # pyright: ignore[reportAttributeAccessIssue]

    async def act(self, observation: Any) -> Any:
        """See :class:`SupportsAct`."""
        return await self._decide((self.policy, observation))

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT)
    async def _decide(self, asked: list[tuple[Policy, Any]]) -> list[Any]:
        # Around a change of checkpoint a batch may hold observations for both policies.
        found: dict[int, Any] = {}
        for policy in {id(policy): policy for policy, _ in asked}.values():
            own = [place for place, (of, _) in enumerate(asked) if of is policy]
            actions = act_on_batches(policy, [asked[place][1] for place in own])
            found |= dict(zip(own, actions, strict=True))
        return [found[place] for place in range(len(asked))]

    def __serve_build_asgi_app__(self) -> TokenMiddleware:
        return make_application(self, self.token)


def start_serving(
    checkpoint: Path, host: str, port: int, token: str | None, replicas: int = 1
) -> None:
    """Serve a checkpoint on an initialised Ray; returns when it answers."""
    serve.start(http_options={"host": host, "port": port})
    deploy_checkpoint(checkpoint, token, replicas)


def build_serve_application(args: dict[str, str]) -> serve.Application:
    """The application of a Serve config file (RayService): a checkpoint that asks for a token.

    Raises:
        InputError: there is no token in the environment.
    """
    if not (token := os.environ.get("RUNGWISE_TOKEN")):
        raise InputError("The environment variable RUNGWISE_TOKEN must hold the token to ask for.")
    config = {"checkpoint": args["checkpoint"], "batch": BATCH}
    return PolicyServer.options(user_config=config).bind(token)


def deploy_checkpoint(
    checkpoint: Path, token: str | None, replicas: int = 1, batch: int = BATCH
) -> None:
    """Serve this checkpoint from now on; what is being answered is answered."""
    served = PolicyServer.options(
        num_replicas=replicas,
        user_config={"checkpoint": str(checkpoint.absolute()), "batch": batch},
    )
    serve.run(served.bind(token), name="policy", route_prefix="/")


def find_newest_checkpoint(checkpoint: Path) -> Path:
    """The newest complete checkpoint of the same trial."""
    beside = sorted(checkpoint.absolute().parent.glob("checkpoint_*/manifest.json"))
    return max((p.parent for p in beside), default=checkpoint, key=lambda p: p.name)


def follow_checkpoints(
    checkpoint: Path,
    on_new_checkpoint: Callable[[Path], None],
    log: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Swap to every newer checkpoint of the trial that fits, until it is to stop."""
    current, first = checkpoint, Policy.load(checkpoint)
    while not stop.wait(1):
        if (latest := find_newest_checkpoint(checkpoint)) == current:
            continue
        try:
            policy = Policy.load(latest)
        except (InputError, OSError):
            continue  # it is still being written, or already gone
        current = latest
        if policy.observation_space != first.observation_space:
            log(f"{latest} reads {policy.observation_space}, so it is not served.")
            continue
        on_new_checkpoint(latest)
        log(f"Now {latest}, iteration {policy.metadata['iteration']}.")


async def _act(decider: SupportsAct, body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The body is not JSON: {error}.") from error
    if not isinstance(asked, dict) or len({"observation", "observations"} & set(asked)) != 1:
        raise InputError(
            'The body must be {"observation": ...}, or {"observations": [...]} for several.'
        )
    policy = decider.policy
    about = {"iteration": policy.metadata["iteration"]}
    if "observation" in asked:
        return {
            "action": await decider.act(validate_observation(policy, asked["observation"])),
            **about,
        }
    if not isinstance(asked["observations"], list):
        raise InputError("`observations` must be a list of observations.")
    batches = [validate_observation(policy, one) for one in asked["observations"]]
    waiting: list[Awaitable[Any]] = [decider.act(batch) for batch in batches]
    return {"actions": list(await asyncio.gather(*waiting)), **about}


async def _respond_http_error(_: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, status_code=error.status_code)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def _leaves(batch: Any, space: spaces.Space[Any], name: str) -> list[tuple[str, Any, Any]]:
    if isinstance(space, spaces.Dict):
        parts = [(n, batch[n], part) for n, part in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        parts = [(str(n), batch[n], part) for n, part in enumerate(space.spaces)]
    else:
        return [(name, batch, space)]
    return [leaf for n, below, part in parts for leaf in _leaves(below, part, n)]


def _shapes(batch: Any) -> Any:
    if isinstance(batch, dict):
        return tuple(_shapes(part) for part in batch.values())
    return tuple(map(_shapes, batch)) if isinstance(batch, tuple) else batch.shape


def _concat_batches(batches: Sequence[Any]) -> Any:
    first = batches[0]
    if isinstance(first, dict):
        return {name: _concat_batches([batch[name] for batch in batches]) for name in first}
    if isinstance(first, tuple):
        return tuple(_concat_batches([batch[n] for batch in batches]) for n in range(len(first)))
    return np.concatenate(batches)


def _row(actions: Any, row: int) -> Any:
    """One action of a batch in plain types."""
    if isinstance(actions, dict):
        return {name: _row(part, row) for name, part in actions.items()}
    return np.asarray(actions[row]).tolist()
