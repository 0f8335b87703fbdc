# pyright: basic
"""Learners whose updates a pack in this process computes, without Ray."""

import threading
from functools import partial
from unittest import mock

import numpy as np
import small
import torch

from algos.learning import packed_learner
from algos.learning.packed_update import PackedUpdate

CARTPOLE, PENDULUM, CAUSAL = "CartPole-v1", "Pendulum-v1", "envs:CausalLearning-v0"
CHOSEN = {"epochs": 3, "minibatch_size": 12, "num_envs": 4, "rollout_length": 16}


class LocalPack:
    """Computes the updates of trials, which run in threads, once all of them wait."""

    def __init__(self, trials, slots, device="cpu"):
        self.trials, self.slots, self.device = trials, slots, torch.device(device)
        self.tasks, self.updates = {}, []
        self.barrier = threading.Barrier(trials, self._run)

    def compute(self, trial, task):
        """Return the update of a trial."""
        self.tasks[trial] = task
        self.barrier.wait()
        return self.updates[trial]

    def _run(self):
        tasks = [self.tasks[trial] for trial in range(self.trials)]
        assert len({task.key for task in tasks}) == 1
        self.updates = PackedUpdate(tasks[0], self.slots, self.device).run(tasks)


def make_learner(env, algo, trial, pack=None, **chosen):
    """The learner of a trial, in a pack or by itself."""
    name = "" if pack is None else "pack"
    compute = None if pack is None else partial(pack.compute, trial % pack.trials)
    with mock.patch.object(packed_learner, "connect_pack", lambda name: compute):
        return small.learner(env, algo=algo, seed=trial, pack=name, **chosen)


def sample(env, algo, seed, **chosen):
    """Rows of a trial that fill whole minibatches, which alone packs learn from."""
    torch.manual_seed(seed)
    runner = small.runner(env, algo=algo, seed=seed, **chosen)
    rows, _ = runner.sample()
    rows, _ = runner.objective.preprocess_batch(rows)
    size = chosen["minibatch_size"]
    return rows.select(np.arange(len(rows) // size * size))


def make_tasks(trials, env=CARTPOLE, algo="ppo", **chosen):
    """The tasks of the first updates of some trials."""
    pack = LocalPack(1, 1)
    tasks = []
    for trial in range(trials):
        learner = make_learner(env, algo, trial, pack, **CHOSEN | chosen)
        small.updated(learner, sample(env, algo, trial, **CHOSEN | chosen))
        tasks.append(pack.tasks[0])
    return tasks
