# pyright: basic
"""A pack computes what waits together, forgets nothing that waits, and outlives its process."""

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ray
import torch
from packs import make_tasks

from algos.learning import pack as packs
from algos.learning.pack import Pack, connect_pack, run_packs
from algos.learning.packed_update import PackedUpdate


def update_alone(task):
    """The update of a task by itself."""
    (update,) = PackedUpdate(task, 1, torch.device("cpu")).run([task])
    return update


def assert_same(update, expected):
    """Two updates end at the same weights."""
    for part, other in zip(update.after, expected.after, strict=True):
        np.testing.assert_allclose(part, other, 1e-5, 1e-6)
    assert update.epochs == expected.epochs


@pytest.fixture
def runs(monkeypatch):
    """The numbers of tasks that were run together, in order."""
    found, run = [], PackedUpdate.run

    def count(self, tasks):
        found.append(len(tasks))
        return run(self, tasks)

    monkeypatch.setattr(PackedUpdate, "run", count)
    return found


async def update_all(pack, tasks):
    """The updates, and errors, of tasks that wait at the same time."""
    return await asyncio.gather(*map(pack.update, tasks), return_exceptions=True)


def test_what_waits_is_computed_together_by_shape(runs):
    narrow, wide = make_tasks(3), make_tasks(2, hidden=(8,))
    tasks = [narrow[0], wide[0], narrow[1], wide[1], narrow[2]]
    runs.clear()
    updates = asyncio.run(update_all(Pack(), tasks))
    assert runs == [3, 2]
    for task, update in zip(tasks, updates, strict=True):
        assert_same(update, update_alone(task))


def test_an_update_stays_as_it_is_when_the_next_one_is_computed():
    first, second = make_tasks(2)

    async def run_both(pack):
        return [await pack.update(first), await pack.update(second)]

    pack = Pack()
    updates = asyncio.run(run_both(pack))
    assert len(pack._updates) == 1, "both use the same memory"
    assert_same(updates[0], update_alone(first))


def test_what_arrives_meanwhile_is_computed_next(runs):
    tasks = make_tasks(3)
    runs.clear()

    async def arrive_later(pack):
        first = asyncio.create_task(pack.update(tasks[0]))
        while not runs:
            await asyncio.sleep(0.001)
        rest = await update_all(pack, tasks[1:])
        return [await first, *rest]

    updates = asyncio.run(arrive_later(Pack()))
    assert runs == [1, 2]
    for task, update in zip(tasks, updates, strict=True):
        assert_same(update, update_alone(task))


def test_a_trial_that_is_stopped_while_it_waits_holds_up_no_other():
    tasks = make_tasks(2)

    async def stop_one(pack):
        first, second = (asyncio.create_task(pack.update(task)) for task in tasks)
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert_same(asyncio.run(stop_one(Pack())), update_alone(tasks[1]))


def test_an_update_that_fails_is_an_error_of_its_trials_alone():
    (good,), (bad,) = make_tasks(1), make_tasks(1, hidden=(8,))
    bad = replace(bad, network=replace(bad.network, objective=None))
    failed, update = asyncio.run(update_all(Pack(), [bad, good]))
    assert "cannot compute an update of NoneType ('NoneType' object has no" in str(failed)
    assert_same(update, update_alone(good))


def test_large_groups_are_cut_and_old_shapes_are_dropped(monkeypatch, runs):
    monkeypatch.setattr(packs, "LARGEST", 2)
    monkeypatch.setattr(packs, "KEPT_SHAPES", 1)
    pack, tasks = Pack(), make_tasks(3)
    runs.clear()
    asyncio.run(update_all(pack, tasks))
    assert runs == [2, 1] and len(pack._updates) == 1


@pytest.mark.system
@pytest.mark.usefixtures("local_ray")
def test_a_process_that_dies_is_followed_by_another():
    task, (other,) = make_tasks(1)[0], make_tasks(1, env="Pendulum-v1")
    with run_packs(1, 0) as (name,):
        update = connect_pack(name)
        assert_same(update(task), update_alone(task))
        actor = ray.get_actor(name)
        pid: Any = ray.get(actor.__ray_call__.remote(lambda pack: os.getpid()))
        os.kill(pid, signal.SIGKILL)
        assert_same(update(other), update_alone(other))
    with pytest.raises(ValueError, match="Failed to look up actor"):
        connect_pack(name)
