# pyright: basic, reportMissingImports=false
"""One training of the panel, by us or by SB3, and the fresh episodes that its policy plays."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from algos.rollouts.env_factory import find_env_spec
from benchmarks.panel_tasks import Task

EPISODES = 20
"""Fresh episodes that a trained policy plays, drawn and greedy."""
MOST_STEPS = 5000
"""Steps after which such an episode is cut off: the most likely actions may go in circles."""
PLAY_SEED = 10_000
Result = dict[str, Any]
Act = Callable[[Any, bool], Any]
"""(observations [N, ...], greedy) -> actions [N]."""


def train_ours(task: Task, seed: int, changed: dict[str, Any]) -> Result:
    """Train with our defaults or a preset; health rules watch, but their time does not count."""
    import algos
    from algos.ppo import PPOSettings
    from rungwise.health import History, diagnose
    from rungwise.health.metric_table import MetricTable
    from tune_jobs.jobs.budget import count_iterations
    from tune_jobs.jobs.job_yaml import load_job
    from tune_jobs.ray_session import ray_session

    torch.set_num_threads(1)
    job = load_job(task.preset) if task.preset else None
    settings: Any = replace(job.settings if job else PPOSettings(**task.settings), **changed)
    settings = settings.fit_to_budget(task.steps)
    iterations = count_iterations(task.steps, settings)
    with ray_session(cpus=1):
        agent = algos.build_algorithm(
            "ppo", task.env, task.kwargs, settings, iterations=iterations, seed=seed
        )
        cpu_s, rows, stop = 0.0, MetricTable(), None
        findings: dict[str, int] = {}
        for i in range(iterations):
            began = time.process_time()
            agent.train()
            cpu_s += time.process_time() - began
            rows.append(agent.flat_metrics | {"iteration": i + 1})
            history = History(rows, iterations, "return_mean", settings=vars(settings))
            diagnosis = diagnose(history)
            for finding in diagnosis.findings:
                findings.setdefault(finding.symptom, i + 1)
            if stop is None and diagnosis.stop is not None:
                stop = f"{diagnosis.stop.symptom} at {i + 1} of {iterations}"
        module: Any = agent.env_runner_group.local_env_runner.module  # type: ignore[union-attr]
        played = play(task, make_act(module))
        agent.stop()
    found = {symptom: f"{first} of {iterations}" for symptom, first in findings.items()}
    return played | {"cpu_s": round(cpu_s, 1), "false_stop": stop, "findings": found}


def make_act(module: Any) -> Act:
    """Return a player that remembers as the policy does; observations after one another."""
    from algos.models.base import to_observation_columns

    generator = torch.Generator().manual_seed(PLAY_SEED)
    state = module.initial_state(EPISODES)

    def act(observations: Any, greedy: bool) -> Any:
        nonlocal state
        if observations is None:  # another round of episodes begins
            state = module.initial_state(EPISODES)
            return None
        seen, state = module.recall(to_observation_columns(observations), state)
        taken, _, _, recurrent = module.act_on_arrays(seen, generator, greedy=greedy)
        state |= recurrent
        return module.head.to_env_action(taken)

    return act


def train_sb3(task: Task, seed: int, changed: dict[str, Any]) -> Result:
    """Train SB3's PPO with the settings of the task, which are the Zoo's where it has some."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    torch.set_num_threads(1)
    peer = task.sb3
    made: Any = make_vec_env(lambda: make_single(task), n_envs=peer.envs, seed=seed)
    settings: dict[str, Any] = dict(peer.settings)
    if peer.normalise:
        made = VecNormalize(made, gamma=settings.get("gamma", 0.99))
    for name in peer.linear:
        settings[name] = lambda remaining, start=settings[name]: start * remaining
    settings |= {"policy_kwargs": _make_network(settings.get("policy_kwargs", {}))}
    model = PPO("MlpPolicy", made, seed=seed, device="cpu", **settings)
    began = time.process_time()
    model.learn(task.steps)
    cpu_s = time.process_time() - began

    def act(observations: Any, greedy: bool) -> Any:
        if observations is None:
            return None
        seen = made.normalize_obs(observations) if peer.normalise else observations
        return model.predict(seen, deterministic=greedy)[0]

    return play(task, act) | {"cpu_s": round(cpu_s, 1)}


RUNS = {"ours": train_ours, "sb3": train_sb3}


def make_single(task: Task) -> gymnasium.Env[Any, Any]:
    """Make one copy of a task's environment."""
    return gymnasium.make(find_env_spec(task.env), **task.kwargs)


def play(task: Task, act: Act) -> Result:
    """Return the mean returns of fresh episodes, actions drawn and greedy."""
    played = {}
    for kind, greedy in (("sampled", False), ("argmax", True)):
        envs = gymnasium.vector.SyncVectorEnv([lambda: make_single(task)] * EPISODES)
        seen, _ = envs.reset(seed=PLAY_SEED)
        act(None, greedy)
        total, live, steps = np.zeros(EPISODES), np.ones(EPISODES, bool), 0
        while live.any() and steps < MOST_STEPS:
            seen, rewards, terminated, truncated, _ = envs.step(act(seen, greedy))
            total += rewards * live
            live &= ~(terminated | truncated)
            steps += 1
        envs.close()
        played[kind] = round(float(total.mean()), 2)
    return played


def _make_network(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return SB3's arguments of a network whose classes are named."""
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class SmallImages(BaseFeaturesExtractor):
        """The convolutions that our encoder has for images of 10 x 10 pixels."""

        def __init__(self, space):
            super().__init__(space, 128)
            height, width, channels = space.shape
            self.layers = nn.Sequential(
                *(nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU()),
                *(nn.Flatten(), nn.Linear(32 * (height - 4) * (width - 4), 128), nn.ReLU()),
            )

        def forward(self, seen):
            return self.layers(seen.movedim(-1, 1))

    found = dict(kwargs)
    if found.pop("features", None):
        found |= {"features_extractor_class": SmallImages}
    if found.get("activation_fn") == "relu":
        found["activation_fn"] = nn.ReLU
    return found
