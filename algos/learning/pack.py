"""A pack: the process that computes the updates of many trials, all that wait at a time.

Trials collect and are evaluated in processes of their own. What waits when the pack is done with
some updates is what it computes next, so that no trial waits for a slower one, and a trial that
ends leaves its place to the next. A pack remembers nothing of its trials: Ray starts one that has
died again, and the updates that it had not finished are computed again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast
from uuid import uuid4

import ray
import torch

from algos.learning.packed_update import PackedUpdate, Task, Update

LARGEST = 64
"""Trials that are updated at once, at most."""
KEPT_SHAPES = 16
"""Shapes of updates whose memory is kept for the next one."""


class Pack:
    """Computes updates; run it as an actor of Ray (:func:`run_packs`)."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._waiting: list[tuple[Task, asyncio.Future[Update]]] = []
        self._running: asyncio.Task[None] | None = None
        self._updates: dict[tuple[str, int], PackedUpdate] = {}

    async def update(self, task: Task) -> Update:
        """Return the update of a trial, computed together with others that wait."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((task, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        """Compute what waits until nothing does."""
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            by_key: defaultdict[str, list[tuple[Task, asyncio.Future[Update]]]] = defaultdict(list)
            for task, future in waiting:
                by_key[task.key].append((task, future))
            for group in by_key.values():
                for i in range(0, len(group), LARGEST):
                    await self._compute(group[i : i + LARGEST])
        self._running = None

    async def _compute(self, group: list[tuple[Task, asyncio.Future[Update]]]) -> None:
        """Compute updates of one key, at most LARGEST."""
        tasks, futures = zip(*group, strict=True)
        try:
            # In a thread: meanwhile others can begin to wait.
            updates = await asyncio.to_thread(self._get_update(tasks).run, tasks)
        except Exception as error:  # raised in each trial, which Ray Tune restarts
            kind = type(tasks[0].network.objective).__name__
            message = f"A pack cannot compute an update of {kind} ({error}). Set packs to 0."
            for future in (f for f in futures if not f.done()):
                future.set_exception(RuntimeError(message))
        else:
            for future, update in zip(futures, updates, strict=True):
                if not future.done():  # cancelled: its trial was stopped meanwhile
                    future.set_result(update)

    def _get_update(self, tasks: tuple[Task, ...]) -> PackedUpdate:
        """Return what computes these tasks, of those kept if it is among them."""
        # On a GPU operations are recorded for a number of slots: there are few such numbers.
        on_cpu = self.device.type == "cpu"
        slots = len(tasks) if on_cpu else 1 << (len(tasks) - 1).bit_length()
        key = tasks[0].key, slots
        update = self._updates.pop(key, None) or PackedUpdate(tasks[0], slots, self.device)
        self._updates[key] = update  # last: the first is the one that has not been used for longest
        if len(self._updates) > KEPT_SHAPES:
            del self._updates[next(iter(self._updates))]
        return update


@contextmanager
def run_packs(number: int, gpus: float) -> Generator[list[str]]:
    """Run packs in processes of their own, and yield their names for :func:`connect_pack`.

    Args:
        number: of packs.
        gpus: GPUs that each of them holds.
    """
    names = [f"pack-{uuid4().hex}" for _ in range(number)]
    # What a process had not finished when it died is computed by the one that follows it; but an
    # update that ends each process that computes it is an error of its trial.
    options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": 3}
    actor: Any = ray.remote(Pack)
    packs = [actor.options(name=name, **options).remote() for name in names]
    try:
        yield names
    finally:
        for pack in packs:
            ray.kill(pack)


def connect_pack(name: str) -> Callable[[Task], Update]:
    """Return the function by which a pack computes updates.

    Raises:
        ValueError: no pack has that name.
    """
    pack: Any = ray.get_actor(name)
    return lambda task: cast("Update", ray.get(pack.update.remote(task)))
